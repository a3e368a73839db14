"""The state of the machine around a trial: load, steal, the card's clocks, energy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import pynvml

from crossover.hardware.card import Card, ask
from crossover.hardware.energy import Counters, card_joules, cpu_joules, phase_joules, read_counters
from crossover.hardware.machine import visible_cores
from crossover.records.record import Conditions

# NVML's bits for clocks below what the card could run, in its own words.
THROTTLE_REASONS = {
    0x4: "power cap",
    0x8: "hardware slow-down",
    0x20: "software thermal",
    0x40: "hardware thermal",
    0x80: "power brake",
}
# A power cap belongs to the card; the others are trouble.
TROUBLE = 0x8 | 0x20 | 0x40 | 0x80


@dataclass
class Reading:
    """Load counters at one moment; differences of two readings describe a trial."""

    clock: float = field(default_factory=time.monotonic)
    load: float | None = None
    busy: float = 0.0
    steal: float | None = None
    own: float = 0.0
    sm_clock: int | None = None
    memory_clock: int | None = None
    reasons: int | None = None


@dataclass
class Watched:
    """A trial that is watched; ``conditions`` are filled when the watch ends."""

    card: Card | None
    marks: dict[str, Counters] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)

    def ends(self, phase: str) -> None:
        """Read the energy counters at the end of a phase, the device being idle."""
        self.marks[phase] = read_counters(self.card)


@contextmanager
def watch_conditions(card: Card | None = None) -> Iterator[Watched]:
    """Read counters before and after a trial; in between only at the ends of its phases."""
    watched = Watched(card)
    before = _read(card)
    watched.ends("start")
    yield watched
    watched.conditions = _difference(before, _read(card), watched.marks)


def _read(card: Card | None) -> Reading:
    times = psutil.cpu_times()
    own = psutil.Process().cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    steal = getattr(times, "steal", None)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    reading = Reading(
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        busy=sum(times) - guest - idle - (steal or 0.0),
        steal=steal,
        own=own.user + own.system + own.children_user + own.children_system,
    )
    if card is not None and card.handle is not None:
        clock, handle = pynvml.nvmlDeviceGetClockInfo, card.handle
        reading.sm_clock = ask(clock, handle, pynvml.NVML_CLOCK_SM)
        reading.memory_clock = ask(clock, handle, pynvml.NVML_CLOCK_MEM)
        reading.reasons = ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
    return reading


def _difference(before: Reading, after: Reading, marks: dict[str, Counters]) -> Conditions:
    # The kernel's counters tick in hundredths of a second: shorter trials are unknown.
    elapsed = after.clock - before.clock
    capacity = elapsed * (os.cpu_count() or visible_cores()) if elapsed > 0.1 else None
    foreign = (after.busy - before.busy) - (after.own - before.own)
    known = [reading.reasons for reading in (before, after) if reading.reasons is not None]
    first, last = next(iter(marks.values())), next(reversed(marks.values()))
    gpu, cpu = phase_joules(marks)
    return Conditions(
        load_average_before=before.load,
        load_average_after=after.load,
        steal_fraction=_share(_minus(after.steal, before.steal), capacity),
        foreign_fraction=_share(foreign, capacity),
        gpu_clock_mhz_before=before.sm_clock,
        gpu_clock_mhz_after=after.sm_clock,
        gpu_memory_clock_mhz_before=before.memory_clock,
        gpu_memory_clock_mhz_after=after.memory_clock,
        gpu_throttled=any(reasons & TROUBLE for reasons in known) if known else None,
        gpu_throttle_reasons_before=reason_text(before.reasons),
        gpu_throttle_reasons_after=reason_text(after.reasons),
        gpu_energy_joules=card_joules(first, last) if len(marks) > 1 else None,
        cpu_energy_joules=cpu_joules(first, last) if len(marks) > 1 else None,
        gpu_joules=gpu,
        cpu_joules=cpu,
    )


def reason_text(reasons: int | None) -> str | None:
    """The reasons behind NVML's bits in words; 'none', or None if unknown."""
    if reasons is None:
        return None
    named = [name for bit, name in THROTTLE_REASONS.items() if reasons & bit]
    return ", ".join(named) or "none"


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _share(seconds: float | None, capacity: float | None) -> float | None:
    if seconds is None or capacity is None:
        return None
    return min(1.0, max(0.0, seconds / capacity))
