"""Timing calls in blocks.

A call is repeated until a block of them takes a few milliseconds; the clock is read when the device
has finished, and the seconds a call of several blocks are kept.
"""

import time

from crossover.hardware.runtimes import runtime
from crossover.hardware.runtimes.base import Call
from crossover.records.settings import Backend

BLOCKS = 7
BLOCK_SECONDS = 0.02
MOST_CALLS = 2**14


def samples(backend: Backend, call: Call, calls: int = 1) -> list[float]:
    """Seconds of one of ``calls`` repetitions inside ``call``, one value a block."""
    _block(backend, call, 2)
    count = 1
    while _block(backend, call, count) < BLOCK_SECONDS and count < MOST_CALLS:
        count *= 2
    return [_block(backend, call, count) / (count * calls) for _ in range(BLOCKS)]


def _block(backend: Backend, call: Call, count: int) -> float:
    used = runtime(backend)
    used.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        result = call()
    used.wait(result)
    return time.perf_counter() - started
