"""What a recorded device would need for a model that it never trained: at least, and at most.

At least it takes the overhead that its published steps have (validation included), and the step's
operations at the fastest rate that was seen on it in float32; at most that overhead, the seconds of
the matrix products of a published step that does as much, and all that the operations read and
write moved once through its memory, as if none was fused with another. That a model starts more
operations than a perceptron, each with an overhead of its own, it does not know.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crossover.analysis.stepmodel import timing_of
from crossover.analysis.timemodel import TimeModel, fit_curve
from crossover.analysis.verdict import Prediction
from crossover.paths import REFERENCES
from crossover.records.ceilings import Ceilings, read_ceilings
from crossover.records.frame import to_frame
from crossover.records.own import OwnRun, StepCost
from crossover.records.reference import read_reference, reference_paths
from crossover.records.settings import Backend, Device


@dataclass(frozen=True)
class Recorded:
    """A device that is known by its published trials and its ceilings; ``source`` tells whose."""

    name: str
    source: str
    backend: Backend
    device: Device
    model: TimeModel
    ceilings: Ceilings

    def estimate(self, run: OwnRun, cost: StepCost) -> "Estimate":
        """What a step of a model would take here; ``cost`` is that of the run's batch size."""
        model, ceilings = self.model, self.ceilings
        copied = max(run.batch_bytes - ceilings.batch_bytes, 0) / ceilings.copy_bytes_per_second
        peak = ceilings.peak()
        assert peak is not None  # See `recorded`.
        moved = (cost.data_bytes or 0) / ceilings.memory_bytes_per_second
        return Estimate(
            overhead_low=min(model.overhead_low, model.least_seconds),
            overhead_high=model.overhead_high,
            work_low=copied + cost.flops / peak.flops_per_second,
            work_high=copied + self.products_seconds(cost.flops) + moved,
        )

    def products_seconds(self, flops: int) -> float:
        """Seconds of the matrix products, alone, of a published step that does as much.

        Interpolated in logarithms between the widths that were measured; never less than the
        smallest's, and beyond the largest at its rate.
        """
        widths = sorted((one.product_flops, one.products_seconds()) for one in self.ceilings.widths)
        sizes, seconds = np.log(np.array(widths).T)
        beyond = max(flops / widths[-1][0], 1.0)
        return float(np.exp(np.interp(np.log(flops), sizes, seconds))) * beyond


@dataclass(frozen=True)
class Estimate:
    """Seconds of a step, at least and at most, by overhead (95% limits) and by work."""

    overhead_low: float
    overhead_high: float
    work_low: float
    work_high: float

    @property
    def low(self) -> float:
        """At least."""
        return self.overhead_low + self.work_low

    @property
    def high(self) -> float:
        """At most."""
        return self.overhead_high + self.work_high

    @property
    def prediction(self) -> Prediction:
        """As the verdict takes it: the middle of both in logarithms, and never sure."""
        return Prediction(
            float(np.sqrt(self.low * self.high)), self.low, self.high, "extrapolated", sure=False
        )


def recorded(
    name: str, source: str, trials: pd.DataFrame, ceilings: Sequence[Ceilings], device: Device
) -> Recorded | None:
    """A device by its trials and ceilings; None where the two do not tell enough of it."""
    rows = trials[(trials["device"] == device) & (trials["protocol"] == "published")]
    if rows.empty:
        return None
    backend = str(rows["backend"].iloc[0])
    own = [one for one in ceilings if (one.device, one.backend) == (device, backend)]
    model = fit_curve(rows, timing_of(rows))
    if model is None or not own or own[0].peak() is None:
        return None
    return Recorded(name, source, backend, device, model, own[0])


def recorded_gpus() -> list[Recorded]:
    """The GPUs of the project's references that have trials and ceilings."""
    gpus = []
    for path in reference_paths():
        ceilings = [c for c in read_ceilings(REFERENCES / path.stem)[0] if c.device == "gpu"]
        if not ceilings:
            continue
        size = statistics.mode(one.batch_size for one in ceilings)
        records = [r for r in read_reference(path).records if r.settings.batch_size == size]
        trials = to_frame(records, path.stem)
        names = trials.loc[trials["device"] == "gpu", "processor"]
        if len(names):
            gpus.append(recorded(str(names.iloc[0]), path.stem, trials, ceilings, "gpu"))
    return [gpu for gpu in gpus if gpu is not None]
