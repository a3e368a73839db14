"""The most arithmetic that a device does: large products, and fused multiply-adds."""

from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import threadpoolctl

from crossover.hardware.device import set_precision
from crossover.hardware.environment import pool_threads
from crossover.hardware.runtimes import runtime
from crossover.records.backends import BACKENDS
from crossover.records.ceilings import Peak
from crossover.records.settings import Backend, Device, Precision
from crossover.training.timing import samples

# Sides of the square matrices: large enough for every library's best rate.
SIDES: dict[Device, int] = {"cpu": 1536, "gpu": 8192}
# Multiply-adds on each number between reading and writing it, and numbers a thread: they stay in
# its cache, and enough of them are under way at a time.
CHAIN, NUMBERS = 8, (2**16, 2**17)
LOOP_FLOPS = 2**31


def measure_peaks(backend: Backend, device: Device) -> list[Peak]:
    """Every way tried; TF32 is allowed for the products, and named where the device has it.

    Products are made by the framework, its compiler and, on a CPU, NumPy's BLAS. What a CPU's cores
    can do at most, a loop of nothing but fused multiply-adds shows, where XLA compiles one.
    """
    peaks = []
    allowed = set_precision(backend, allow_tf32=True)
    if allowed != "float32":
        peaks += _framework_products(backend, device, allowed)
    set_precision(backend, allow_tf32=False)
    peaks += _framework_products(backend, device, "float32")
    if device == "cpu":
        peaks.append(_blas_product(backend))
        if BACKENDS[backend].xla != "never":
            peaks += [_multiply_adds(backend, size) for size in NUMBERS]
    return peaks


def blas_threads() -> AbstractContextManager[Any]:
    """Give NumPy's BLAS as many threads as the frameworks' pools until the context ends."""
    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(
        pool_threads(), user_api="blas"
    )
    return limits


def _framework_products(backend: Backend, device: Device, precision: Precision) -> list[Peak]:
    side = SIDES[device]
    matrix = keras.ops.convert_to_tensor(_matrix(side))
    ways = {backend: runtime(backend).traced(keras.ops.matmul)}
    if BACKENDS[backend].xla == "by choice":
        ways[f"{backend} with XLA"] = runtime(backend).compiled(keras.ops.matmul)
    return [
        Peak(
            way=f"product of {side} × {side}, {name}",
            precision=precision,
            flops=2 * side**3,
            seconds=samples(backend, lambda call=call: call(matrix, matrix)),
        )
        for name, call in ways.items()
    ]


def _blas_product(backend: Backend) -> Peak:
    side = SIDES["cpu"]
    matrix = _matrix(side)
    with blas_threads():
        seconds = samples(backend, lambda: matrix @ matrix)
    way = f"product of {side} × {side}, {blas_name()}"
    return Peak(way=way, flops=2 * side**3, seconds=seconds)


def blas_name() -> str:
    """NumPy's BLAS, its version, and the architecture that it has chosen."""
    libraries = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    if not libraries:
        return "NumPy's BLAS"
    # SciPy may bring another of its own.
    chosen = next((pool for pool in libraries if "numpy" in pool["filepath"]), libraries[0])
    words = [chosen.get(name) or "" for name in ("internal_api", "version", "architecture")]
    return " ".join(filter(None, words))


def _multiply_adds(backend: Backend, size: int) -> Peak:
    """A compiled loop over numbers in the cache; each turn reads them once and writes them once."""
    count = size * pool_threads()
    loops = max(1, LOOP_FLOPS // (2 * count * CHAIN))

    def turn(_: Any, values: Any) -> Any:
        for number in range(CHAIN):
            values = values * np.float32(0.999) + np.float32(0.001 * number)
        return values

    call = runtime(backend).compiled(lambda given: keras.ops.fori_loop(0, loops, turn, given))
    values = keras.ops.ones(count)
    return Peak(
        way=f"fused multiply-adds on {4 * size // 2**10} KiB a thread, {backend}",
        flops=2 * count * CHAIN * loops,
        seconds=samples(backend, lambda: call(values)),
    )


def _matrix(side: int) -> Any:
    return np.random.default_rng(0).random((side, side), dtype=np.float32)
