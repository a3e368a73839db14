"""The tuned protocol on TensorFlow: an epoch is one XLA program that loops over its batches."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from crossover.hardware.device import synchronize
from crossover.records.record import Settings
from crossover.training.mnist import CLASSES


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
        self.model = model
        self.settings = settings
        self.trained = int(len(images) * (1 - settings.validation_split))
        self.images, self.labels = tf.constant(images), tf.constant(labels)
        self.shuffle = np.random.default_rng(seed)
        self.compiled = _compile_epoch(model, self.trained, settings.batch_size)

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        order = tf.constant(self.shuffle.permutation(self.trained).astype(np.int32))
        logs = self.compiled(self.images, self.labels, order)
        if len(self.images) > self.trained:
            held_out = self.images[self.trained :], self.labels[self.trained :]
            logs |= _validate(self.model, *held_out)
        synchronize(self.settings.backend)
        return {name: float(value) for name, value in logs.items()}

    def finish(self) -> None:
        """Nothing is left to do: the epochs trained the model's own variables."""


def _compile_epoch(model: keras.Model, trained: int, batch_size: int) -> Any:
    """One epoch as one XLA program: full batches in a loop, then the rest."""
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    full, rest = divmod(trained, batch_size)

    def step(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, hits = _loss_and_hits(model(_scaled(images), training=True), labels)
            mean = loss / tf.cast(len(images), tf.float32)
        gradients = tape.gradient(mean, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, hits

    @tf.function(jit_compile=True)
    def epoch(images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor) -> dict[str, tf.Tensor]:
        images, labels = tf.gather(images, order), tf.gather(labels, order)
        loss, hits = tf.constant(0.0), tf.constant(0.0)
        for index in tf.range(full):
            start = index * batch_size
            batch = tf.slice(images, [start, 0], [batch_size, images.shape[1]])
            added = step(batch, tf.slice(labels, [start], [batch_size]))
            loss, hits = loss + added[0], hits + added[1]
        if rest:
            added = step(images[-rest:], labels[-rest:])
            loss, hits = loss + added[0], hits + added[1]
        return {"loss": loss / trained, "accuracy": hits / trained}

    return epoch


@tf.function(jit_compile=True)
def _validate(model: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    loss, hits = _loss_and_hits(model(_scaled(images), training=False), labels)
    return {"val_loss": loss / len(images), "val_accuracy": hits / len(images)}


def _scaled(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 255.0


def _loss_and_hits(probabilities: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Summed cross-entropy and the number of right answers in a batch."""
    targets = tf.one_hot(labels, CLASSES)
    loss = tf.reduce_sum(keras.losses.categorical_crossentropy(targets, probabilities))
    right = tf.equal(tf.argmax(probabilities, 1), tf.cast(labels, tf.int64))
    return loss, tf.reduce_sum(tf.cast(right, tf.float32))
