"""Accuracy parity: whether CPU and GPU learn the same."""

import warnings

import numpy as np
import pandas as pd
from scipy import stats

from crossover.analysis.order import Floats
from crossover.analysis.speedup import COMPARISON
from crossover.problem import TEST_IMAGES

LEVEL = 0.05


def accuracy_parity(trials: pd.DataFrame) -> pd.DataFrame:
    """Compare the mean test accuracies of both devices, width by width.

    From two repeats on each device the interval is Welch's t (1947). With a single repeat it is
    that of two independent proportions of 10,000 test images each: it knows nothing of how much
    repeats differ by their seed, and so is too narrow where training is unstable (very small
    widths).

    ``differs`` holds Holm's correction (1979) over the widths of a comparison: one warning by
    chance in 20 *reports*, not in 20 widths. Unlike Bonferroni's it gives no power away, and like
    it allows for widths that share their test images, and so are not independent.

    One row for each machine, backend, protocol and width: ``parameters``, ``difference`` (mean GPU
    - mean CPU, fraction), ``low``, ``high`` (95%, uncorrected), ``method`` ('welch', 'binomial' or
    'missing'), ``p_value`` and ``differs`` (False where an accuracy is missing).
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
    """Difference of means, 95% interval, method and two-sided p value."""
    if min(len(cpu), len(gpu)) == 0:
        return np.nan, np.nan, np.nan, "missing", np.nan
    difference, variance = float(gpu.mean() - cpu.mean()), 0.0
    method = "binomial" if min(len(cpu), len(gpu)) == 1 else "welch"
    if method == "binomial":
        variance = sum(a.mean() * (1 - a.mean()) / TEST_IMAGES for a in (cpu, gpu))
    elif np.ptp(cpu) > 0 or np.ptp(gpu) > 0:
        with warnings.catch_warnings(action="ignore"):  # One device's repeats may be all alike.
            test = stats.ttest_ind(gpu, cpu, equal_var=False)
        return difference, *map(float, test.confidence_interval(1 - LEVEL)), method, test.pvalue
    if variance == 0:
        return difference, difference, difference, method, float(difference == 0)
    error = variance**0.5
    low, high = stats.norm.interval(1 - LEVEL, difference, error)
    return difference, low, high, method, 2 * stats.norm.sf(abs(difference) / error)


def _holm(p_values: "pd.Series[float]") -> "pd.Series[float]":
    """Holm-adjusted p values of one family; missing ones stay missing and do not count."""
    ordered = p_values.dropna().sort_values()
    factors = np.arange(len(ordered), 0, -1)
    adjusted = (ordered * factors).cummax().clip(upper=1)
    return adjusted.reindex(p_values.index)
