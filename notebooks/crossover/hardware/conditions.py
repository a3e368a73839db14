"""The state of the machine around a trial: load, steal, the card's clocks, energy."""

import os
import time
from dataclasses import dataclass
from typing import Any

import psutil
import pynvml

from crossover.hardware.card import Card, ask
from crossover.hardware.cgroup import Throttling, read_throttling, throttled_since
from crossover.hardware.clocks import read_clocks
from crossover.hardware.energy import energy_facts, read_counters
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
    """Load counters at one moment; ``foreign`` are the seconds of all other processes."""

    average: float | None
    steal: float | None
    foreign: float
    throttling: tuple[Throttling, ...]
    clock: float


@dataclass
class CardState:
    """A card's clocks, why they are not higher, and the seconds that they have been held down."""

    sm_clock: int | None
    memory_clock: int | None
    reasons: int | None
    power_seconds: float | None
    thermal_seconds: float | None
    clock: float


class Watched:
    """A trial that is watched: counters at its start and at the ends of its phases.

    Clocks fall as soon as a device idles, so that they are read at the end of the fit, or where
    there is none, last.
    """

    def __init__(self, card: Card | None = None) -> None:
        self.card = card
        self.load, self.begin = _read_load(), (_read_card(card), read_clocks())
        self.marks = {"start": read_counters(card)}
        self.fit: tuple[CardState | None, dict[str, Any]] | None = None

    def ends(self, phase: str) -> None:
        """Read the counters at the end of a phase, the device having just finished."""
        self.marks[phase] = read_counters(self.card)
        if phase == "fit":
            self.fit = _read_card(self.card), read_clocks()

    def so_far(self) -> Conditions:
        """The conditions from the start until now."""
        card, clocks = self.fit or (_read_card(self.card), read_clocks())
        card_before, clocks_before = self.begin
        return Conditions(
            **_load_facts(self.load, _read_load()),
            **_clock_facts(clocks_before, clocks),
            **(_card_facts(card_before, card) if card_before and card else {}),
            **energy_facts(self.marks),
        )


def _read_load() -> Load:
    times = psutil.cpu_times()
    own = psutil.Process().cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    steal = getattr(times, "steal", None)
    guest = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    busy = sum(times) - guest - idle - (steal or 0.0)
    return Load(
        average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        steal=steal,
        foreign=busy - own.user - own.system - own.children_user - own.children_system,
        throttling=read_throttling(),
        clock=time.monotonic(),
    )


def _read_card(card: Card | None) -> CardState | None:
    if card is None or card.handle is None:
        return None
    clock, handle = pynvml.nvmlDeviceGetClockInfo, card.handle
    return CardState(
        sm_clock=ask(clock, handle, pynvml.NVML_CLOCK_SM),
        memory_clock=ask(clock, handle, pynvml.NVML_CLOCK_MEM),
        reasons=ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle),
        power_seconds=_held_down(handle, pynvml.NVML_PERF_POLICY_POWER),
        thermal_seconds=_held_down(handle, pynvml.NVML_PERF_POLICY_THERMAL),
        clock=time.monotonic(),
    )


def _held_down(handle: Any, policy: int) -> float | None:
    status = ask(pynvml.nvmlDeviceGetViolationStatus, handle, policy)
    return None if status is None else status.violationTime / 1e9


def _load_facts(before: Load, after: Load) -> dict[str, Any]:
    # The kernel's counters tick in hundredths of a second: shorter trials are unknown.
    elapsed = after.clock - before.clock
    capacity = elapsed * (os.cpu_count() or visible_cores()) if elapsed > 0.1 else None
    throttled, held_back = throttled_since(before.throttling, after.throttling)
    return {
        "load_average_before": before.average,
        "load_average_after": after.average,
        "steal_fraction": _share(before.steal, after.steal, capacity),
        "foreign_fraction": _share(before.foreign, after.foreign, capacity),
        "cpu_throttled_fraction": throttled,
        "cpu_throttled_seconds": held_back,
    }


def _clock_facts(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The CPU's clocks; what sets them is told as it was at first, the worse where that tells."""
    return {
        **{name: before[name] for name in ("cpu_governor", "cpu_preference", "platform_profile")},
        "cpu_mhz_limit": min(_known(before["cpu_mhz_limit"], after["cpu_mhz_limit"]), default=None),
        "on_battery": max(_known(before["on_battery"], after["on_battery"]), default=None),
        "cpu_mhz_before": before["cpu_mhz"],
        "cpu_mhz_after": after["cpu_mhz"],
    }


def _card_facts(before: CardState, after: CardState) -> dict[str, Any]:
    seconds = after.clock - before.clock
    thermal = _share(before.thermal_seconds, after.thermal_seconds, seconds)
    told = _known(before.reasons, after.reasons)
    trouble = (thermal or 0.0) > HOT or any(reasons & TROUBLE for reasons in told)
    return {
        "gpu_clock_mhz_before": before.sm_clock,
        "gpu_clock_mhz_after": after.sm_clock,
        "gpu_memory_clock_mhz_before": before.memory_clock,
        "gpu_memory_clock_mhz_after": after.memory_clock,
        "gpu_throttled": trouble if told else None,
        "gpu_throttle_reasons_before": reason_text(before.reasons),
        "gpu_throttle_reasons_after": reason_text(after.reasons),
        "gpu_power_cap_fraction": _share(before.power_seconds, after.power_seconds, seconds),
        "gpu_thermal_fraction": thermal,
    }


def reason_text(reasons: int | None) -> str | None:
    """The reasons behind NVML's bits in words; 'none', or None if unknown."""
    if reasons is None:
        return None
    named = [name for bit, name in THROTTLE_REASONS.items() if reasons & bit]
    return ", ".join(named) or "none"


def _known(*values: Any) -> list[Any]:
    return [value for value in values if value is not None]


def _share(before: float | None, after: float | None, seconds: float | None) -> float | None:
    """The share of some seconds that a counter of seconds went on by, from 0 to 1."""
    if before is None or after is None or seconds is None:
        return None
    return min(1.0, max(0.0, (after - before) / seconds))
