"""Where a step's time goes, as the framework's own profiler sees it from inside."""

from collections.abc import Sequence

import pandas as pd

from crossover.analysis.path import path_table
from crossover.records.ceilings import KINDS, Ceilings, StepProfile
from crossover.records.changes import PUBLISHED, WHOLE_EPOCH
from crossover.records.rounds import Rounds

SAVED = ["saved_train_us", "train_low", "train_high"]
COLUMNS = ["device", "width", "path_us", *SAVED, "untraced_us", "profiled_us", *KINDS]


def profile_table(ceilings: Sequence[Ceilings], rounds: Sequence[Rounds] = ()) -> pd.DataFrame:
    """What the framework's profiler saw of published steps, validation left out, on one machine.

    One row for each device and width with a profile: ``untraced_us`` (microseconds of the same
    step without the profiler, just before), ``profiled_us`` and one column of microseconds for each
    of ``KINDS``, which add up to it; ``path_us`` is the published training step of the path, which
    was trained at another time, and ``saved_train_us`` what a whole epoch an execution saves of
    that, with its limits ``train_low`` and ``train_high``. What was not measured is NaN.
    """
    rows = [
        {
            "device": measured.device,
            "width": parts.width,
            **profile_row(parts.profile),
        }
        for measured in ceilings
        # A record holds its widths in the order of their measurement.
        for parts in sorted(measured.widths, key=lambda parts: parts.width)
        if parts.profile
    ]
    seen = pd.DataFrame(rows, columns=["device", "width", "untraced_us", "profiled_us", *KINDS])
    return seen.join(_of_path(rounds), on=["device", "width"])[COLUMNS]


def profile_row(profile: StepProfile) -> dict[str, float]:
    """A profiled step as ``profile_table`` tells it: microseconds, NaN where unknown."""
    return {
        "untraced_us": (profile.untraced_seconds or float("nan")) * 1e6,
        "profiled_us": profile.step_seconds * 1e6,
        **{kind: profile.seconds.get(kind, 0.0) * 1e6 for kind in KINDS},
    }


def _of_path(rounds: Sequence[Rounds]) -> pd.DataFrame:
    """The published training step of each path, and what its first change saves of it."""
    table, place = path_table(rounds), ["device", "width"]
    published = table[table["stage"] == PUBLISHED].set_index(place)["train_us"].rename("path_us")
    whole = table[table["stage"] == WHOLE_EPOCH].set_index(place)[SAVED]
    return whole.join(published, how="right")
