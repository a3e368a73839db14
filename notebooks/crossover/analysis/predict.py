"""Which device for my model: seconds of an epoch predicted from recorded trials."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy import stats

from crossover.analysis.order import Floats
from crossover.analysis.stepmodel import (
    FEWEST_SIZES,
    StepModel,
    Term,
    fit_steps,
    sizes_of,
    step_medians,
    timing_of,
)
from crossover.analysis.verdict import UNKNOWN, Prediction, verdict
from crossover.problem import steps_per_epoch
from crossover.records.frame import groups

MANY_SIZES = 6
ONE_BATCH_SIZE: tuple[Term, ...] = ("overhead", "work", "root")


@dataclass(frozen=True)
class Predictor:
    """Seconds of a step = overhead + images + arithmetic at a rate that grows with its size.

    Arithmetic is work / rate + a part that grows with the root of the work (6 · parameters ·
    batch): small products run at lower rates. The term in the images alone (feeding them) is fitted
    only where trials of several batch sizes are recorded. ``error`` is the standard deviation of
    the log ratios of times that were left out of the fit, a width at a time, to what it then
    predicts, with ``freedom`` degrees of freedom; ``timing`` tells which times were fitted, and
    ``starts`` the seconds that a training of each size costs once, NaN where only cold times are
    known. ``alone`` are fits of single batch sizes, which answer for these where they were timed at
    many sizes: what is known of the other batch sizes makes them no surer. ``epochs`` are those of
    the longest training.
    """

    steps: StepModel
    error: float
    freedom: int
    parameters: tuple[int, int]
    batch_sizes: tuple[int, ...]
    timing: str
    starts: "pd.Series[float]"
    alone: Mapping[int, "Predictor"]
    epochs: int

    @property
    def reach(self) -> float:
        """Half a 95% prediction interval, in logarithms, for each unit of spread."""
        return float(stats.t.ppf(0.975, self.freedom)) * self.error

    def step_seconds(self, parameters: int, batch_size: int) -> tuple[float, float, float]:
        """Predicted seconds of a step and its 95% prediction interval."""
        if batch_size in self.alone:
            return self.alone[batch_size].step_seconds(parameters, batch_size)
        parts = self.steps.parts(parameters, batch_size)
        return prediction_interval(parts, self.steps.inverse, self.reach)

    def start(self, parameters: int) -> float:
        """Seconds that a training of so many parameters costs once, NaN where unknown."""
        if self.starts.empty:
            return float("nan")
        sizes = np.log(self.starts.index.to_numpy(dtype=np.float64))
        return float(np.interp(np.log(parameters), sizes, self.starts.to_numpy()))

    def measured(self, parameters: int, batch_size: int) -> bool:
        """Whether a model lies inside what was measured."""
        low, high = self.parameters
        return low <= parameters <= high and batch_size in self.batch_sizes


def fit_predictor(trials: pd.DataFrame, timing: str | None = None) -> Predictor | None:
    """Fit one device's trials of one protocol, of any batch sizes.

    Non-negative least squares of the relative errors of each cell's median; None where fewer than
    three sizes were timed. ``timing`` is 'cold' or 'steady'; not given, steady where it is known: a
    cold time mixes what a training costs once with its epochs, and trials of few epochs with those
    of many.
    """
    timing = timing or timing_of(trials)
    whole = _fit(trials, timing)
    if whole is None or len(whole.batch_sizes) == 1:
        return whole
    single = {size: _fit(rows, timing) for size, rows in groups(trials, "batch_size")}
    alone = {size: one for size, one in single.items() if one and one.freedom + 1 >= MANY_SIZES}
    return replace(whole, alone=alone)


def _fit(trials: pd.DataFrame, timing: str) -> Predictor | None:
    """Fit all cells of some trials at once."""
    medians = step_medians(trials, timing)
    sizes, batch_sizes = (np.unique(values) for values in sizes_of(medians))
    if len(sizes) < FEWEST_SIZES:
        return None
    terms = ONE_BATCH_SIZE if len(batch_sizes) == 1 else get_args(Term)
    return Predictor(
        steps=fit_steps(medians, terms),
        error=float(np.sqrt(np.mean(_left_out(medians, terms) ** 2))),
        freedom=len(sizes) - 1,
        parameters=(int(sizes[0]), int(sizes[-1])),
        batch_sizes=tuple(map(int, batch_sizes)),
        timing=timing,
        starts=trials.groupby("parameters")["start_seconds"].median().dropna(),
        alone={},
        epochs=int(trials["epochs"].max()),
    )


def _left_out(medians: "pd.Series[float]", terms: Sequence[Term]) -> Floats:
    """Log ratio of each time to what the other sizes' times predict, shape (times,)."""
    parameters, batch_sizes = sizes_of(medians)
    ratios = np.empty(len(medians))
    for size in np.unique(parameters):
        out = parameters == size
        model = fit_steps(medians[~out], terms)
        ratios[out] = np.log(medians[out] / model.parts(size, batch_sizes[out]).sum(axis=-1))
    return ratios


