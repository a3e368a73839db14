"""Energy from the hardware's own counters: the card's through NVML, the CPU's through RAPL."""

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pynvml

from crossover.hardware.card import Card, ask
from crossover.records.record import PhaseJoules

RAPL = Path("/sys/class/powercap")
# No CPU package draws more: a longer phase could have wrapped its counter twice unseen.
MOST_WATTS = 500.0
# NVML's counter is renewed every 20 to 100 ms: a shorter span holds another one's joules.
CARD_PERIOD_SECONDS = 0.1


@dataclass(frozen=True)
class Zone:
    """A CPU package's counter, which starts again at zero beyond its range."""

    name: str
    joules: float
    range_joules: float


@dataclass(frozen=True)
class Counters:
    """The counters at one moment."""

    card_joules: float | None
    zones: tuple[Zone, ...]
    clock: float


def read_counters(card: Card | None) -> Counters:
    """Read both counters once; what cannot be read is left out.

    A card that is cut into instances counts for all of them, so its energy is unknown.
    """
    millijoules = None
    if card is not None and card.handle is not None and not card.shared:
        millijoules = ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, card.handle)
    joules = None if millijoules is None else millijoules / 1e3
    return Counters(joules, read_rapl(), time.monotonic())


def read_rapl(folder: Path = RAPL) -> tuple[Zone, ...]:
    """The CPU packages' counters; empty unless every one of them can be read.

    Only packages are counted: their sub-zones are part of them, and the zone of the whole board
    ('psys') includes them.
    """
    zones = []
    try:
        for path in sorted(folder.glob("intel-rapl:*")):
            name = (path / "name").read_text().strip()
            if path.name.count(":") == 1 and name.startswith("package"):
                files = path / "energy_uj", path / "max_energy_range_uj"
                zones.append(Zone(name, *(int(file.read_text()) / 1e6 for file in files)))
    except (OSError, ValueError):
        return ()
    return tuple(zones)


def card_joules(before: Counters, after: Counters) -> float | None:
    """Joules that the card used between two readings; None of less than the counter's period."""
    if before.card_joules is None or after.card_joules is None:
        return None
    if after.clock - before.clock < CARD_PERIOD_SECONDS:
        return None
    used = after.card_joules - before.card_joules
    return used if used >= 0 else None  # A driver that is loaded anew starts its counter again.


def cpu_joules(before: Counters, after: Counters) -> float | None:
    """Joules that all CPU packages used between two readings, a wrapped counter set right."""
    if not before.zones or [z.name for z in before.zones] != [z.name for z in after.zones]:
        return None
    total = 0.0
    for first, last in zip(before.zones, after.zones, strict=True):
        if (after.clock - before.clock) * MOST_WATTS > first.range_joules:
            return None
        used = last.joules - first.joules
        total += used if used >= 0 else used + first.range_joules
    return total if total >= 0 else None


def energy_facts(marks: dict[str, Counters]) -> dict[str, Any]:
    """The card's and the CPU's joules, of each phase and in all: fields of a trial's conditions.

    ``marks`` are readings in order, each under the phase that it ends; the first one's name is not
    used, and without another one nothing is known.
    """
    readings = list(marks.values())
    spans = dict(zip(list(marks)[1:], pairwise(readings), strict=True))
    facts: dict[str, Any] = {}
    for device, joules in (("gpu", card_joules), ("cpu", cpu_joules)) if spans else ():
        phases = {phase: joules(*span) for phase, span in spans.items()}
        counted = any(value is not None for value in phases.values())
        facts[f"{device}_joules"] = PhaseJoules(**phases) if counted else None
        facts[f"{device}_energy_joules"] = joules(readings[0], readings[-1])
    return facts
