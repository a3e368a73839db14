"""What a container grants: cores by its CPU quota, the time that this held back, and memory.

Linux tells both versions of its control groups alike: `/proc/self/cgroup` names the group of each
controller, `/proc/self/mountinfo` where it is mounted. A group's limits hold for all groups below
it, so that every level up to the mount counts; what lies above it a container cannot see.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from crossover.hardware.sysfiles import ROOT, number, read

Amount = TypeVar("Amount", int, float)
# Version 1 writes "no limit" as the largest whole number of pages.
UNLIMITED = 2**62
# Controllers of version 1, none of version 2, and their group.
GROUP = re.compile(r"^\d+:([^:]*):(.*)", re.MULTILINE)
# A mount of control groups (man 5 proc): its top, its place, its file system, and the options.
MOUNT = re.compile(r"^\S+ \S+ \S+ (\S+) (\S+) .+ - (cgroup2?) \S+ (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Throttling:
    """How often a group with a quota ran, how often it was held back, and for how long.

    ``periods`` and ``throttled`` count the scheduler's periods, usually of 0.1 s; ``seconds`` add
    up over the group's cores.
    """

    periods: int
    throttled: int
    seconds: float


def cpu_quota(root: Path = ROOT) -> float | None:
    """Cores that this process's groups grant, such as 0.5; None without a quota."""
    quotas = [quota for level in _levels("cpu", root) if (quota := _quota(level)) is not None]
    return min(quotas, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes that this process's groups grant; None without a limit."""
    # Above "high" version 2 slows a process down until it gives memory back.
    files = ("memory.max", "memory.high", "memory.limit_in_bytes")
    grants = [number(read(level / name)) for level in _levels("memory", root) for name in files]
    limits = [limit for limit in grants if limit is not None and limit < UNLIMITED]
    return min(limits, default=None)


def binding(limit: Amount | None, present: Amount) -> Amount | None:
    """A limit, where it grants less than there is; else None, for it takes nothing away."""
    return limit if limit is not None and limit < present else None


def read_throttling(root: Path = ROOT) -> tuple[Throttling, ...]:
    """The counters of each level that has a quota, innermost first."""
    levels = [level for level in _levels("cpu", root) if _quota(level) is not None]
    return tuple(_throttling(level) for level in levels)


def throttled_since(
    before: tuple[Throttling, ...], after: tuple[Throttling, ...]
) -> tuple[float | None, float | None]:
    """Share of the periods that were cut short, and the seconds held back, at the worst level.

    None without a quota, or where no period ended in between.
    """
    spans = [
        ((last.throttled - first.throttled) / periods, max(0.0, last.seconds - first.seconds))
        for first, last in zip(before, after, strict=False)
        if (periods := last.periods - first.periods) > 0
    ]
    share, seconds = max(spans, default=(None, None))
    return (None if share is None else min(1.0, max(0.0, share))), seconds


def _quota(level: Path) -> float | None:
    """A group's own quota in cores."""
    if text := read(level / "cpu.max"):  # Version 2: "50000 100000" or "max 100000".
        allowed, _, period = text.partition(" ")
    else:
        allowed, period = read(level / "cpu.cfs_quota_us"), read(level / "cpu.cfs_period_us")
    microseconds, length = number(allowed), number(period)
    return microseconds / length if microseconds and length else None


def _throttling(level: Path) -> Throttling:
    lines = (line.split() for line in read(level / "cpu.stat").splitlines())
    counts = {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}
    # Microseconds in version 2, nanoseconds in version 1.
    seconds = counts.get("throttled_usec", 0) / 1e6 + counts.get("throttled_time", 0) / 1e9
    return Throttling(counts.get("nr_periods", 0), counts.get("nr_throttled", 0), seconds)


def _levels(controller: str, root: Path) -> Iterator[Path]:
    """The process's own group of a controller and those above it, as far as they are mounted."""
    groups = {
        name: PurePosixPath(group)
        for names, group in GROUP.findall(read(root / "proc/self/cgroup"))
        for name in names.split(",")
    }
    for top, place, kind, options in MOUNT.findall(read(root / "proc/self/mountinfo")):
        name = controller if kind == "cgroup" else ""
        if name not in groups or (name and name not in options.split(",")):
            continue
        group = groups[name]
        # A group outside of what is mounted (of another name space) is seen as the top.
        inside = group.is_relative_to(top) and ".." not in group.parts
        below = group.relative_to(top) if inside else PurePosixPath()
        for level in (below, *below.parents):
            yield root / place.replace(r"\040", " ").lstrip("/") / level
