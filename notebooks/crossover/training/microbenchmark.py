"""Measuring a device's limits: dispatch, copies, matrix products, Adam's arithmetic.

Every measurement repeats its call until a block takes a few milliseconds,
waits for the device, and keeps the seconds a call of several such blocks.
"""

from __future__ import annotations

import importlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import keras
import numpy as np

from crossover.hardware.card import used_card
from crossover.hardware.conditions import watch_conditions
from crossover.hardware.device import assert_placement, set_precision, synchronize
from crossover.hardware.machine import describe_code, describe_machine, describe_software
from crossover.records.limits import Limits, WidthLimits
from crossover.records.record import Backend, Device, Precision, parameter_count
from crossover.training.mnist import CLASSES, IMAGE_PIXELS
from crossover.training.parameters import SweepParameters
from crossover.training.profiler import profile_step
from crossover.training.step import FLOAT_BYTES, product_flops

BLOCKS = 7
BLOCK_SECONDS = 0.02
LARGE_BYTES = 256 * 2**20
MOST_CALLS = 2**14
TINY = 1e-9

Call = Callable[..., Any]


def measure_limits(
    sweep: SweepParameters, device: Device, device_name: str, known: Limits | None = None
) -> Iterator[Limits]:
    """Measure what a limits record holds; yield it after each width, in the order given.

    Parameters
    ----------
    known : Limits, optional
        An earlier record of this device. It is gone on with where the machine,
        its software and this code are still the same, or else measured anew.
    """
    backend = sweep.backend
    assert_placement(backend, device, keras.ops.ones(1))
    rounded = set_precision(backend, allow_tf32=True)
    machine, software = describe_machine(device, device_name), describe_software(backend)
    facts: dict[str, Any] = {"machine": machine, "software": software, "code": describe_code()}
    wanted, widths, fewest = list(sweep.widths), [*known.widths] if known else [], 0
    if known and not _same(known, facts):
        wanted += [found.width for found in widths if found.width not in wanted]
        known, widths, fewest = None, [], len(widths)
    measured = {found.width for found in widths}
    with watch_conditions(used_card(device_name) if device == "gpu" else None) as watched:
        common = known.common if known else measure_common(backend, sweep.batch_size)
        for width in (width for width in wanted if width not in measured):
            started = time.perf_counter()
            parts = measure_width(backend, width, sweep.batch_size, rounded)
            profile = profile_step(backend, device, width, sweep.batch_size)
            taken = time.perf_counter() - started
            widths.append(parts.model_copy(update={"profile": profile, "seconds": taken}))
            print(f"limits  width {width:>5}  {widths[-1].flops_per_second() / 1e9:,.1f} GFLOP/s")
            if len(widths) < fewest:
                continue  # The earlier record tells more until then.
            yield Limits(
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


def _same(known: Limits, facts: dict[str, Any]) -> bool:
    """Whether a record is of this machine, software and code."""
    alike = known.machine == facts["machine"] and known.software == facts["software"]
    return bool(alike and known.code.digest == facts["code"].digest)


def measure_common(backend: Backend, batch_size: int) -> dict[str, Any]:
    """Measure what is the same for all widths; the fields of `Limits`."""
    started, batch_bytes = time.perf_counter(), FLOAT_BYTES * batch_size * IMAGE_PIXELS
    dispatch, launch = measure_dispatch(backend)
    return {
        "dispatch": dispatch,
        "launch": launch,
        "batch_bytes": batch_bytes,
        "batch_copy": measure_copy(backend, batch_bytes),
        "large_bytes": LARGE_BYTES,
        "large_copy": measure_copy(backend, LARGE_BYTES),
        "memory": measure_memory(backend),
        "common_seconds": time.perf_counter() - started,
    }


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


def measure_dispatch(backend: Backend) -> tuple[list[float], list[float]]:
    """Seconds of one call that does nothing: each awaited, and many awaited once."""
    one = keras.ops.convert_to_tensor(np.float32(1))
    nothing = compiled(backend, lambda value: value + 1)

    def awaited() -> Any:
        result = nothing(one)
        wait(backend, result)
        return result

    return samples(backend, awaited), samples(backend, lambda: nothing(one))


def measure_copy(backend: Backend, size: int) -> list[float]:
    """Seconds of moving ``size`` bytes from NumPy to the device, each copy awaited."""
    block = np.random.default_rng(0).random(size // 4, dtype=np.float32)

    def copy() -> Any:
        result = keras.ops.convert_to_tensor(block)
        wait(backend, result)
        return result

    return samples(backend, copy)


def measure_memory(backend: Backend) -> list[float]:
    """Seconds of reading and writing ``LARGE_BYTES`` on the device."""
    block = keras.ops.ones(LARGE_BYTES // 4, dtype="float32")
    ways = [traced(backend, lambda x: x + 1), compiled(backend, lambda x: x + 1)]
    return min((samples(backend, lambda way=way: way(block)) for way in ways), key=np.median)


def measure_width(
    backend: Backend, width: int, batch_size: int, rounded: Precision = "float32"
) -> WidthLimits:
    """Measure the parts of one training step at one width.

    ``rounded`` is the precision where TF32 is allowed: products are measured
    with it too, where it is another one.
    """
    batch, *kernels = _operands(width, batch_size)
    loops = _loops(parameter_count(width) * batch_size)
    ways: dict[str, Any] = {}
    for name in ("products",) if rounded == "float32" else ("tf32", "products"):
        set_precision(backend, name == "tf32")
        call = traced(backend, lambda *given: _products(*given))
        ways[f"{name}_loop"] = _fastest_products(backend, loops, batch, kernels)
        ways[f"{name}_call"] = samples(backend, lambda call=call: call(batch, *kernels))
    state = [keras.ops.zeros(parameter_count(width), dtype="float32") for _ in range(4)]
    update = compiled(backend, lambda *given: _repeat(_adam_step, loops, given))
    return WidthLimits(
        width=width,
        product_flops=product_flops(width, batch_size),
        optimizer=samples(backend, lambda: update(*state), loops),
        **ways,
    )


def _fastest_products(
    backend: Backend, loops: int, batch: Any, kernels: Sequence[Any]
) -> list[float]:
    """Seconds of a step's products in a compiled loop, in the fastest of three ways.

    Which way of laying the kernels down XLA multiplies fastest, and whether it
    is faster in halves of a batch, depends on device and width.
    """
    turned = [keras.ops.transpose(kernel) for kernel in kernels]
    half = batch.shape[0] // 2
    turned_products: Call = partial(_products, turned=True)
    ways = [
        (_products, [batch], kernels),
        (turned_products, [batch], turned),
        (turned_products, [batch[half:], batch[:half]] if half else [batch], turned),
    ]
    found = []
    for way, batches, laid in ways:
        repeat = partial(_repeat_products, way, loops)
        loop = compiled(backend, lambda *given, repeat=repeat: repeat(*given))
        found.append(samples(backend, partial(loop, batches, laid), loops))
    return min(found, key=statistics.median)


def _loops(work: int) -> int:
    """Steps in one compiled call: many of the small ones, so that a call costs nothing."""
    return int(np.clip(2e9 // work, 4, 256))


def _operands(width: int, batch_size: int) -> list[Any]:
    """A batch and the four kernels, as (inputs, units), on the device."""
    rng = np.random.default_rng(0)
    sizes = [IMAGE_PIXELS, width, width, width, CLASSES]
    shapes = [(batch_size, IMAGE_PIXELS), *itertools.pairwise(sizes)]
    return [
        keras.ops.convert_to_tensor(rng.normal(0, rows**-0.5, (rows, columns)).astype(np.float32))
        for rows, columns in shapes
    ]


def _products(batch: Any, *kernels: Any, turned: bool = False) -> tuple[Any, ...]:
    """All matrix products of one step: the gradients of the kernels, laid down as these are.

    ``kernels`` are (inputs, units), or (units, inputs) where they are
    ``turned``, as the tuned protocol keeps them.
    """
    matmul, transpose = keras.ops.matmul, keras.ops.transpose
    layers = [batch]
    for kernel in kernels:
        layers.append(matmul(layers[-1], transpose(kernel) if turned else kernel))
    down, gradients = layers[-1], []
    for layer, kernel in zip(layers[-2::-1], kernels[::-1], strict=True):
        left, right = (down, layer) if turned else (layer, down)
        gradients.append(matmul(transpose(left), right))
        if kernel is not kernels[0]:
            down = matmul(down, kernel if turned else transpose(kernel))
    return tuple(gradients[::-1])


def _adam_step(values: Any, gradients: Any, first: Any, second: Any) -> tuple[Any, ...]:
    """Adam's update without bias correction (Kingma & Ba 2015, algorithm 1)."""
    first = 0.9 * first + 0.1 * gradients
    second = 0.999 * second + 0.001 * gradients * gradients
    values = values - 0.001 * first / (keras.ops.sqrt(second) + 1e-7)
    return values, gradients, first, second


def _repeat(step: Call, loops: int, operands: Sequence[Any]) -> Any:
    """Run a step, whose results are its next operands, in a compiled loop."""
    return keras.ops.fori_loop(0, loops, lambda _, carried: tuple(step(*carried)), tuple(operands))


def _repeat_products(
    products: Call, loops: int, batches: Sequence[Any], kernels: Sequence[Any]
) -> Any:
    """Run the products of each batch in a compiled loop whose every turn needs the one before.

    A turn changes one number of each batch, or of the first kernel where that
    is smaller to copy, by the products of the turn before: so none is left out.
    """
    count = len(batches)
    by_batch = np.prod(batches[0].shape) <= np.prod(kernels[0].shape)

    def turn(*carried: Any) -> tuple[Any, ...]:
        rows, laid = list(carried[:count]), list(carried[count : count + len(kernels)])
        gradients = [products(batch, *laid) for batch in rows]
        if by_batch:
            rows = [_nudged(batch, *found) for batch, found in zip(rows, gradients, strict=True)]
        else:
            laid[0] = _nudged(laid[0], *(found[0] for found in gradients))
        return (*rows, *laid, *itertools.chain(*gradients))

    results = [keras.ops.zeros_like(kernel) for kernel in kernels] * count
    return _repeat(turn, loops, [*batches, *kernels, *results])


def _nudged(operand: Any, *gradients: Any) -> Any:
    """The operand with its first number changed by a trifle that each of the gradients sets."""
    moved = operand[:1, :1] + TINY * sum(gradient[:1, :1] for gradient in gradients)
    return keras.ops.slice_update(operand, (0, 0), moved)
