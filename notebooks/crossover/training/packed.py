"""The tuned step for a GPU: the same arithmetic in as few kernels as XLA lets it be.

A narrow network's step costs a GPU what starting its kernels costs, so that the fewest win. The
variables are four: the kernels of the hidden layers, each as (inputs, units), and one matrix of all
that is left, whose rows are as long as a layer is wide. The gradients are written out, for what
would be eight small reductions is then one. `benchmarks/compiled.py` counts what it comes to.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
from keras import ops

from crossover.problem import CLASSES, IMAGE_PIXELS
from crossover.training.dropout import HashDropout, kept_units
from crossover.training.tuned import scaled

# A multiple of 64: XLA splits the sum over the pixels (split-K) without a padded copy.
PIXELS = 832
HIDDEN = 3

Tensors = list[Any]


def pack(weights: Sequence[Any]) -> Tensors:
    """The four packed values of a tuned model's weights.

    The eight weights are kernels (units, inputs) and biases (units,) in turns, from the images on.
    The values' shapes are (832, w), (w, w), (w, w) and (13 + ⌈10 / w⌉, w): the rows of the last are
    the classes' kernels, the hidden layers' biases, and the classes' biases; the rest is zero and
    stays so.
    """
    kernels, biases = weights[::2], weights[1::2]
    width = kernels[0].shape[0]
    first, *hidden = map(ops.transpose, kernels[:HIDDEN])
    ends = ops.pad(biases[HIDDEN], [[0, -CLASSES % width]])
    rows = [kernels[HIDDEN], *(ops.expand_dims(bias, 0) for bias in biases[:HIDDEN])]
    last = ops.concatenate([*rows, ops.reshape(ends, (-1, width))])
    return [ops.pad(first, [[0, PIXELS - IMAGE_PIXELS], [0, 0]]), *hidden, last]


def unpack(values: Sequence[Any]) -> Tensors:
    """The weights that ``pack`` was given."""
    kernels = [ops.transpose(value) for value in (values[0][:IMAGE_PIXELS], *values[1:HIDDEN])]
    *biases, end = _biases(values[-1])
    return [*itertools.chain(*zip(kernels, biases, strict=True)), values[-1][:CLASSES], end]


def _biases(last: Any) -> Tensors:
    """Of the hidden layers, shape (w,) each, and of the classes, shape (10,)."""
    start = CLASSES + HIDDEN
    end = ops.reshape(last[start:], (-1,))[:CLASSES]
    return [*(last[row] for row in range(CLASSES, start)), end]


class Packed:
    """What a packed step needs of a tuned model: its values, dropout, and an optimizer of them.

    The model is compiled, and left as it is. ``barrier`` is XLA's optimization barrier: what it
    returns is computed once.
    """

    def __init__(self, model: keras.Model, barrier: Callable[[Any], Any]) -> None:
        self.barrier = barrier
        layers = [layer for layer in model.layers if isinstance(layer, HashDropout)]
        self.rate = layers[0].rate
        self.seeds = [layer.seed_generator.state.value[0] for layer in layers]
        values = pack([variable.value for variable in model.trainable_variables])
        self.variables = [keras.Variable(value) for value in values]
        self.optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        self.optimizer.build(self.variables)

    def sums(self, batch_size: int) -> Tensors:
        """Where losses and right answers are added up: zeros of shape (batch, 10)."""
        return [ops.zeros((batch_size, CLASSES))] * 2

    def step(
        self, values: Sequence[Any], number: Any, images: Any, labels: Any, left: Any
    ) -> tuple[Tensors, Tensors]:
        """Gradients of the mean loss of a batch, and what to add to the sums.

        ``values`` are as ``pack`` returns them. ``number``, int32 (), is that of the step since the
        training began: dropout's masks follow from it. Images are uint8 (batch, 784), labels uint8
        (batch,); ``left``, int32 (), of them count, and the last of a batch are those that don't.
        """
        *kernels, last = values
        biases, head = _biases(last), last[:CLASSES]
        pixels = ops.pad(scaled(images), [[0, 0], [0, PIXELS - IMAGE_PIXELS]])
        layers = [self.barrier(pixels)]
        for kernel, bias, seed in zip(kernels, biases[:HIDDEN], self.seeds, strict=True):
            hidden = ops.matmul(layers[-1], kernel) + bias
            kept = kept_units(seed, number, hidden.shape, self.rate)
            lives = ops.logical_and(kept, hidden > 0)
            layers.append(self.barrier(ops.where(lives, hidden / (1 - self.rate), 0.0)))
        # Ten classes are too few to multiply as matrices: sums that fuse with what is around.
        logits = ops.sum(ops.expand_dims(layers[-1], 1) * head, axis=2) + biases[-1]
        down, sums = _loss(logits, labels, left)
        below = _added(down[:, row : row + 1] * head[row] for row in range(CLASSES))
        slopes = [self._through(below, layers[-1])]
        for kernel, layer in zip(kernels[:0:-1], layers[-2:0:-1], strict=True):
            slopes.append(self._through(ops.matmul(slopes[-1], ops.transpose(kernel)), layer))
        slopes.reverse()
        gradients = [
            ops.matmul(ops.transpose(layer), slope)
            for layer, slope in zip(layers[:-1], slopes, strict=True)
        ]
        return [*gradients, _last_gradient(down, layers[-1], slopes)], sums

    def _through(self, down: Any, layer: Any) -> Any:
        """Slopes before dropout and ReLU: a unit that is above zero was kept and alive."""
        return down * ops.where(layer > 0, 1 / (1 - self.rate), 0.0)


def _added(terms: Iterable[Any]) -> Any:
    return functools.reduce(ops.add, terms)


def _loss(logits: Any, labels: Any, left: Any) -> tuple[Any, Tensors]:
    """Slopes of the mean cross-entropy, and the losses and hits of each image, all (batch, 10).

    What is looked for over the ten classes is a chain over ten columns: it fuses into one kernel,
    where reductions would be three.
    """
    classes = ops.arange(CLASSES)
    counted = ops.expand_dims(ops.arange(logits.shape[0]) < left, 1)
    true = ops.expand_dims(ops.cast(labels, "int32"), 1) == classes
    true = ops.logical_and(true, counted)
    columns = [logits[:, digit : digit + 1] for digit in range(CLASSES)]
    most = functools.reduce(ops.maximum, columns)
    total = _added(ops.exp(column - most) for column in columns)
    # The first of the largest, as argmax has it.
    answer: Any = CLASSES
    for digit in reversed(range(CLASSES)):
        answer = ops.where(columns[digit] == most, digit, answer)
    share = 1 / ops.cast(left, "float32")
    down = ops.where(counted, ops.exp(logits - most) / total * share, 0.0)
    losses = ops.where(true, ops.log(total) + most - logits, 0.0)
    hits = ops.cast(ops.logical_and(true, answer == classes), "float32")
    return down - ops.where(true, share, 0.0), [losses, hits]


def _last_gradient(down: Any, layer: Any, slopes: Sequence[Any]) -> Any:
    """Of the last packed value: every row is a sum over the batch, all in one reduction."""
    batch, width = layer.shape
    ends = ops.reshape(ops.pad(down, [[0, 0], [0, -CLASSES % width]]), (batch, -1, width))
    rows = [ops.expand_dims(down, 2) * ops.expand_dims(layer, 1)]
    rows += [ops.expand_dims(slope, 1) for slope in slopes]
    return ops.sum(ops.concatenate([*rows, ends], axis=1), axis=0)