def prediction_interval(parts: Floats, inverse: Floats, reach: float) -> tuple[float, float, float]:
    """Seconds of what takes these parts, (terms,), and their 95% prediction interval.

    ``inverse``, shape (terms, terms), is that of `StepModel`, ``reach`` that of `Predictor`.
    """
    seconds = float(parts.sum())
    shares = parts / seconds
    factor = float(np.exp(reach * np.sqrt(1 + shares @ inverse @ shares)))
    return seconds, seconds / factor, seconds * factor


def prediction(
    cpu: Predictor | None, gpu: Predictor | None, parameters: int, batch_size: int
) -> dict[str, Any]:
    """Predicted epochs of both devices and which is faster.

    ``{cpu,gpu}_seconds`` of an epoch of MNIST, with ``_low`` and ``_high`` (95% prediction
    interval; NaN where unknown), both as ``times``, ``verdict``, that on both, ``measured`` tells
    whether all lies inside the measured sizes, and ``{cpu,gpu}_start`` are seconds once a training
    (NaN where unknown). Where a device has only cold times, ``timing`` is 'cold': each epoch holds
    its share of what a training of as many epochs costs once, on both devices.
    """
    steps = steps_per_epoch(batch_size)
    fitted = {device: one for device, one in (("cpu", cpu), ("gpu", gpu)) if one is not None}
    cold = [one.epochs for one in fitted.values() if one.timing == "cold"]
    row: dict[str, Any] = {"parameters": parameters, "batch_size": batch_size}
    predictions = {"cpu": UNKNOWN, "gpu": UNKNOWN}
    for device in predictions:
        seconds, start = np.full(3, np.nan), np.nan
        if one := fitted.get(device):
            seconds = np.array(one.step_seconds(parameters, batch_size)) * steps
            start = one.start(parameters)
            if cold and one.timing == "steady":  # The other's start is in its epochs.
                seconds += start / cold[0]
            middle, low, high = seconds.tolist()
            predictions[device] = Prediction(middle, low, high, "extrapolated", sure=False)
        names = [f"{device}_{name}" for name in ("seconds", "low", "high", "start")]
        row |= dict(zip(names, (*seconds, np.nan if cold else start), strict=True))
    row["timing"] = "cold" if cold else "steady"
    row["times"] = tuple(predictions.values())
    row["verdict"] = verdict(*row["times"])
    row["measured"] = all(one.measured(parameters, batch_size) for one in fitted.values())
    return row


def prediction_table(
    cpu: Predictor | None, gpu: Predictor | None, parameters: Iterable[int], apart: int = 0
) -> pd.DataFrame:
    """One `prediction` a row for each size and each batch size that was measured but ``apart``."""
    timed = [set(predictor.batch_sizes) for predictor in (cpu, gpu) if predictor is not None]
    sizes = sorted(set.intersection(*timed) - {apart}) if timed else []
    rows = [prediction(cpu, gpu, count, size) for count in parameters for size in sizes]
    return pd.DataFrame(rows)
