"""A time model of one training step: a fixed overhead plus work at a sustained rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from crossover.analysis.leastsquares import Floats, fit_relative
from crossover.analysis.summary import CURVE
from crossover.records.frame import groups

# Forward 2, backward 4 for each parameter and sample (Kaplan et al. 2020, section 2.1).
FLOPS_PER_PARAMETER = 6
FEWEST_SIZES = 3


@dataclass(frozen=True)
class TimeModel:
    """Seconds per step = overhead + 6 · parameters · batch / rate.

    ``overhead_seconds`` and ``flops_per_second`` (infinite if the times do not
    grow) come with the limits that Student's t gives the fit, as if a straight line
    were exact; ``relative_error`` is the residuals'
    standard deviation as a share of the time.
    """

    overhead_seconds: float
    overhead_low: float
    overhead_high: float
    flops_per_second: float
    flops_low: float
    flops_high: float
    relative_error: float
    batch_size: int

    def predict(self, parameters: npt.ArrayLike) -> Floats:
        """Seconds per step, in the shape of ``parameters``."""
        work = FLOPS_PER_PARAMETER * np.asarray(parameters, dtype=np.float64) * self.batch_size
        return np.asarray(self.overhead_seconds + work / self.flops_per_second)


def fit_time_model(
    parameters: npt.ArrayLike, seconds: npt.ArrayLike, steps_total: float, batch_size: int
) -> TimeModel:
    """Fit overhead and rate by non-negative least squares of relative errors.

    Parameters
    ----------
    parameters : array, shape (times,)
    seconds : array, shape (times,)
        Of whole trainings.
    steps_total : float
        Optimizer steps of one training.
    batch_size : int

    Returns
    -------
    TimeModel
        The intervals are Student's t with times - 2 degrees of freedom, cut off at zero.

    Raises
    ------
    ValueError
        If fewer than three different sizes are given, or a time is not positive and finite.
    """
    sizes = np.asarray(parameters, dtype=np.float64)
    steps = np.asarray(seconds, dtype=np.float64) / steps_total
    if len(np.unique(sizes)) < FEWEST_SIZES:
        raise ValueError(f"a time model needs {FEWEST_SIZES} sizes; train more widths")
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError("a time is not positive and finite; check its records")
    work = FLOPS_PER_PARAMETER * sizes * batch_size
    fit = fit_relative(np.column_stack([np.ones(len(work)), work]), steps)
    fitted, freedom = fit.coefficients, len(steps) - 2
    error = fit.residual / np.sqrt(freedom)
    half = stats.t.ppf(0.975, freedom) * error * _unit_errors(fit.design)
    low, high = np.clip(fitted - half, 0, None), fitted + half
    with np.errstate(divide="ignore"):
        rate, rate_low, rate_high = fit.scales[1] / np.array([fitted[1], high[1], low[1]])
    return TimeModel(
        float(fitted[0]),
        float(low[0]),
        float(high[0]),
        float(rate),
        float(rate_low),
        float(rate_high),
        float(error),
        batch_size,
    )


def timing_of(trials: pd.DataFrame) -> str:
    """'steady' where such times are known, else 'cold': single epochs, and published tables."""
    return "steady" if trials["steady_seconds"].notna().any() else "cold"


def fit_all(trials: pd.DataFrame) -> pd.DataFrame:
    """Fit the medians of every curve.

    Steady times where there are any: a cold time holds what a training costs
    once, and would put it into the overhead of each step.

    Parameters
    ----------
    trials : DataFrame
        One row a trial.

    Returns
    -------
    DataFrame
        One row for each machine, backend, protocol and device: ``timing``, the
        fields of `TimeModel`, NaN where a curve has fewer than three timed
        sizes, and ``start_low`` and ``start_high``, the least and the most
        seconds that a training of any size costs once (medians; NaN where unknown).
    """
    rows = []
    for curve, group in groups(trials, CURVE):
        timing = timing_of(group)
        known = group.dropna(subset=[f"{timing}_seconds"])
        medians = known.groupby("parameters")[f"{timing}_seconds"].median()
        starts = group.groupby("parameters")["start_seconds"].median()
        fields: dict[str, float] = {"start_low": starts.min(), "start_high": starts.max()}
        if len(medians) >= FEWEST_SIZES:
            first = known.iloc[0]
            steps_total, batch_size = first["epochs"] * first["steps"], int(first["batch_size"])
            sizes = medians.index.to_numpy()
            fields |= vars(fit_time_model(sizes, medians.to_numpy(), steps_total, batch_size))
        rows.append({**dict(zip(CURVE, curve, strict=True)), "timing": timing, **fields})
    names = [*CURVE, "timing", *TimeModel.__dataclass_fields__, "start_low", "start_high"]
    return pd.DataFrame(rows, columns=names)


def _unit_errors(design: Floats) -> Floats:
    """Give the standard errors, shape (2,), of least squares whose residuals have unit spread."""
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(design.T @ design))))
