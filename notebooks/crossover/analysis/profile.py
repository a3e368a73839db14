"""Where a step's time goes, as the framework's own profiler sees it from inside."""

from collections.abc import Sequence

import pandas as pd

from crossover.records.ceilings import KINDS, Ceilings


def profile_table(ceilings: Sequence[Ceilings]) -> pd.DataFrame:
    """What the framework's profiler saw of published steps, validation left out, on one machine.

    One row for each device and width with a profile: ``untraced_us`` (microseconds of the same
    step without the profiler, NaN where that was not measured), ``profiled_us`` and one column of
    microseconds for each of ``KINDS``, which add up to it.
    """
    rows = [
        {
            "device": measured.device,
            "width": parts.width,
            "untraced_us": (parts.profile.untraced_seconds or float("nan")) * 1e6,
            "profiled_us": parts.profile.step_seconds * 1e6,
            **{kind: parts.profile.seconds.get(kind, 0.0) * 1e6 for kind in KINDS},
        }
        for measured in ceilings
        # A record holds its widths in the order of their measurement.
        for parts in sorted(measured.widths, key=lambda parts: parts.width)
        if parts.profile
    ]
    return pd.DataFrame(rows, columns=["device", "width", "untraced_us", "profiled_us", *KINDS])
