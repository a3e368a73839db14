"""The tuned protocol on TensorFlow: an epoch is one XLA program that loops over its batches.

A CPU runs Keras's layers, a GPU the packed step of the same arithmetic.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.compiler.tf2xla.python import xla

from crossover.hardware.device import synchronize
from crossover.hardware.runtimes import runtime
from crossover.records.settings import Settings
from crossover.training.packed import Packed, unpack
from crossover.training.tuned import Order, epoch_logs, logits_of, loss_and_hits, scaled

# TensorFlow's XLA for CPUs runs independent products side by side, but gains little from splitting
# one small product over the cores: at these widths a batch is trained in two halves, whose
# gradients are added. Below, a half is too little work; above, a product is split well.
WIDTHS_IN_HALVES = range(32, 129)

Sums = tuple[tf.Tensor, tf.Tensor]


class TunedTraining:
    """A model, its data on the device, and its compiled epoch; the device's program by default."""

    def __init__(
        self,
        model: keras.Model,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        settings: Settings,
        seed: int,
        program: type[LayersProgram] | type[PackedProgram] | None = None,
    ) -> None:
        self.settings = settings
        self.order = Order(len(images), settings, seed)
        self.data = [tf.constant(images), tf.constant(labels)]
        on_cpu = runtime(settings.backend).place(self.data[0]).startswith("CPU")
        kind = program or (LayersProgram if on_cpu else PackedProgram)
        self.program: LayersProgram | PackedProgram = kind(model, self.order)
        self.compiled = compiled(self.program)

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        logs = self.compiled(*self.data, tf.constant(self.order.next()))
        synchronize(self.settings.backend)
        return {name: float(value) for name, value in logs.items()}

    def values(self) -> list[tf.Tensor]:
        """All that an epoch hands to the next: weights, and the optimizer's variables."""
        weights, optimizer = self.program.trained
        return [variable.value for variable in (*weights, *optimizer.variables)]

    def finish(self) -> None:
        """Give the model what was learned, where other variables were trained."""
        self.program.finish()


class LayersProgram:
    """Steps through Keras's layers, and their gradients by TensorFlow."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        self.model, self.order, self.logits = model, order, logits_of(model)
        model.optimizer.build(model.trainable_variables)
        self.halves = _halves(model.layers[0].units, order.batch_size)

    @property
    def trained(self) -> tuple[list[keras.Variable], keras.Optimizer]:
        """The variables that the steps train, and their optimizer."""
        return self.model.trainable_variables, self.model.optimizer

    def sums(self) -> Sums:
        """Where the loss and the right answers are added up."""
        return tf.constant(0.0), tf.constant(0.0)

    def step(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, left: tf.Tensor) -> Sums:
        """Train on the images of some rows, of which ``left`` count; what to add to the sums."""
        size = self.order.batch_size
        counted = tf.range(size) < left
        loss, hits = self.sums()
        with tf.GradientTape() as tape:
            for half in self.halves:
                outputs = self.logits(scaled(tf.gather(images, rows[half])), training=True)
                added = loss_and_hits(outputs, tf.gather(labels, rows[half]), counted[half])
                loss, hits = loss + added[0], hits + added[1]
            mean = loss / tf.minimum(float(size), tf.cast(left, tf.float32))
        weights = self.model.trainable_variables
        self.model.optimizer.apply(tape.gradient(mean, weights))
        return loss, hits

    def evaluated(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of the images held out."""
        return self.logits(images, training=False)

    def finish(self) -> None:
        """Nothing is left to do: the steps trained the model's own variables."""


class PackedProgram:
    """Steps in few kernels: the packed step, its gradients written out."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        self.model, self.order, self.logits = model, order, logits_of(model)
        self.packed = Packed(model, _barrier)
        # Dropout's states, which the evaluation takes and does not use.
        self.others = [variable.value for variable in model.non_trainable_variables]

    @property
    def trained(self) -> tuple[list[keras.Variable], keras.Optimizer]:
        """The variables that the steps train, and their optimizer."""
        return self.packed.variables, self.packed.optimizer

    def sums(self) -> Sums:
        """Where the losses and the right answers are added up."""
        losses, hits = self.packed.sums(self.order.batch_size)
        return losses, hits

    def step(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, left: tf.Tensor) -> Sums:
        """Train on the images of some rows, of which ``left`` count; what to add to the sums."""
        optimizer = self.packed.optimizer
        read = tf.gather(images, rows), tf.gather(labels, rows)
        values = [variable.value for variable in self.packed.variables]
        left = tf.minimum(left, self.order.batch_size)
        number = tf.cast(optimizer.iterations.value, tf.int32)
        gradients, (losses, hits) = self.packed.step(values, number, *read, left)
        optimizer.apply(gradients)
        return losses, hits

    def evaluated(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of the images held out."""
        weights = unpack([variable.value for variable in self.packed.variables])
        outputs, _ = self.logits.stateless_call(weights, self.others, images)
        return outputs

    def finish(self) -> None:
        """Give the model what was learned."""
        learned = unpack([variable.value for variable in self.packed.variables])
        for variable, value in zip(self.model.trainable_variables, learned, strict=True):
            variable.assign(value)


def _barrier(value: tf.Tensor) -> tf.Tensor:
    (kept,) = xla.optimization_barrier(value)
    return kept


def _halves(width: int, batch_size: int) -> list[slice]:
    """The rows of a batch that are trained side by side; all of them where halves don't pay."""
    if width in WIDTHS_IN_HALVES and batch_size > 1:
        return [slice(batch_size // 2), slice(batch_size // 2, batch_size)]
    return [slice(batch_size)]


def compiled(program: LayersProgram | PackedProgram) -> Any:
    """One epoch as one XLA program: a loop over the batches, then the images held out."""
    order = program.order
    size, trained = order.batch_size, order.trained

    @tf.function(jit_compile=True, autograph=False)
    def epoch(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        def turn(start: tf.Tensor, loss: tf.Tensor, hits: tf.Tensor) -> tuple[tf.Tensor, ...]:
            added = program.step(images, labels, tf.slice(rows, [start], [size]), trained - start)
            return start + size, loss + added[0], hits + added[1]

        _, *sums = tf.while_loop(
            lambda start, *_: start < trained, turn, (tf.constant(0), *program.sums())
        )
        return epoch_logs(order, sums, program.evaluated, images, labels)

    return epoch
