"""Where a step's time goes, as the framework's own profiler sees it from inside."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crossover.analysis.path import enclosing, train_seconds
from crossover.records.ceilings import KINDS, Ceilings
from crossover.records.changes import PUBLISHED, WHOLE_EPOCH
from crossover.records.rounds import Rounds

SAVED = ["path_saved_us", "path_saved_low", "path_saved_high"]
COLUMNS = ["device", "width", "path_us", *SAVED, "untraced_us", "profiled_us", *KINDS]


def profile_table(ceilings: Sequence[Ceilings], rounds: Sequence[Rounds] = ()) -> pd.DataFrame:
    """What the framework's profiler saw of published steps, validation left out, on one machine.

    One row for each device and width with a profile: ``untraced_us`` (microseconds of the same
    step without the profiler, just before), ``profiled_us`` and one column of microseconds for each
    of ``KINDS``, which add up to it; ``path_us`` is the published training step of the path, which
    was trained at another time, and ``path_saved_us`` what a whole epoch an execution saves of
    that, with the least and the greatest difference within a round. What was not measured is NaN.
    """
    path = {(one.device, one.width): _of_path(one) for one in rounds}
    rows = [
        {
            "device": measured.device,
            "width": parts.width,
            **path.get((measured.device, parts.width), {}),
            "untraced_us": (parts.profile.untraced_seconds or float("nan")) * 1e6,
            "profiled_us": parts.profile.step_seconds * 1e6,
            **{kind: parts.profile.seconds.get(kind, 0.0) * 1e6 for kind in KINDS},
        }
        for measured in ceilings
        # A record holds its widths in the order of their measurement.
        for parts in sorted(measured.widths, key=lambda parts: parts.width)
        if parts.profile
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_path(rounds: Rounds) -> dict[str, float]:
    """Microseconds of the published training step, and what the path's first change saves of it."""
    steps = {one.name: 1e6 * train_seconds(one) for one in rounds.path}
    published = steps[PUBLISHED]
    told = {"path_us": float(np.median(published))}
    if WHOLE_EPOCH not in steps:
        return told
    within = published - steps[WHOLE_EPOCH]
    saved = told["path_us"] - float(np.median(steps[WHOLE_EPOCH]))
    (low,), (high,) = enclosing(within[:, np.newaxis], pd.Series([saved]))
    return told | dict(zip(SAVED, (saved, low, high), strict=True))
