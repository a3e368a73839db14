"""The CPU's clocks: what they may be, what they are, and what holds them down."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from crossover.hardware.environment import own_cores
from crossover.hardware.sysfiles import ROOT, number, read

CPU = Path("sys/devices/system/cpu")
SUPPLIES = Path("sys/class/power_supply")
# Reading a core's clock may take milliseconds; these tell enough.
MOST_CORES = 8


@dataclass(frozen=True)
class Clocks:
    """The clocks at one moment, None where the system does not tell, as few virtual machines do.

    ``mhz`` is the mean of this process's cores, ``limit_mhz`` the most that they are allowed now;
    ``governor`` is what sets them, ``preference`` what the processor itself is told to prefer,
    ``profile`` the laptop's own mode.
    """

    mhz: float | None = None
    limit_mhz: float | None = None
    governor: str | None = None
    preference: str | None = None
    profile: str | None = None
    on_battery: bool | None = None


def describe_clocks(root: Path = ROOT) -> dict[str, Any]:
    """What does not change with the moment: the fields of a machine."""
    first = _policy(root, own_cores()[0])
    return {
        "cpu_mhz_min": _mhz(first / "cpuinfo_min_freq"),
        "cpu_mhz_max": _mhz(first / "cpuinfo_max_freq"),
        "cpu_driver": _word(first / "scaling_driver"),
        "cpu_boost": _boost(root),
        "smt": _flag(root / CPU / "smt/active"),
        "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
    }


def read_clocks(root: Path = ROOT) -> Clocks:
    """Read the clocks and what sets them."""
    policies = [_policy(root, core) for core in own_cores()[:MOST_CORES]]
    first = policies[0]
    now = [mhz for policy in policies if (mhz := _mhz(policy / "scaling_cur_freq")) is not None]
    return Clocks(
        mhz=sum(now) / len(now) if now else None,
        limit_mhz=_mhz(first / "scaling_max_freq"),
        governor=_word(first / "scaling_governor"),
        preference=_word(first / "energy_performance_preference"),
        profile=_word(root / "sys/firmware/acpi/platform_profile"),
        on_battery=_on_battery(root),
    )


def _policy(root: Path, core: int) -> Path:
    """The folder of a core's clock, which need not be there."""
    return root / CPU / f"cpu{core}/cpufreq"


def _on_battery(root: Path) -> bool | None:
    """Whether the machine runs on its own battery; None where it has none that is known."""
    folder = root / SUPPLIES
    if folder.is_dir():
        # Of mice the scope is Device.
        supplies = [supply for supply in folder.iterdir() if _word(supply / "scope") != "Device"]
        kinds = {supply: _word(supply / "type") for supply in supplies}
        draining = [_word(supply / "status") == "Discharging"
                    for supply, kind in kinds.items() if kind == "Battery"]  # fmt: skip
        plugged = any(
            kind != "Battery" and _flag(supply / "online") for supply, kind in kinds.items()
        )
        return any(draining) and not plugged if draining else None
    try:
        battery = psutil.sensors_battery()
    except (OSError, RuntimeError, ValueError, AttributeError):
        return None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _boost(root: Path) -> bool | None:
    """Whether cores may run above their nominal clock; Intel's driver tells it the other way."""
    if (turned_off := _flag(root / CPU / "intel_pstate/no_turbo")) is not None:
        return not turned_off
    return _flag(root / CPU / "cpufreq/boost")


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(read(path))


def _mhz(path: Path) -> float | None:
    kilohertz = number(read(path))
    return None if kilohertz is None else kilohertz / 1e3


def _word(path: Path) -> str | None:
    return read(path)[:40] or None
