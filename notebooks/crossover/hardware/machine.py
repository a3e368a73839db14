"""The machine, its software and this code: the provenance of a record."""

import hashlib
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import archspec.cpu
import cpuinfo
import psutil
import pynvml

from crossover import __version__
from crossover.hardware.card import ask, nvidia_driver_version, used_card
from crossover.hardware.cgroup import binding, cpu_quota, memory_limit
from crossover.hardware.clocks import describe_clocks
from crossover.hardware.environment import pool_threads, visible_cores
from crossover.hardware.pools import ARITHMETIC
from crossover.hardware.runtimes import runtime
from crossover.hardware.runtimes.base import version
from crossover.hardware.sysfiles import ROOT, number, read
from crossover.hardware.variables import recorded_environment
from crossover.paths import NOTEBOOKS
from crossover.records.backends import BACKENDS
from crossover.records.generations import generation
from crossover.records.record import Code, Machine, Software
from crossover.records.settings import Backend, Device
from crossover.words import printable


def describe_run(backend: Backend, device: Device, device_name: str) -> dict[str, Any]:
    """What a trial or the ceilings are measured with: the fields that both records share.

    Ask once the device has started, and outside timed sections.
    """
    return {
        "machine": describe_machine(device, device_name),
        "software": describe_software(backend, device),
        "environment": recorded_environment(),
        "code": describe_code(),
    }


def describe_machine(device: Device, device_name: str) -> Machine:
    """Describe the hardware and operating system; what is unknown is None.

    The GPU is described where it is the device, under the name that the framework gives it: a card
    that the trial didn't use is none of its facts.
    """
    return Machine(
        **_processor(),
        **describe_clocks(),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count(),
        visible_cores=visible_cores(),
        cpu_quota=binding(cpu_quota(), visible_cores()),
        memory_bytes=(memory := psutil.virtual_memory().total),
        memory_limit_bytes=binding(memory_limit(), memory),
        operating_system=_text(_operating_system()),
        kernel=_text(platform.release()),
        **(_gpu_facts(device_name) if device == "gpu" else {}),
    )


@cache
def _processor() -> dict[str, Any]:
    """The CPU's model and microarchitecture; asking takes a second where py-cpuinfo is asked."""
    model, *numbers = _told_by_linux() or _told_by_cpuinfo()
    fields = zip(("cpu_family", "cpu_number", "cpu_stepping"), numbers, strict=True)
    own = {field: value for field, value in fields if isinstance(value, int)}
    name = generation(own.get("cpu_family"), own.get("cpu_number"))
    return {
        "cpu_model": _text(model),
        "cpu_generation": _text(name or archspec.cpu.host().name),
        **own,
    }


def _told_by_linux(root: Path = ROOT) -> list[Any]:
    """Model, family, model number and stepping by Linux's own file; empty without a model there."""
    first = read(root / "proc/cpuinfo").split("\n\n")[0]
    told = {name.strip(): value.strip() for name, _, value in
            (line.partition(":") for line in first.splitlines())}  # fmt: skip
    if not told.get("model name"):
        return []
    return [
        told["model name"],
        *(number(told.get(name, "")) for name in ("cpu family", "model", "stepping")),
    ]


def _told_by_cpuinfo() -> list[Any]:
    """The same on any system; py-cpuinfo measures the clock besides, which takes a second."""
    cpu = cpuinfo.get_cpu_info()
    return [cpu.get(name) for name in ("brand_raw", "family", "model", "stepping")]


def _operating_system() -> str:
    if sys.platform != "linux":
        return platform.platform(aliased=True, terse=True)
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def _text(value: object) -> str | None:
    """Printable text of at most 200 characters, or None."""
    return printable(str(value or "")).strip()[:200] or None


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


def describe_software(backend: Backend, device: Device) -> Software:
    """Versions of Python, the backend, Keras, NumPy and, on a GPU, CUDA; threads that there are."""
    used = runtime(backend)
    cuda, cudnn = used.cuda() if device == "gpu" else (None, None)
    pools, meant = used.pools(), pool_threads()
    return Software(
        python=platform.python_version(),
        **installed_versions(backend),
        cuda=_text(cuda),
        cudnn=_text(cudnn),
        threads=pools.get(ARITHMETIC, meant) if device == "cpu" else meant,
        pools=pools or None,
    )


def installed_versions(backend: Backend) -> dict[str, str | None]:
    """The versions that all trials of a study share, by their names in `Software`."""
    package = BACKENDS[backend].package
    backend_version = version(package) or version(f"{package}_cpu")
    return {"backend": backend_version, "keras": version("keras"), "numpy": version("numpy")}


def describe_code() -> Code:
    """The package's version, a digest of its sources, and Git's view where there is one."""
    digest = hashlib.sha256()
    for path in sorted((NOTEBOOKS / "crossover").rglob("*.py")):
        name = path.relative_to(NOTEBOOKS).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes())
    status = _git("status", "--porcelain", "--", ".")
    return Code(
        version=__version__,
        digest=digest.hexdigest()[:12],
        commit=_git("rev-parse", "HEAD"),
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
