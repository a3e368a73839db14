"""The machine, its software and this code: the provenance of a record."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import cpuinfo
import psutil
import pynvml

from crossover import __version__
from crossover.hardware.card import ask, nvidia_driver_version, used_card
from crossover.hardware.runtimes import runtime
from crossover.paths import NOTEBOOKS
from crossover.records.record import Backend, Code, Device, Machine, Software


def describe_machine(device: Device, device_name: str) -> Machine:
    """Describe the hardware and operating system; what is unknown is None.

    The GPU is described where it is the device, under the name that the
    framework gives it: a card that the trial didn't use is none of its facts.
    """
    gpu = _gpu_facts(device_name) if device == "gpu" else {}
    return Machine(
        cpu_model=_text(cpuinfo.get_cpu_info().get("brand_raw")),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(),
        visible_cores=visible_cores(),
        memory_bytes=psutil.virtual_memory().total,
        operating_system=_text(_operating_system()),
        kernel=_text(platform.release()),
        **gpu,
    )


def visible_cores() -> int:
    """Cores that this process may run on: its affinity, or all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _operating_system() -> str:
    if sys.platform != "linux":
        return platform.platform(aliased=True, terse=True)
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def _text(value: object) -> str | None:
    """Printable text of at most 200 characters, or None."""
    text = "".join(c for c in str(value or "") if c.isprintable()).strip()[:200]
    return text or None


def _gpu_facts(device_name: str) -> dict[str, Any]:
    """Name a GPU by its framework's name, the rest by driver and card where they are NVIDIA's."""
    card = used_card(device_name)
    if card is None:
        return {"gpu_model": _text(device_name)}
    limit = ask(pynvml.nvmlDeviceGetEnforcedPowerLimit, card.handle) if card.handle else None
    return {
        "gpu_model": _text(card.model),
        "gpu_driver": _text(nvidia_driver_version()),
        "gpu_memory_bytes": card.memory_bytes,
        "gpu_power_limit_watts": limit and limit / 1000,
    }


def describe_software(backend: Backend) -> Software:
    """Versions of Python, the backend, Keras, NumPy and, where built in, CUDA."""
    cuda, cudnn = runtime(backend).cuda()
    return Software(
        python=platform.python_version(),
        backend=_version(backend),
        keras=_version("keras"),
        numpy=_version("numpy"),
        cuda=_text(cuda),
        cudnn=_text(cudnn),
        threads=visible_cores(),
    )


def _version(package: str) -> str | None:
    for name in (package, f"{package}_cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def describe_code() -> Code:
    """The package's version, a digest of its sources, and Git's view where there is one."""
    digest = hashlib.sha256()
    for path in sorted((NOTEBOOKS / "crossover").rglob("*.py")):
        name = path.relative_to(NOTEBOOKS).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes())
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--", ".")
    return Code(
        version=__version__,
        digest=digest.hexdigest()[:12],
        commit=commit or None,
        modified=None if status is None else bool(status),
    )


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=NOTEBOOKS, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
