"""The state of the machine around a trial: load, steal, the card's clocks, energy."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import pynvml

from crossover.hardware.card import Card, ask
from crossover.hardware.cgroup import Throttling, read_throttling, throttled_since
from crossover.hardware.clocks import Clocks, read_clocks
from crossover.hardware.energy import Counters, card_joules, cpu_joules, phase_joules, read_counters
from crossover.hardware.environment import visible_cores
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
# So is heat that holds the clocks down for a hundredth of the time.
HOT = 0.01


@dataclass
class Load:
    """Load counters at one moment; differences of two describe a trial."""

    clock: float = field(default_factory=time.monotonic)
    load: float | None = None
    busy: float = 0.0
    steal: float | None = None
    own: float = 0.0
    throttling: tuple[Throttling, ...] = ()


@dataclass
class CardState:
    """A card's clocks, why they are not higher, and the seconds that they have been held down."""

    clock: float = field(default_factory=time.monotonic)
    sm_clock: int | None = None
    memory_clock: int | None = None
    reasons: int | None = None
    power_seconds: float | None = None
    thermal_seconds: float | None = None


class Watched:
    """A trial that is watched: counters at its start and at the ends of its phases.

    Clocks fall as soon as a device idles, so that they are read at the end of the fit, or where
    there is none, last.
    """

    def __init__(self, card: Card | None) -> None:
        self.card = card
        self.before, self.card_before = _read_load(), _read_card(card)
        self.clocks_before = read_clocks()
        self.marks = {"start": read_counters(card)}
        self.card_fit: CardState | None = None
        self.clocks_fit: Clocks | None = None
        self.conditions = Conditions()

    def ends(self, phase: str) -> None:
        """Read the counters at the end of a phase, the device having just finished."""
        self.marks[phase] = read_counters(self.card)
        if phase == "fit":
            self.card_fit, self.clocks_fit = _read_card(self.card), read_clocks()

    def so_far(self) -> Conditions:
        """The conditions from the start until now."""
        return _difference(self, self.card_fit or _read_card(self.card), _read_load())


@contextmanager
def watch_conditions(card: Card | None = None) -> Iterator[Watched]:
    """Watch a trial; its ``conditions`` are filled when the watch ends."""
    watched = Watched(card)
    yield watched
    watched.conditions = watched.so_far()


def _read_load() -> Load:
    times = psutil.cpu_times()
    own = psutil.Process().cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    steal = getattr(times, "steal", None)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return Load(
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        busy=sum(times) - guest - idle - (steal or 0.0),
        steal=steal,
        own=own.user + own.system + own.children_user + own.children_system,
        throttling=read_throttling(),
    )


def _read_card(card: Card | None) -> CardState:
    if card is None or card.handle is None:
        return CardState()
    clock, handle = pynvml.nvmlDeviceGetClockInfo, card.handle
    return CardState(
        sm_clock=ask(clock, handle, pynvml.NVML_CLOCK_SM),
        memory_clock=ask(clock, handle, pynvml.NVML_CLOCK_MEM),
        reasons=ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle),
        power_seconds=_held_down(handle, pynvml.NVML_PERF_POLICY_POWER),
        thermal_seconds=_held_down(handle, pynvml.NVML_PERF_POLICY_THERMAL),
    )


def _held_down(handle: Any, policy: int) -> float | None:
    status = ask(pynvml.nvmlDeviceGetViolationStatus, handle, policy)
    return None if status is None else status.violationTime / 1e9


def _difference(watched: Watched, card: CardState, after: Load) -> Conditions:
    before, first = watched.before, watched.card_before
    # The kernel's counters tick in hundredths of a second: shorter trials are unknown.
    elapsed = after.clock - before.clock
    capacity = elapsed * (os.cpu_count() or visible_cores()) if elapsed > 0.1 else None
    foreign = (after.busy - before.busy) - (after.own - before.own)
    told = [state.reasons for state in (first, card) if state.reasons is not None]
    fit = card.clock - first.clock
    power = _share(_minus(card.power_seconds, first.power_seconds), fit)
    thermal = _share(_minus(card.thermal_seconds, first.thermal_seconds), fit)
    hot = thermal is not None and thermal > HOT
    throttled, held_back = throttled_since(before.throttling, after.throttling)
    begin, *_, end = watched.marks.values() if len(watched.marks) > 1 else (Counters(),) * 2
    gpu, cpu = phase_joules(watched.marks)
    return Conditions(
        load_average_before=before.load,
        load_average_after=after.load,
        steal_fraction=_share(_minus(after.steal, before.steal), capacity),
        foreign_fraction=_share(foreign, capacity),
        cpu_throttled_fraction=throttled,
        cpu_throttled_seconds=held_back,
        **_clock_facts(watched.clocks_before, watched.clocks_fit or read_clocks()),
        gpu_clock_mhz_before=first.sm_clock,
        gpu_clock_mhz_after=card.sm_clock,
        gpu_memory_clock_mhz_before=first.memory_clock,
        gpu_memory_clock_mhz_after=card.memory_clock,
        gpu_throttled=hot or any(reasons & TROUBLE for reasons in told) if told else None,
        gpu_throttle_reasons_before=reason_text(first.reasons),
        gpu_throttle_reasons_after=reason_text(card.reasons),
        gpu_power_cap_fraction=power,
        gpu_thermal_fraction=thermal,
        gpu_energy_joules=card_joules(begin, end),
        cpu_energy_joules=cpu_joules(begin, end),
        gpu_joules=gpu,
        cpu_joules=cpu,
    )


def _clock_facts(before: Clocks, after: Clocks) -> dict[str, Any]:
    """The CPU's clocks; what sets them is told as it was at first, the worse where that tells."""
    limits = [clocks.limit_mhz for clocks in (before, after) if clocks.limit_mhz is not None]
    powered = [clocks.on_battery for clocks in (before, after) if clocks.on_battery is not None]
    return {
        "cpu_mhz_before": before.mhz,
        "cpu_mhz_after": after.mhz,
        "cpu_mhz_limit": min(limits, default=None),
        "cpu_governor": before.governor,
        "cpu_preference": before.preference,
        "platform_profile": before.profile,
        "on_battery": any(powered) if powered else None,
    }


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
