"""Timing calls in blocks, and the two ways in which a backend runs a function.

A call is repeated until a block of them takes a few milliseconds; the clock is
read when the device has finished, and the seconds a call of several blocks are kept.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any

from crossover.hardware.device import synchronize
from crossover.records.settings import Backend

BLOCKS = 7
BLOCK_SECONDS = 0.02
MOST_CALLS = 2**14

Call = Callable[..., Any]


def samples(backend: Backend, call: Call, calls: int = 1) -> list[float]:
    """Seconds of one of ``calls`` repetitions inside ``call``, one value a block."""
    _block(backend, call, 2)
    count = 1
    while _block(backend, call, count) < BLOCK_SECONDS and count < MOST_CALLS:
        count *= 2
    return [_block(backend, call, count) / (count * calls) for _ in range(BLOCKS)]


def _block(backend: Backend, call: Call, count: int) -> float:
    synchronize(backend)
    started = time.perf_counter()
    for _ in range(count):
        result = call()
    wait(backend, result)
    return time.perf_counter() - started


def wait(backend: Backend, result: Any) -> None:
    """Wait until a result is there."""
    if backend == "jax":
        importlib.import_module("jax").block_until_ready(result)
    else:
        synchronize(backend)


def compiled(backend: Backend, function: Call) -> Call:
    """The function as one XLA program (torch: as it is)."""
    if backend == "tensorflow":
        tensorflow: Any = importlib.import_module("tensorflow")
        compiled_call: Call = tensorflow.function(function, jit_compile=True, autograph=False)
        return compiled_call
    if backend == "jax":
        jitted: Call = importlib.import_module("jax").jit(function)
        return jitted
    return function


def traced(backend: Backend, function: Call) -> Call:
    """The function as the published protocol runs it: a graph without XLA on TensorFlow."""
    if backend == "tensorflow":
        tensorflow: Any = importlib.import_module("tensorflow")
        graph: Call = tensorflow.function(function, jit_compile=False, autograph=False)
        return graph
    return compiled(backend, function)
