"""Where a step's time goes: measured parts of a step, and what they leave unexplained."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from crossover.analysis.ablations import ablation_table
from crossover.analysis.stepmodel import step_seconds
from crossover.records.ceilings import KINDS, Ceilings, WidthCeilings
from crossover.records.frame import groups
from crossover.records.record import Record

PARTS = [
    "matrix products",
    "optimizer",
    "batch copy",
    "dispatch",
    "validation",
    "metrics",
    "not attributed",
]
# Parts that a difference between two ablations measures.
BY_ABLATION = {
    "dispatch": "an epoch an execution",
    "validation": "no validation",
    "metrics": "no metrics",
}

STEP = ["backend", "protocol", "device", "width"]


def measured_steps(
    trials: pd.DataFrame, ceilings: Sequence[Ceilings]
) -> Iterator[tuple[float, "pd.Series[Any]", Ceilings, WidthCeilings]]:
    """The steady steps of one machine's trials at the widths whose ceilings were measured there.

    Of each cell its median seconds, its first trial, the ceilings of its device, and of its width.
    """
    by_device: dict[tuple[str, str], Ceilings] = {
        (one.backend, one.device): one for one in ceilings
    }
    for (backend, _, device, width), cell in groups(trials, STEP):
        measured, seconds = by_device.get((backend, device)), step_seconds(cell).median()
        parts = measured.at(width) if measured else None
        if measured and parts and pd.notna(seconds):
            yield seconds, cell.iloc[0], measured, parts


def step_breakdown(
    trials: pd.DataFrame, recorded: Sequence[Record], ceilings: Sequence[Ceilings]
) -> pd.DataFrame:
    """Split the steady step of one machine's curves into measured parts.

    Curves without ceilings are left out; ``recorded`` are all trials of the machine, of which those
    of the ablations are used. One row for each protocol, device and width: ``step_us`` (median
    microseconds of a steady step, validation included) and one column a part of ``PARTS``. A part
    that was not measured is NaN. *Not attributed* is the rest; it is negative where parts overlap
    in time, as copies and arithmetic do. A difference between two ablations that is below zero is
    noise: it stands in its column, and nothing is attributed to it. ``dispatch`` is what running a
    whole epoch an execution saves (see ``steps_meaning`` of `crossover.records.backends`).
    """
    saved = ablation_table(recorded).set_index(["device", "width", "change"])["saved_us"]
    rows = []
    for seconds, trial, measured, parts in measured_steps(trials, ceilings):
        row = dict(trial[["protocol", "device", "width"]]) | {"step_us": seconds * 1e6}
        row["matrix products"] = parts.products_seconds(trial["precision"]) * 1e6
        row["optimizer"] = statistics.median(parts.optimizer) * 1e6
        if row["protocol"] == "published":
            row["batch copy"] = statistics.median(measured.batch_copy) * 1e6
            for part, change in BY_ABLATION.items():
                row[part] = saved.get((row["device"], row["width"], change), float("nan"))
        rows.append(row)
    table = pd.DataFrame(rows, columns=["protocol", "device", "width", "step_us", *PARTS])
    attributed = table[PARTS[:-1]].astype(float).clip(lower=0).sum(axis=1)
    table["not attributed"] = table["step_us"] - attributed
    return table


def profile_table(trials: pd.DataFrame, ceilings: Sequence[Ceilings]) -> pd.DataFrame:
    """What the framework's profiler saw of published steps on one machine.

    One row for each device and width with a profile: ``step_us`` (median microseconds of the
    study's steady step, NaN where there is none), ``profiled_us`` and one column of microseconds
    for each of ``KINDS``, which add up to it.
    """
    steps = step_seconds(trials).groupby([trials[key] for key in STEP]).median() * 1e6
    rows = [
        {
            "device": measured.device,
            "width": parts.width,
            "step_us": steps.get((measured.backend, "published", measured.device, parts.width)),
            "profiled_us": parts.profile.step_seconds * 1e6,
            **{kind: parts.profile.seconds.get(kind, 0.0) * 1e6 for kind in KINDS},
        }
        for measured in ceilings
        # A record holds its widths in the order of their measurement.
        for parts in sorted(measured.widths, key=lambda parts: parts.width)
        if parts.profile
    ]
    table = pd.DataFrame(rows, columns=["device", "width", "step_us", "profiled_us", *KINDS])
    return table.astype({"step_us": float})
