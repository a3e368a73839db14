"""The CPU's clocks: what they may be, what they are, and what holds them down."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path("/")
CPU = Path("sys/devices/system/cpu")
SUPPLIES = Path("sys/class/power_supply")
# Reading a core's clock may take milliseconds; these tell enough.
MOST_CORES = 8


@dataclass(frozen=True)
class Clocks:
    """The clocks at one moment, None where the system does not tell, as few virtual machines do.

    ``mhz`` is the mean of this process's cores, ``limit_mhz`` the most that
    they are allowed now; ``governor`` is what sets them, ``preference`` what
    the processor itself is told to prefer, ``profile`` the laptop's own mode.
    """

    mhz: float | None = None
    limit_mhz: float | None = None
    governor: str | None = None
    preference: str | None = None
    profile: str | None = None
    on_battery: bool | None = None


def describe_clocks(root: Path = ROOT) -> dict[str, Any]:
    """What does not change with the moment: the fields of a machine."""
    first = next(iter(_policies(root)), None)
    return {
        "cpu_mhz_min": _mhz(first and first / "cpuinfo_min_freq"),
        "cpu_mhz_max": _mhz(first and first / "cpuinfo_max_freq"),
        "cpu_driver": _word(first and first / "scaling_driver"),
        "cpu_boost": _boost(root),
        "smt": _flag(root / CPU / "smt/active"),
        "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
    }


def read_clocks(root: Path = ROOT) -> Clocks:
    """Read the clocks and what sets them."""
    policies = _policies(root)
    first = next(iter(policies), None)
    now = [mhz for each in policies if (mhz := _mhz(each / "scaling_cur_freq")) is not None]
    return Clocks(
        mhz=sum(now) / len(now) if now else None,
        limit_mhz=_mhz(first and first / "scaling_max_freq"),
        governor=_word(first and first / "scaling_governor"),
        preference=_word(first and first / "energy_performance_preference"),
        profile=_word(root / "sys/firmware/acpi/platform_profile"),
        on_battery=_on_battery(root),
    )


def _policies(root: Path) -> list[Path]:
    """The clock settings of this process's first cores."""
    known = hasattr(os, "sched_getaffinity")
    cores = sorted(os.sched_getaffinity(0)) if known else range(os.cpu_count() or 1)
    folders = [root / CPU / f"cpu{core}/cpufreq" for core in list(cores)[:MOST_CORES]]
    return [folder for folder in folders if folder.is_dir()]


def _on_battery(root: Path) -> bool | None:
    """Whether the machine runs on its own battery; None where it has none that is known."""
    folder = root / SUPPLIES
    if folder.is_dir():
        supplies = [each for each in folder.iterdir() if _word(each / "scope") != "Device"]
        kinds = {each: _word(each / "type") for each in supplies}  # Of mice the scope is Device.
        draining = [_word(each / "status") == "Discharging"
                    for each, kind in kinds.items() if kind == "Battery"]  # fmt: skip
        plugged = any(kind != "Battery" and _flag(each / "online") for each, kind in kinds.items())
        return any(draining) and not plugged if draining else None
    try:
        battery = psutil.sensors_battery()
    except (OSError, RuntimeError, ValueError, NotImplementedError, AttributeError):
        return None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _boost(root: Path) -> bool | None:
    """Whether cores may run above their nominal clock; Intel's driver tells it the other way."""
    if (turned_off := _flag(root / CPU / "intel_pstate/no_turbo")) is not None:
        return not turned_off
    return _flag(root / CPU / "cpufreq/boost")


def _flag(path: Path) -> bool | None:
    return {"0": False, "1": True}.get(_word(path) or "")


def _mhz(path: Path | None) -> float | None:
    text = _word(path)
    return int(text) / 1e3 if text and text.isdecimal() else None


def _word(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:40] or None
    except OSError:
        return None
