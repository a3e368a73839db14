"""Measuring a device's ceilings: copies, memory, and a record of all that others measure."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.card import used_card
from crossover.hardware.conditions import Watched
from crossover.hardware.device import assert_placement, set_precision
from crossover.hardware.machine import describe_run
from crossover.hardware.runtimes import runtime
from crossover.hardware.runtimes.base import Call
from crossover.problem import FLOAT_BYTES, batch_bytes, explained_widths
from crossover.records.ceilings import Ceilings, WidthCeilings
from crossover.records.parameters import SweepParameters
from crossover.records.settings import Backend, Device, Precision
from crossover.training.peaks import measure_peaks
from crossover.training.profiler import profile_step
from crossover.training.stepparts import measure_blas, measure_width
from crossover.training.timing import samples

LARGE_BYTES = 256 * 2**20


def measure_ceilings(
    sweep: SweepParameters, device: Device, device_name: str, earlier: Ceilings | None = None
) -> Iterator[Ceilings]:
    """Measure what a ceilings record holds; yield it after each width, in the order given.

    Only the widths that the report takes apart are profiled, of those asked for and measured
    before. An earlier record of this device is gone on with where the machine, its software and
    this code are still the same, or else measured anew.
    """
    backend = sweep.backend
    assert_placement(backend, device, keras.ops.ones(1))
    rounded = set_precision(backend, allow_tf32=True)
    facts = describe_run(backend, device, device_name)
    wanted, widths, fewest = list(sweep.widths), [*earlier.widths] if earlier else [], 0
    if earlier and not _same(earlier, facts):
        wanted += [one.width for one in widths if one.width not in wanted]
        earlier, widths, fewest = None, [], len(widths)
    measured = {one.width for one in widths}
    explained = explained_widths({*wanted, *measured})
    watched = Watched(used_card(device_name) if device == "gpu" else None)
    common = earlier.common if earlier else measure_common(backend, device, sweep.batch_size)
    for width in (width for width in wanted if width not in measured):
        one = _measure_one(backend, device, width, sweep.batch_size, rounded, width in explained)
        widths.append(one)
        print(f"ceilings  width {width:>5}  {one.flops_per_second() / 1e9:,.1f} GFLOP/s")
        if len(widths) < fewest:
            continue  # The earlier record tells more until then.
        yield Ceilings(
            backend=backend,
            device=device,
            device_name=device_name,
            batch_size=sweep.batch_size,
            threads=sweep.threads,
            started=datetime.now(UTC),
            widths=list(widths),
            conditions=watched.so_far(),
            **common,
            **facts,
        )


def _measure_one(
    backend: Backend,
    device: Device,
    width: int,
    batch_size: int,
    rounded: Precision,
    profiled: bool,
) -> WidthCeilings:
    started = time.perf_counter()
    parts = measure_width(backend, width, batch_size, rounded)
    blas = measure_blas(backend, width, batch_size) if device == "cpu" else None
    profile = profile_step(backend, device, width, batch_size) if profiled else None
    taken = time.perf_counter() - started
    return parts.model_copy(update={"profile": profile, "products_blas": blas, "seconds": taken})


def _same(earlier: Ceilings, facts: dict[str, Any]) -> bool:
    """Whether a record is of this machine, software, environment and code."""
    # A pool may start at its first use.
    software = facts["software"].model_copy(update={"pools": earlier.software.pools})
    return bool(
        earlier.machine == facts["machine"]
        and earlier.software == software
        and earlier.environment == facts["environment"]
        and earlier.code.digest == facts["code"].digest
    )


def measure_common(backend: Backend, device: Device, batch_size: int) -> dict[str, Any]:
    """Measure what is the same for all widths; the fields of `Ceilings`."""
    started, one_batch = time.perf_counter(), batch_bytes(batch_size)
    return {
        "batch_bytes": one_batch,
        "batch_copy": measure_copy(backend, one_batch),
        "pinned_copy": measure_pinned_copy(backend, one_batch),
        "large_bytes": LARGE_BYTES,
        "large_copy": measure_copy(backend, LARGE_BYTES),
        "memory": measure_memory(backend),
        "peaks": measure_peaks(backend, device),
        "common_seconds": time.perf_counter() - started,
    }


def measure_copy(backend: Backend, size: int) -> list[float]:
    """Seconds of moving ``size`` bytes from NumPy to the device, each copy awaited."""
    return _awaited(backend, partial(keras.ops.convert_to_tensor, _block(size)))


def measure_pinned_copy(backend: Backend, size: int) -> list[float] | None:
    """The same from pinned memory of the host; None where the backend or device has none."""
    copy = runtime(backend).pinned_copy(_block(size))
    return _awaited(backend, copy) if copy else None


def _block(size: int) -> NDArray[np.float32]:
    return np.ones(size // FLOAT_BYTES, dtype=np.float32)


def _awaited(backend: Backend, copy: Call) -> list[float]:
    def copied() -> Any:
        result = copy()
        runtime(backend).wait(result)
        return result

    return samples(backend, copied)


def measure_memory(backend: Backend) -> list[float]:
    """Seconds of reading and writing ``LARGE_BYTES`` on the device."""
    block = keras.ops.ones(LARGE_BYTES // 4, dtype="float32")
    ways = [run(lambda x: x + 1) for run in (runtime(backend).traced, runtime(backend).compiled)]
    return min((samples(backend, lambda way=way: way(block)) for way in ways), key=np.median)
