"""Timing calls in blocks.

A call is repeated until a block of them takes a few milliseconds; the clock is read when the device
has finished, and the seconds a call of several blocks are kept.
"""

import math
import time
from collections.abc import Iterable

from crossover.hardware.runtimes import runtime
from crossover.hardware.runtimes.base import Call
from crossover.records.settings import Backend

BLOCKS = 7
BLOCK_SECONDS = 0.01
MOST_CALLS = 2**14
# Calls of each way that `fastest` compares; the quicker one counts.
TRIES = 2
# No block is shorter than a clock can tell.
TICK = 1e-6


def samples(backend: Backend, call: Call, calls: int = 1) -> list[float]:
    """Seconds of one of ``calls`` repetitions inside ``call``, one value a block."""
    _block(backend, call, 1)  # A first call may compile.
    count, seconds = 1, _block(backend, call, 1)
    while seconds < BLOCK_SECONDS and count < MOST_CALLS:
        # A tenth more, for the next block to be long enough; twice at least, for the first calls
        # may be slow ones.
        enough = math.ceil(1.1 * count * BLOCK_SECONDS / max(seconds, TICK))
        count = min(max(2 * count, enough), MOST_CALLS)
        seconds = _block(backend, call, count)
    return [_block(backend, call, count) / (count * calls) for _ in range(BLOCKS)]


def fastest(backend: Backend, ways: Iterable[Call]) -> Call:
    """The fastest of several calls that take milliseconds each, by few tries of each."""

    def quickest(call: Call) -> float:
        _block(backend, call, 1)  # A first call may compile.
        return min(_block(backend, call, 1) for _ in range(TRIES))

    return min(ways, key=quickest)


def _block(backend: Backend, call: Call, count: int) -> float:
    used = runtime(backend)
    used.synchronize()
    started = time.perf_counter()
    for _ in range(count):
        result = call()
    used.wait(result)
    return time.perf_counter() - started
