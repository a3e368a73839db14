"""A time model of one training step: a fixed overhead plus work at a sustained rate."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from crossover.analysis.order import Floats
from crossover.analysis.stepmodel import (
    FEWEST_SIZES,
    fit_steps,
    sizes_of,
    step_medians,
    timing_of,
    work_of,
)
from crossover.analysis.summary import CURVE
from crossover.records.frame import groups


@dataclass(frozen=True)
class TimeModel:
    """Seconds per step = overhead + 6 · parameters · batch / rate.

    ``overhead_seconds`` and ``flops_per_second`` (infinite if the times do not grow) come with the
    limits that Student's t gives the fit, as if a straight line were exact. ``typical_miss`` and
    ``greatest_miss`` are the median and the greatest distance of the fitted times from the line, as
    shares of it, ``missed_at`` the parameters of the greatest; ``least_seconds`` is the shortest
    step, of ``least_at`` parameters.
    """

    batch_size: int
    overhead_seconds: float
    overhead_low: float
    overhead_high: float
    flops_per_second: float
    flops_low: float
    flops_high: float
    typical_miss: float
    greatest_miss: float
    missed_at: int
    least_seconds: float
    least_at: int

    @property
    def line(self) -> Floats:
        """Seconds of a step whatever the model's size, and seconds for each parameter, (2,)."""
        work_seconds = float(work_of(1, self.batch_size)) / self.flops_per_second
        return np.array([self.overhead_seconds, work_seconds])

    def predict(self, parameters: npt.ArrayLike) -> Floats:
        """Seconds per step, in the shape of ``parameters``."""
        work = work_of(parameters, self.batch_size)
        return np.asarray(self.overhead_seconds + work / self.flops_per_second)


def fit_time_model(medians: "pd.Series[float]") -> TimeModel:
    """Fit overhead and rate to the `step_medians` of one batch size.

    The intervals are Student's t with times - 2 degrees of freedom, cut off at zero. Raises
    `ValueError` if fewer than three different sizes are given, or a time is not positive and
    finite.
    """
    sizes, batch_sizes = sizes_of(medians)
    if len(np.unique(sizes)) < FEWEST_SIZES:
        raise ValueError(f"a time model needs {FEWEST_SIZES} sizes; train more widths")
    if not (np.isfinite(medians) & (medians > 0)).all():
        raise ValueError("a time is not positive and finite; check its records")
    model = fit_steps(medians, ("overhead", "work"))
    freedom = len(medians) - 2
    error = model.residual / np.sqrt(freedom)
    # Standard errors of least squares whose residuals have unit spread.
    unit_errors = np.sqrt(np.diag(np.linalg.inv(model.design.T @ model.design)))
    half = stats.t.ppf(0.975, freedom) * error * unit_errors
    limits = np.array([model.coefficients, model.coefficients - half, model.coefficients + half])
    overhead, work = (np.clip(limits, 0, None) / model.scales).T
    with np.errstate(divide="ignore"):
        rate, rate_high, rate_low = 1 / work
    misses = np.abs(medians.to_numpy() / model.parts(sizes, batch_sizes).sum(axis=-1) - 1)
    worst = int(misses.argmax())
    return TimeModel(
        batch_size=int(batch_sizes[0]),
        overhead_seconds=float(overhead[0]),
        overhead_low=float(overhead[1]),
        overhead_high=float(overhead[2]),
        flops_per_second=float(rate),
        flops_low=float(rate_low),
        flops_high=float(rate_high),
        typical_miss=float(np.median(misses)),
        greatest_miss=float(misses[worst]),
        missed_at=int(sizes[worst]),
        least_seconds=float(medians.min()),
        least_at=int(sizes[int(medians.to_numpy().argmin())]),
    )


def fit_curve(trials: pd.DataFrame, timing: str) -> TimeModel | None:
    """Fit the cold or steady medians of one curve; None where fewer than three sizes are timed."""
    medians = step_medians(trials, timing)
    return fit_time_model(medians) if len(medians) >= FEWEST_SIZES else None


def fit_all(trials: pd.DataFrame) -> pd.DataFrame:
    """Fit the medians of every curve, its steady times where there are any.

    One row for each machine, backend, protocol and device: ``timing``, the fields of `TimeModel`,
    NaN where a curve has fewer than three timed sizes, and ``start_low`` and ``start_high``, the
    least and the most seconds that a training of any size costs once (medians; NaN where unknown).
    """
    rows = []
    for curve, group in groups(trials, CURVE):
        timing = timing_of(group)
        starts = group.groupby("parameters")["start_seconds"].median()
        row = dict(zip(CURVE, curve, strict=True)) | {"timing": timing}
        row |= {"start_low": starts.min(), "start_high": starts.max()}
        model = fit_curve(group, timing)
        rows.append(row | (vars(model) if model else {}))
    names = [*CURVE, "timing", *TimeModel.__dataclass_fields__, "start_low", "start_high"]
    return pd.DataFrame(rows, columns=names)
