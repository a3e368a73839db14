"""What one training step computes and moves, counted from the model's sizes."""

from __future__ import annotations

from crossover.records.record import parameter_count
from crossover.training.mnist import CLASSES, IMAGE_PIXELS

FLOAT_BYTES = 4
# A parameter is read forward and backward, its gradient written, and Adam reads
# four values (weight, gradient, both moments) and writes three.
PARAMETER_PASSES = 2 + 1 + 4 + 3


def product_flops(width: int, batch_size: int) -> int:
    """Floating-point operations of a step's matrix products.

    Forward and weight gradients take 2 · batch · weights each, and so do the
    gradients of the inputs, which the first layer does not need.
    """
    first, later = IMAGE_PIXELS * width, 2 * width * width + CLASSES * width
    return 2 * batch_size * (2 * first + 3 * later)


def evaluation_flops(width: int, images: int) -> int:
    """Floating-point operations of the products that evaluate ``images`` images: forward only."""
    return 2 * images * (IMAGE_PIXELS * width + 2 * width * width + CLASSES * width)


def step_bytes(width: int, batch_size: int) -> int:
    """The least bytes that a step moves: its batch once, its parameters' passes.

    Activations, which fit a cache at these sizes, are not counted.
    """
    batch = batch_size * IMAGE_PIXELS
    return FLOAT_BYTES * (batch + PARAMETER_PASSES * parameter_count(width))
