"""Where a step's time goes: measured parts of a step, and what they leave unexplained."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import pandas as pd

from crossover.analysis.ablations import ablation_table
from crossover.records.frame import groups
from crossover.records.limits import KINDS, Limits
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


def step_breakdown(
    trials: pd.DataFrame, recorded: Sequence[Record], limits: Sequence[Limits]
) -> pd.DataFrame:
    """Split the steady step of each curve into measured parts.

    Parameters
    ----------
    trials : DataFrame
        The study's trials of this machine, one row a trial.
    recorded : sequence of Record
        All trials of this machine; those of the ablations are used.
    limits : sequence of Limits
        Measured on the same machine; curves without limits are left out.

    Returns
    -------
    DataFrame
        One row for each protocol, device and width: ``step_us`` (median
        microseconds of a steady step, validation included) and one column a
        part of ``PARTS``. A part that was not measured is NaN. *Not
        attributed* is the rest; it is negative where parts overlap in time,
        as copies and arithmetic do. A difference between two ablations that is
        below zero is noise: it stands in its column, and nothing is attributed
        to it. ``dispatch`` is what running a whole epoch an execution saves
        (see `crossover.report.why.dispatch_meaning`).
    """
    saved = ablation_table(recorded).set_index(["device", "width", "change"])["saved_us"]
    by_device: dict[tuple[str, str], Limits] = {
        (found.backend, found.device): found for found in limits
    }
    curves = ["backend", "protocol", "device"]
    precisions = {key: cell["precision"].iloc[0] for key, cell in groups(trials, curves)}
    rows = []
    for (backend, protocol, device, width), cell in _steps(trials):
        known = by_device.get((backend, device))
        parts = known.at(width) if known else None
        if known is None or parts is None:
            continue
        row = {"protocol": protocol, "device": device, "width": width, "step_us": cell}
        precision = precisions[backend, protocol, device]
        row["matrix products"] = parts.products_seconds(precision) * 1e6
        row["optimizer"] = statistics.median(parts.optimizer) * 1e6
        if protocol == "published":
            row["batch copy"] = known.batch_copy_seconds * 1e6
            for part, change in BY_ABLATION.items():
                row[part] = saved.get((device, width, change), float("nan"))
        rows.append(row)
    table = pd.DataFrame(rows, columns=["protocol", "device", "width", "step_us", *PARTS])
    measured = table[PARTS[:-1]].astype(float)
    table["not attributed"] = table["step_us"] - measured.clip(lower=0).sum(axis=1)
    return table


def profile_table(trials: pd.DataFrame, limits: Sequence[Limits]) -> pd.DataFrame:
    """What the framework's profiler saw of published steps.

    Parameters
    ----------
    trials : DataFrame
        The study's trials of this machine, one row a trial.
    limits : sequence of Limits
        Measured on the same machine; widths without a profile are left out.

    Returns
    -------
    DataFrame
        One row for each device and width: ``step_us`` (median microseconds of
        the study's steady step, NaN where there is none), ``profiled_us`` and
        one column of microseconds for each of ``KINDS``, which add up to it.
    """
    steps = dict(_steps(trials))
    rows = [
        {
            "device": found.device,
            "width": parts.width,
            "step_us": steps.get((found.backend, "published", found.device, parts.width), np.nan),
            "profiled_us": parts.profile.step_seconds * 1e6,
            **{kind: parts.profile.seconds.get(kind, 0.0) * 1e6 for kind in KINDS},
        }
        for found in limits
        # A record holds its widths in the order of their measurement.
        for parts in sorted(found.widths, key=lambda parts: parts.width)
        if parts.profile
    ]
    return pd.DataFrame(rows, columns=["device", "width", "step_us", "profiled_us", *KINDS])


def _steps(trials: pd.DataFrame) -> list[tuple[tuple[str, str, str, int], float]]:
    """Median microseconds of a steady step, by backend, protocol, device and width."""
    steps = trials["steady_seconds"] / (trials["epochs"] * trials["steps"]) * 1e6
    keys = [trials[key] for key in ("backend", "protocol", "device", "width")]
    medians = steps.groupby(keys).median().dropna()
    return [(key, float(value)) for key, value in zip(medians.index, medians, strict=True)]
