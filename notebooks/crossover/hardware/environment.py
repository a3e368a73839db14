"""A process for the frameworks: its environment, its cores, and the threads that it may use."""

import math
import os
from functools import cache

from crossover.hardware.cgroup import cpu_quota
from crossover.hardware.runtimes.base import DeviceError
from crossover.hardware.variables import DEFAULTS, THREADS, heeded_flags, is_cleared
from crossover.kernels import HIDDEN
from crossover.records.backends import BACKENDS
from crossover.records.settings import Backend, Device
from crossover.words import counted

MEMORY_GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def prepare_process(backend: Backend, device: Device, threads: int | None) -> None:
    """Set what a framework reads once, when it is imported; clear what must not reach it.

    ``threads`` pins the process to that many of its cores. Every pool gets as many threads as the
    process may use of them: see ``usable_cores``.
    """
    _pin_threads(threads)
    for name in filter(is_cleared, [*os.environ]):
        del os.environ[name]
    if "XLA_FLAGS" in os.environ:
        os.environ["XLA_FLAGS"] = heeded_flags(os.environ["XLA_FLAGS"])
    os.environ["KERAS_BACKEND"] = BACKENDS[backend].package
    # Keras looks for its configuration file in this folder, which holds none and cannot.
    os.environ["KERAS_HOME"] = os.devnull
    os.environ.update(HIDDEN if device == "cpu" else MEMORY_GROWTH)
    os.environ.update(dict.fromkeys(THREADS, str(threads or usable_cores())))
    # Compile anew in every process: a cold training is timed with its compiling.
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)


def own_cores() -> list[int]:
    """The cores that this process may run on, by number: its affinity, or all of them."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def visible_cores() -> int:
    """How many cores this process may run on."""
    return len(own_cores())


def usable_cores() -> int:
    """Cores that this process may keep busy: a quota that grants half a core leaves one."""
    quota = cpu_quota()
    return visible_cores() if quota is None else max(1, min(visible_cores(), math.floor(quota)))


def pool_threads() -> int:
    """The size that ``prepare_process`` gave all pools; what it would be, before."""
    return int(os.environ.get(THREADS[0], usable_cores()))


@cache
def _first_cores() -> tuple[int, ...]:
    """The cores that this process began with, and each run of a notebook in it begins with."""
    return tuple(own_cores())


def _pin_threads(threads: int | None) -> None:
    if not hasattr(os, "sched_setaffinity"):
        if threads is None:
            return
        raise DeviceError("threads cannot be limited on this operating system: leave it at None.")
    cores = _first_cores()
    if threads is not None and threads > len(cores):
        has = counted(len(cores), "core")
        raise DeviceError(f"threads is {threads} but this process may use {has}.")
    if own_cores() != [*cores[:threads]]:
        os.sched_setaffinity(0, cores[:threads])
