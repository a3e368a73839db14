"""The learning problem: MNIST, the published model, what one of its steps computes and moves."""

from collections.abc import Iterable

IMAGE_PIXELS = 28 * 28
CLASSES = 10
TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000

# As the published study trained; 0.1 of the training images are held out.
WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
EPOCHS, BATCH_SIZE, VALIDATION_SPLIT = 10, 128, 0.1
# A small, a middling and a large model, at which the report takes a step apart.
EXPLAINED_WIDTHS = (4, 128, 1024)

FLOAT_BYTES = 4
# A parameter is read forward and backward, its gradient written, and Adam reads
# four values (weight, gradient, both moments) and writes three.
PARAMETER_PASSES = 2 + 1 + 4 + 3


def explained_widths(widths: Iterable[int]) -> list[int]:
    """The widths at which a step is taken apart: those of ``EXPLAINED_WIDTHS`` among them.

    Where there is none, the smallest and the largest.
    """
    ascending = sorted(set(widths))
    explained = [width for width in ascending if width in EXPLAINED_WIDTHS]
    return explained or sorted({*ascending[:1], *ascending[-1:]})


def weight_count(width: int) -> int:
    """Numbers in the four kernels of 784 → width → width → width → 10."""
    return IMAGE_PIXELS * width + 2 * width * width + CLASSES * width


def parameter_count(width: int) -> int:
    """Trainable parameters: the kernels' weights and the layers' biases."""
    return weight_count(width) + 3 * width + CLASSES


def trained_images(validation_split: float = VALIDATION_SPLIT) -> int:
    """Images trained on; the others are held out."""
    return int(TRAIN_IMAGES * (1 - validation_split))


def steps_per_epoch(batch_size: int, validation_split: float = VALIDATION_SPLIT) -> int:
    """Optimizer steps an epoch; the last batch may be smaller."""
    return -(-trained_images(validation_split) // batch_size)


def product_flops(width: int, batch_size: int) -> int:
    """Floating-point operations of a step's matrix products.

    Forward and weight gradients take 2 · batch · weights each, and so do the gradients of the
    inputs, which the first layer does not need.
    """
    return 2 * batch_size * (3 * weight_count(width) - IMAGE_PIXELS * width)


def evaluation_flops(width: int, images: int) -> int:
    """Floating-point operations of the products that evaluate ``images`` images: forward only."""
    return 2 * images * weight_count(width)


def batch_bytes(batch_size: int) -> int:
    """Bytes of a batch of images in single precision."""
    return FLOAT_BYTES * batch_size * IMAGE_PIXELS


def step_bytes(width: int, batch_size: int) -> int:
    """The least bytes that a step moves: its batch once, its parameters' passes.

    Activations, which fit a cache at these sizes, are not counted.
    """
    return batch_bytes(batch_size) + FLOAT_BYTES * PARAMETER_PASSES * parameter_count(width)
