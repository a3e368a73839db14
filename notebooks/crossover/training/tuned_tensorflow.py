"""The tuned protocol on TensorFlow: an epoch is one XLA program that loops over its batches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crossover.hardware.device import synchronize
from crossover.hardware.runtimes import runtime
from crossover.records.record import Settings
from crossover.training.tuned import Order, logits_of, loss_and_hits, scaled

# On a CPU TensorFlow's XLA runs independent products side by side, but gains little from splitting
# one small product over the cores: at these widths a batch is trained in two halves, whose
# gradients are added. Below, a half is too little work; above, a product is split well.
WIDTHS_IN_HALVES = range(32, 129)

Sums = tuple[tf.Tensor, tf.Tensor]


class TunedTraining:
    """A model, its data on the device, and its compiled epoch."""

    def __init__(
        self,
        model: keras.Model,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        settings: Settings,
        seed: int,
    ) -> None:
        self.settings = settings
        self.order = Order(len(images), settings, seed)
        self.data = [tf.constant(images), tf.constant(labels)]
        self.compiled = _compile_epoch(
            model, self.order, runtime(settings.backend).place(self.data[0])
        )

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        logs = self.compiled(*self.data, tf.constant(self.order.next()))
        synchronize(self.settings.backend)
        return {name: float(value) for name, value in logs.items()}

    def finish(self) -> None:
        """Nothing is left to do: the epochs trained the model's own variables."""


def _halves(width: int, batch_size: int, place: str) -> list[slice]:
    """The rows of a batch that are trained side by side; all of them where halves don't pay."""
    if width in WIDTHS_IN_HALVES and place.startswith("CPU") and batch_size > 1:
        return [slice(batch_size // 2), slice(batch_size // 2, batch_size)]
    return [slice(batch_size)]


def _compile_epoch(model: keras.Model, order: Order, place: str) -> Any:
    """One epoch as one XLA program: a loop over the batches, then the images held out."""
    optimizer, logits = model.optimizer, logits_of(model)
    optimizer.build(model.trainable_variables)
    size, trained = order.batch_size, order.trained
    halves = _halves(model.layers[0].units, size, place)

    def step(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor, left: tf.Tensor) -> Sums:
        counted = tf.range(size) < left
        loss, hits = tf.constant(0.0), tf.constant(0.0)
        with tf.GradientTape() as tape:
            for half in halves:
                outputs = logits(scaled(tf.gather(images, rows[half])), training=True)
                added = loss_and_hits(outputs, tf.gather(labels, rows[half]), counted[half])
                loss, hits = loss + added[0], hits + added[1]
            mean = loss / tf.minimum(float(size), tf.cast(left, tf.float32))
        optimizer.apply(tape.gradient(mean, model.trainable_variables))
        return loss, hits

    @tf.function(jit_compile=True, autograph=False)
    def epoch(images: tf.Tensor, labels: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        def turn(start: tf.Tensor, loss: tf.Tensor, hits: tf.Tensor) -> tuple[tf.Tensor, ...]:
            added = step(images, labels, tf.slice(rows, [start], [size]), trained - start)
            return start + size, loss + added[0], hits + added[1]

        begin = (tf.constant(0), tf.constant(0.0), tf.constant(0.0))
        _, loss, hits = tf.while_loop(lambda start, *_: start < trained, turn, begin)
        logs = {"loss": loss / trained, "accuracy": hits / trained}
        if order.held_out:
            outputs = logits(scaled(images[trained:]), training=False)
            loss, hits = loss_and_hits(outputs, labels[trained:])
            logs |= {"val_loss": loss / order.held_out, "val_accuracy": hits / order.held_out}
        return logs

    return epoch
