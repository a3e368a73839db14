"""Models of the reader's own: their repeats side by side, on both devices."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from crossover.analysis.order import FEWEST_REPEATS, kind_name, median_limits
from crossover.analysis.profile import profile_row
from crossover.analysis.verdict import UNKNOWN, Prediction, Verdict, verdict
from crossover.records.ceilings import KINDS
from crossover.records.frame import processor
from crossover.records.own import OwnRun, StepCost
from crossover.records.settings import Device

DEVICES: tuple[Device, Device] = ("cpu", "gpu")


@dataclass(frozen=True)
class OwnModel:
    """All repeats of one model that may be compared, of both devices.

    They share the file and what it builds, backend, batch sizes and threads, XLA and precision.
    """

    runs: tuple[OwnRun, ...]

    @property
    def first(self) -> OwnRun:
        """A repeat, for what all of them share."""
        return self.runs[0]

    def of(self, device: Device) -> list[OwnRun]:
        """The repeats on a device."""
        return [run for run in self.runs if run.device == device]

    @property
    def devices(self) -> list[Device]:
        """The devices that it was measured on, the CPU first."""
        return [device for device in DEVICES if self.of(device)]

    @property
    def cost(self) -> StepCost | None:
        """What a step at the batch size asked for computes; None where it was not counted."""
        return next((run.cost for run in self.runs if run.cost), None)

    @property
    def uncounted(self) -> str:
        """Why a step's operations were not counted; empty where they were."""
        return "" if self.cost else next((r.uncounted for r in self.runs if r.uncounted), "")

    def table(self) -> pd.DataFrame:
        """One row for each device and batch size.

        ``device``, ``batch_size``, ``repeats``, the median of ``step_ms`` over the repeats with
        ``step_ms_low`` and ``step_ms_high`` (order statistics from five repeats on, else the range;
        NaN for one), ``interval`` (their name), ``rows_per_second`` (of the median) and
        ``first_seconds``, those of the first steps, which trace and compile (median). Where a size
        has no times, ``missing`` says why.
        """
        rows = []
        for device in self.devices:
            runs = self.of(device)
            for place, asked in enumerate(runs[0].batches):
                own = [run.batches[place] for run in runs]
                steps = np.array([one.step_seconds for one in own if one.step_seconds])
                reasons = [one.missing for one in own if one.missing]
                starts = [one.first_seconds for one in own if one.first_seconds is not None]
                middle = float(np.median(steps)) if len(steps) else np.nan
                low, high = median_limits(steps) if len(steps) > 1 else (np.nan, np.nan)
                rows.append({
                    "device": device, "batch_size": asked.batch_size, "repeats": len(steps),
                    "step_ms": middle * 1e3, "step_ms_low": float(low) * 1e3,
                    "step_ms_high": float(high) * 1e3, "interval": kind_name(len(steps)),
                    "rows_per_second": asked.batch_size / middle,
                    "first_seconds": statistics.median(starts) if starts else np.nan,
                    "missing": _why(reasons, len(own)),
                })  # fmt: skip
        return pd.DataFrame(rows)

    def step(self, device: Device, batch_size: int | None = None) -> Prediction:
        """Seconds of a step on a device with their limits; unknown where it was not measured."""
        size = batch_size or self.first.batch_size
        table = self.table()
        rows = table[(table["device"] == device) & (table["batch_size"] == size)]
        rows = rows.dropna(subset=["step_ms"])
        if rows.empty:
            return UNKNOWN
        row = rows.iloc[0]
        low, high = (
            None if np.isnan(row[name]) else row[name] / 1e3
            for name in ("step_ms_low", "step_ms_high")
        )
        return Prediction(
            row["step_ms"] / 1e3, low, high, "measured", row["repeats"] >= FEWEST_REPEATS
        )

    def verdict(self, batch_size: int | None = None) -> Verdict:
        """Which device takes less time for a step, by the report's one verdict function."""
        return verdict(self.step("cpu", batch_size), self.step("gpu", batch_size))

    def profile(self) -> pd.DataFrame:
        """What the profiler saw of a step: a row a device, microseconds of each of ``KINDS``.

        ``untraced_us`` are those of the same steps, each waited for, without the profiler, and
        ``profiled_us`` those with it.
        """
        rows = [
            {"device": device, **profile_row(run.profile)}
            for device in self.devices
            for run in self.of(device)
            if run.profile
        ]
        return pd.DataFrame(rows, columns=["device", "untraced_us", "profiled_us", *KINDS])


def _why(reasons: Sequence[str], repeats: int) -> str:
    """Why a batch size has no times in some or all repeats."""
    if not reasons or len(reasons) == repeats:
        return reasons[0] if reasons else ""
    return f"in {len(reasons)} of {repeats} repeats: {reasons[0]}"


def own_models(runs: Iterable[OwnRun]) -> list[OwnModel]:
    """The models that repeats are of, the one that was measured last first."""
    models = [
        OwnModel(tuple(sorted(repeats, key=lambda run: (run.device, run.repeat))))
        for _, repeats in groupby(sorted(runs, key=_kind), key=_kind)
    ]
    return sorted(models, key=lambda model: max(run.started for run in model.runs), reverse=True)


def _kind(run: OwnRun) -> tuple[str, ...]:
    """What repeats share that may be compared."""
    settings = run.backend, run.batch_size, run.threads, run.seconds, run.jit_compile, run.precision
    return (run.model, run.file_digest, run.model_digest, run.policy,
            *map(str, settings), str(processor(run.machine)))  # fmt: skip
