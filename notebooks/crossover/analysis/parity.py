"""Accuracy parity: whether CPU and GPU learn the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from crossover.analysis.speedup import COMPARISON
from crossover.problem import TEST_IMAGES

Floats = npt.NDArray[np.float64]

LEVEL = 0.05


def accuracy_parity(trials: pd.DataFrame) -> pd.DataFrame:
    """Compare the mean test accuracies of both devices, width by width.

    From two repeats on each device the interval is Welch's t (1947). With a
    single repeat it is that of two independent proportions of 10,000 test
    images each: it knows nothing of how much repeats differ by their seed, and
    so is too narrow where training is unstable (very small widths).

    ``differs`` holds Holm's correction (1979) over the widths of a comparison: one
    warning by chance in 20 *reports*, not in 20 widths. Unlike
    Bonferroni's it gives no power away, and like it allows for widths that
    share their test images, and so are not independent.

    Parameters
    ----------
    trials : DataFrame
        One row a trial.

    Returns
    -------
    DataFrame
        One row for each machine, backend, protocol and width: ``parameters``,
        ``difference`` (mean GPU - mean CPU, fraction), ``low``, ``high`` (95 %,
        uncorrected), ``method`` ('welch', 'binomial' or 'missing'), ``p_value``
        and ``differs`` (False where an accuracy is missing).
    """
    rows = []
    for key, group in trials.groupby(COMPARISON):
        cpu, gpu = (
            group.loc[group["device"] == device, "accuracy"].dropna().to_numpy(dtype=np.float64)
            for device in ("cpu", "gpu")
        )
        rows.append((*key, group["parameters"].iloc[0], *_difference(cpu, gpu)))
    names = [*COMPARISON, "parameters", "difference", "low", "high", "method", "p_value"]
    table = pd.DataFrame(rows, columns=names)
    families = table.groupby(COMPARISON[:-1])["p_value"]
    return table.assign(differs=families.transform(_holm) <= LEVEL)


def _difference(cpu: Floats, gpu: Floats) -> tuple[float, float, float, str, float]:
    """Difference of means, 95 % interval, method and two-sided p value."""
    if min(len(cpu), len(gpu)) == 0:
        return np.nan, np.nan, np.nan, "missing", np.nan
    difference = float(gpu.mean() - cpu.mean())
    if min(len(cpu), len(gpu)) == 1:
        variance = sum(a.mean() * (1 - a.mean()) / TEST_IMAGES for a in (cpu, gpu))
        freedom, method = np.inf, "binomial"
    else:
        parts = np.array([a.var(ddof=1) / len(a) for a in (cpu, gpu)])
        variance, method = parts.sum(), "welch"
        counts = np.array([len(cpu), len(gpu)])
        # Welch-Satterthwaite; any number does where nothing varies.
        freedom = variance**2 / (parts**2 / (counts - 1)).sum() if variance > 0 else 1.0
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    if error == 0:
        return difference, difference, difference, method, float(difference == 0)
    p_value = 2 * float(stats.t.sf(abs(difference) / error, freedom))
    return difference, difference - half, difference + half, method, p_value


def _holm(p_values: pd.Series[float]) -> pd.Series[float]:
    """Holm-adjusted p values of one family; missing ones stay missing and do not count."""
    known = p_values.dropna().sort_values()
    factors = np.arange(len(known), 0, -1)
    adjusted = (known * factors).cummax().clip(upper=1)
    return adjusted.reindex(p_values.index)
