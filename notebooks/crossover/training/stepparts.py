"""A training step taken apart: its matrix products and Adam's arithmetic, each timed by itself."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.device import set_precision
from crossover.hardware.runtimes import runtime
from crossover.hardware.runtimes.base import Call
from crossover.problem import CLASSES, IMAGE_PIXELS, parameter_count, product_flops
from crossover.records.ceilings import WidthCeilings
from crossover.records.settings import Backend, Precision
from crossover.training.peaks import blas_threads
from crossover.training.timing import fastest, samples

TINY = 1e-9


def measure_width(
    backend: Backend, width: int, batch_size: int, rounded: Precision = "float32"
) -> WidthCeilings:
    """Measure the parts of one training step at one width.

    ``rounded`` is the precision where TF32 is allowed: products are measured with it too, where it
    is another one.
    """
    batch, *kernels = map(keras.ops.convert_to_tensor, _arrays(width, batch_size))
    # Steps in one compiled call: many of the small ones, so that a call costs nothing.
    loops = int(np.clip(2e9 // (parameter_count(width) * batch_size), 4, 256))
    ways: dict[str, Any] = {}
    for name in ("products",) if rounded == "float32" else ("tf32", "products"):
        set_precision(backend, name == "tf32")
        call = runtime(backend).traced(lambda *given: _products(*given))
        ways[f"{name}_loop"] = _fastest_products(backend, loops, batch, kernels)
        ways[f"{name}_call"] = samples(backend, lambda call=call: call(batch, *kernels))
    state = [keras.ops.zeros(parameter_count(width), dtype="float32") for _ in range(4)]
    update = runtime(backend).compiled(lambda *given: _repeat(_adam_step, loops, given))
    return WidthCeilings(
        width=width,
        product_flops=product_flops(width, batch_size),
        optimizer=samples(backend, lambda: update(*state), loops),
        **ways,
    )


def measure_blas(backend: Backend, width: int, batch_size: int) -> list[float]:
    """Seconds of a step's products through NumPy's BLAS, on as many threads as the backend has."""
    batch, *kernels = _arrays(width, batch_size)
    call = partial(_products, batch, *kernels, matmul=np.matmul, transpose=np.transpose)
    with blas_threads():
        return samples(backend, call)


def _fastest_products(
    backend: Backend, loops: int, batch: Any, kernels: Sequence[Any]
) -> list[float]:
    """Seconds of a step's products in a compiled loop, in the fastest of three ways.

    Which way of laying the kernels down XLA multiplies fastest, and whether it is faster in halves
    of a batch, depends on device and width.
    """
    transposed = [keras.ops.transpose(kernel) for kernel in kernels]
    half = batch.shape[0] // 2
    by_transposed: Call = partial(_products, transposed=True)
    ways = [
        (_products, [batch], kernels),
        (by_transposed, [batch], transposed),
        (by_transposed, [batch[half:], batch[:half]] if half else [batch], transposed),
    ]
    calls = []
    for way, batches, laid in ways:
        repeat = partial(_repeat_products, way, loops)
        loop = runtime(backend).compiled(lambda *given, repeat=repeat: repeat(*given))
        calls.append(partial(loop, batches, laid))
    return samples(backend, fastest(backend, calls), loops)


def _arrays(width: int, batch_size: int) -> list[NDArray[np.float32]]:
    """A batch and the four kernels, as (inputs, units)."""
    rng = np.random.default_rng(0)
    sizes = [IMAGE_PIXELS, width, width, width, CLASSES]
    shapes = [(batch_size, IMAGE_PIXELS), *itertools.pairwise(sizes)]
    return [rng.normal(0, shape[0] ** -0.5, shape).astype(np.float32) for shape in shapes]


def _products(
    batch: Any,
    *kernels: Any,
    transposed: bool = False,
    matmul: Call = keras.ops.matmul,
    transpose: Call = keras.ops.transpose,
) -> tuple[Any, ...]:
    """All matrix products of one step: the gradients of the kernels, laid down as these are.

    ``kernels`` are (inputs, units), or (units, inputs) where they are ``transposed``, as the tuned
    protocol keeps them.
    """
    layers = [batch]
    for kernel in kernels:
        layers.append(matmul(layers[-1], transpose(kernel) if transposed else kernel))
    down, gradients = layers[-1], []
    for layer, kernel in zip(layers[-2::-1], kernels[::-1], strict=True):
        left, right = (down, layer) if transposed else (layer, down)
        gradients.append(matmul(transpose(left), right))
        if kernel is not kernels[0]:
            down = matmul(down, kernel if transposed else transpose(kernel))
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

    A turn changes one number of each batch, or of the first kernel where that is smaller to copy,
    by the products of the turn before: so none is left out.
    """
    count = len(batches)
    by_batch = np.prod(batches[0].shape) <= np.prod(kernels[0].shape)

    def turn(*carried: Any) -> tuple[Any, ...]:
        rows, laid = list(carried[:count]), list(carried[count : count + len(kernels)])
        gradients = [products(batch, *laid) for batch in rows]
        if by_batch:
            rows = [_nudged(batch, *own) for batch, own in zip(rows, gradients, strict=True)]
        else:
            laid[0] = _nudged(laid[0], *(first for first, *_ in gradients))
        return (*rows, *laid, *itertools.chain(*gradients))

    results = [keras.ops.zeros_like(kernel) for kernel in kernels] * count
    return _repeat(turn, loops, [*batches, *kernels, *results])


def _nudged(operand: Any, *gradients: Any) -> Any:
    """The operand with its first number changed by a trifle that each of the gradients sets."""
    moved = operand[:1, :1] + TINY * sum(gradient[:1, :1] for gradient in gradients)
    return keras.ops.slice_update(operand, (0, 0), moved)
