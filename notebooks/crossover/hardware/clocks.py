"""The CPU's clocks: what they may be, what they are, and what holds them down."""

from pathlib import Path
from typing import Any

import psutil

from crossover.hardware.environment import own_cores
from crossover.hardware.sysfiles import ROOT, number, read

CPU = Path("sys/devices/system/cpu")
SUPPLIES = Path("sys/class/power_supply")
# Reading a core's clock may take milliseconds; these tell enough.
MOST_CORES = 8


def describe_clocks(root: Path = ROOT) -> dict[str, Any]:
    """What does not change with the moment: the fields of a machine."""
    first = root / CPU / f"cpu{own_cores()[0]}/cpufreq"
    return {
        "cpu_mhz_min": _mhz(first / "cpuinfo_min_freq"),
        "cpu_mhz_max": _mhz(first / "cpuinfo_max_freq"),
        "cpu_driver": _word(first / "scaling_driver"),
        "cpu_boost": _boost(root),
        "smt": _flag(root / CPU / "smt/active"),
        "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
    }


def read_clocks(root: Path = ROOT) -> dict[str, Any]:
    """The clocks of this moment and what sets them, named as in the conditions of a trial.

    None is what the system does not tell, as few virtual machines do. ``cpu_mhz`` is the mean of
    this process's cores, ``cpu_mhz_limit`` the most that they are allowed now; ``cpu_governor`` is
    what sets them, ``cpu_preference`` what the processor itself is told to prefer,
    ``platform_profile`` the laptop's own mode.
    """
    folders = [root / CPU / f"cpu{core}/cpufreq" for core in own_cores()[:MOST_CORES]]
    now = [mhz for folder in folders if (mhz := _mhz(folder / "scaling_cur_freq")) is not None]
    return {
        "cpu_mhz": sum(now) / len(now) if now else None,
        "cpu_mhz_limit": _mhz(folders[0] / "scaling_max_freq"),
        "cpu_governor": _word(folders[0] / "scaling_governor"),
        "cpu_preference": _word(folders[0] / "energy_performance_preference"),
        "platform_profile": _word(root / "sys/firmware/acpi/platform_profile"),
        "on_battery": _on_battery(root),
    }


def _on_battery(root: Path) -> bool | None:
    """Whether the machine runs on its own battery; None where it has none that is known."""
    folder = root / SUPPLIES
    if folder.is_dir():
        # Of mice the scope is Device.
        supplies = [supply for supply in folder.iterdir() if _word(supply / "scope") != "Device"]
        batteries = [supply for supply in supplies if _word(supply / "type") == "Battery"]
        draining = any(_word(battery / "status") == "Discharging" for battery in batteries)
        plugged = any(_flag(supply / "online") for supply in supplies if supply not in batteries)
        return draining and not plugged if batteries else None
    try:
        battery = psutil.sensors_battery()
    except (OSError, RuntimeError, ValueError, AttributeError):
        return None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _boost(root: Path) -> bool | None:
    """Whether cores may run above their nominal clock; Intel's driver tells it the other way."""
    turned_off = _flag(root / CPU / "intel_pstate/no_turbo")
    return _flag(root / CPU / "cpufreq/boost") if turned_off is None else not turned_off


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(read(path))


def _mhz(path: Path) -> float | None:
    kilohertz = number(read(path))
    return None if kilohertz is None else kilohertz / 1e3


def _word(path: Path) -> str | None:
    return read(path)[:40] or None
