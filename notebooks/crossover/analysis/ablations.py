"""Ablations: what one change of the published protocol buys."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from crossover.analysis.batch_map import BATCH_SIZES
from crossover.problem import BATCH_SIZE, steps_per_epoch
from crossover.records.backends import BACKENDS
from crossover.records.frame import to_frame
from crossover.records.record import Record
from crossover.records.settings import Backend, Device, Settings, protocol_settings

EPOCHS, WIDTHS = 3, [4, 128, 1024]
WHOLE_EPOCH = steps_per_epoch(BATCH_SIZE)
BASELINE = "published"
CHANGES: dict[str, dict[str, Any]] = {
    BASELINE: {},
    "32 steps an execution": {"steps_per_execution": 32},
    "an epoch an execution": {"steps_per_execution": WHOLE_EPOCH},
    "XLA": {"jit_compile": True},
    "TF32": {"tf32": True},
    "data on the device": {"data": "device"},
    **{f"batches of {size}": {"batch_size": size} for size in BATCH_SIZES if size != BATCH_SIZE},
    "no validation": {"validation": False},
    "no metrics": {"metrics": False},
}


def changes_of(backend: Backend) -> dict[str, dict[str, Any]]:
    """The changes that a backend can make and has not made, by name; the baseline is the first."""
    facts = BACKENDS[backend]
    left_out = {"steps_per_execution"} if facts.one_step else set()
    if facts.xla != "by choice":
        left_out.add("jit_compile")
    return {name: change for name, change in CHANGES.items() if not left_out & set(change)}


def applies(change: Mapping[str, Any], device: Device) -> bool:
    """Whether a change can change anything on a device: a CPU has no TF32."""
    return device == "gpu" or "tf32" not in change


def change_of(settings: Settings) -> str | None:
    """Name of the change that these settings are, or None if they are no ablation's."""
    named = (name for name, change in CHANGES.items() if _is_change(settings, change))
    return next(named, None)


def _is_change(settings: Settings, change: dict[str, Any]) -> bool:
    """Whether settings are the published ones but for a change, backend and threads."""
    given = {"backend": settings.backend, "threads": settings.threads, "epochs": EPOCHS}
    return settings == protocol_settings("published", **(given | change))


def ablation_table(records: Sequence[Record]) -> pd.DataFrame:
    """What each change does to an epoch after the first.

    One row for each device, width and change: ``epoch_seconds`` (median over repeats of the steady
    epoch), ``ratio`` (epoch of the published protocol / this one, of the same repeat; median over
    the repeats: above 1 the change helps), ``low`` and ``high`` (the smallest and largest of these
    ratios) and ``saved_us`` (microseconds that the change saves in each step of the baseline,
    median over the repeats). Repeats without a baseline are left out.
    """
    changed = [(record, name) for record in records if (name := change_of(record.settings))]
    if {name for _, name in changed} <= {BASELINE}:
        changed = []
    frame = _epochs([record for record, _ in changed])
    frame["change"] = pd.Categorical([name for _, name in changed], list(CHANGES))
    # Within one repeat, minutes apart: over hours a machine's own speed drifts by more.
    turn = ["device", "width", "repeat"]
    base = frame[frame["change"] == BASELINE].groupby(turn)["epoch_seconds"].median()
    frame = frame.join(base.rename("base"), on=turn).dropna(subset="base")
    frame["ratio"] = frame["base"] / frame["epoch_seconds"]
    frame["saved_us"] = (frame["base"] - frame["epoch_seconds"]) / WHOLE_EPOCH * 1e6
    cells = frame.groupby(["device", "width", "change"], observed=True).agg(
        epoch_seconds=("epoch_seconds", "median"),
        ratio=("ratio", "median"),
        low=("ratio", "min"),
        high=("ratio", "max"),
        saved_us=("saved_us", "median"),
    )
    return cells.reset_index().astype({"change": str})


def noise_factors(trials: pd.DataFrame) -> dict[tuple[str, int], float]:
    """How much one machine's repeats of the published protocol differ by themselves.

    By device and width, the longest steady time over the shortest; cells of a single trial are left
    out, for they show no noise.
    """
    plain = trials[trials["protocol"] == "published"]
    cells = plain.groupby(["device", "width"])["steady_seconds"]
    factors = (cells.max() / cells.min())[cells.count() > 1]
    return dict(zip(factors.index, factors, strict=True))


def _epochs(records: Sequence[Record]) -> pd.DataFrame:
    """Records as a frame with ``epoch_seconds``, those of an epoch after the first."""
    frame = to_frame(records, "")
    return frame.assign(epoch_seconds=frame["steady_seconds"] / frame["epochs"])
