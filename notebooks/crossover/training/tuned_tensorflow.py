"""The tuned protocol on TensorFlow: an epoch is one XLA program that loops over its batches."""

import abc
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.compiler.tf2xla.python import xla

from crossover.training.packed import Packed, unpack
from crossover.training.tuned import (
    Order,
    Program,
    assign,
    epoch_logs,
    held_out_logs,
    loss_and_hits,
    scaled,
)

# TensorFlow's XLA for CPUs runs independent products side by side, but gains little from splitting
# one small product over the cores: at these widths a batch is trained in two halves, whose
# gradients are added. Below, a half is too little work; above, a product is split well.
WIDTHS_IN_HALVES = range(32, 129)

Sums = tuple[tf.Tensor, tf.Tensor]


class Loop(Program):
    """An epoch as a loop of steps that train variables where they lie."""

    # What the steps train.
    variables: list[keras.Variable]
    optimizer: keras.Optimizer

    @abc.abstractmethod
    def sums(self) -> Sums:
        """Where the losses and the right answers are added up."""

    @abc.abstractmethod
    def step(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, left: tf.Tensor) -> Sums:
        """Train on the images of some rows, of which ``left`` count; what to add to the sums."""

    @abc.abstractmethod
    def evaluated(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of the images held out."""

    @cached_property
    def compiled(self) -> Any:
        """One epoch as one XLA program: a loop over the batches, then the images held out."""
        order = self.order
        size, trained = order.batch_size, order.trained

        @tf.function(jit_compile=True, autograph=False)
        def epoch(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
            def turn(start: tf.Tensor, loss: tf.Tensor, hits: tf.Tensor) -> tuple[tf.Tensor, ...]:
                read = tf.slice(rows, [start], [size])
                added = self.step(images, labels, read, trained - start)
                return start + size, loss + added[0], hits + added[1]

            _, *sums = tf.while_loop(
                lambda start, *_: start < trained, turn, (tf.constant(0), *self.sums())
            )
            return epoch_logs(order, sums, self.evaluated, images, labels)

        return epoch

    def run(
        self, images: tf.Tensor, labels: tf.Tensor, rows: NDArray[np.int32]
    ) -> dict[str, tf.Tensor]:
        logs: dict[str, tf.Tensor] = self.compiled(images, labels, tf.constant(rows))
        return logs

    @cached_property
    def evaluation(self) -> Any:
        """The evaluation of images by themselves, as one XLA program."""

        @tf.function(jit_compile=True, autograph=False)
        def evaluate(images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
            return held_out_logs(self.evaluated, images, labels)

        return evaluate

    def validate(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        logs: dict[str, tf.Tensor] = self.evaluation(images, labels)
        return logs

    def values(self) -> list[tf.Tensor]:
        return [variable.value for variable in (*self.variables, *self.optimizer.variables)]


class LayersProgram(Loop):
    """Steps through Keras's layers, and their gradients by TensorFlow."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        super().__init__(model, order)
        self.variables, self.optimizer = model.trainable_variables, model.optimizer
        self.optimizer.build(self.variables)
        self.halves = _halves(model.layers[0].units, order.batch_size)

    def sums(self) -> Sums:
        return tf.constant(0.0), tf.constant(0.0)

    def step(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, left: tf.Tensor) -> Sums:
        size = self.order.batch_size
        counted = tf.range(size) < left
        loss, hits = self.sums()
        with tf.GradientTape() as tape:
            for half in self.halves:
                outputs = self.logits(scaled(tf.gather(images, rows[half])), training=True)
                added = loss_and_hits(outputs, tf.gather(labels, rows[half]), counted[half])
                loss, hits = loss + added[0], hits + added[1]
            mean = loss / tf.minimum(float(size), tf.cast(left, tf.float32))
        self.optimizer.apply(tape.gradient(mean, self.variables))
        return loss, hits

    def evaluated(self, images: tf.Tensor) -> tf.Tensor:
        return self.logits(images, training=False)

    def finish(self) -> None:
        """Nothing is left to do: the steps trained the model's own variables."""


class PackedProgram(Loop):
    """Steps in few kernels: the packed step, its gradients written out."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        super().__init__(model, order)
        self.packed = Packed(model, _barrier)
        self.variables, self.optimizer = self.packed.variables, self.packed.optimizer
        # Dropout's states, which the evaluation takes and does not use.
        self.others = [variable.value for variable in model.non_trainable_variables]

    def sums(self) -> Sums:
        losses, hits = self.packed.sums(self.order.batch_size)
        return losses, hits

    def step(self, images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, left: tf.Tensor) -> Sums:
        read = tf.gather(images, rows), tf.gather(labels, rows)
        values = [variable.value for variable in self.variables]
        left = tf.minimum(left, self.order.batch_size)
        number = tf.cast(self.optimizer.iterations.value, tf.int32)
        gradients, (losses, hits) = self.packed.step(values, number, *read, left)
        self.optimizer.apply(gradients)
        return losses, hits

    def evaluated(self, images: tf.Tensor) -> tf.Tensor:
        outputs, _ = self.logits.stateless_call(self._weights(), self.others, images)
        return outputs

    def finish(self) -> None:
        assign(self.model.trainable_variables, self._weights())

    def _weights(self) -> list[tf.Tensor]:
        return unpack([variable.value for variable in self.variables])


def _barrier(value: tf.Tensor) -> tf.Tensor:
    (kept,) = xla.optimization_barrier(value)
    return kept


def _halves(width: int, batch_size: int) -> list[slice]:
    """The rows of a batch that are trained side by side; all of them where halves don't pay."""
    if width in WIDTHS_IN_HALVES and batch_size > 1:
        return [slice(batch_size // 2), slice(batch_size // 2, batch_size)]
    return [slice(batch_size)]
