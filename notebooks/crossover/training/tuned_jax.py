"""The tuned protocol on JAX: an epoch is one ``lax.scan`` over batches of the shuffled bytes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.device import synchronize
from crossover.records.record import Settings
from crossover.training.mnist import CLASSES

# Trainable, other (dropout's seeds) and optimizer variables, as Keras's stateless calls take them.
State = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
Sums = dict[str, jax.Array]


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
        self.trained = trained = int(len(images) * (1 - settings.validation_split))
        self.data = [jax.device_put(array) for array in (images[:trained], labels[:trained])]
        self.held_out = [jax.device_put(array) for array in (images[trained:], labels[trained:])]
        self.shuffle = np.random.default_rng(seed)
        self.state = _state(model)
        self.compiled = _compile_epoch(model, trained, settings.batch_size)
        self.validate = jax.jit(lambda *arguments: _validate(model, *arguments))

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        order = self.shuffle.permutation(self.trained).astype(np.int32)
        self.state, logs = self.compiled(self.state, *self.data, order)
        if len(self.held_out[0]):
            logs |= self.validate(self.state, *self.held_out)
        synchronize(self.settings.backend)
        return {name: float(value) for name, value in logs.items()}

    def finish(self) -> None:
        """Give the model the values that the epochs carried from call to call."""
        for group, values in zip(_variables(self.model), self.state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)


def _variables(model: keras.Model) -> tuple[list[Any], list[Any], list[Any]]:
    model.optimizer.build(model.trainable_variables)
    return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables


def _state(model: keras.Model) -> State:
    """Copies of the model's values: an epoch donates its state, and so overwrites it."""
    trainable, others, optimizer = (
        [jnp.copy(variable.value) for variable in group] for group in _variables(model)
    )
    return trainable, others, optimizer


def _compile_epoch(model: keras.Model, trained: int, batch_size: int) -> Any:
    """One epoch as one XLA program: a scan over full batches, then the rest."""
    full, rest = divmod(trained, batch_size)

    def loss(
        weights: list[jax.Array], others: list[jax.Array], images: jax.Array, labels: jax.Array
    ) -> tuple[jax.Array, tuple[Sums, list[jax.Array]]]:
        outputs, others = model.stateless_call(weights, others, _scaled(images), training=True)
        sums = _loss_and_hits(outputs, labels)
        return sums["loss"] / len(images), (sums, others)

    gradient = jax.grad(loss, has_aux=True)

    def step(state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, Sums]:
        weights, others, optimizer = state
        gradients, (sums, others) = gradient(weights, others, *batch)
        weights, optimizer = model.optimizer.stateless_apply(optimizer, gradients, weights)
        return (weights, others, optimizer), sums

    def epoch(
        state: State, images: jax.Array, labels: jax.Array, order: jax.Array
    ) -> tuple[State, Sums]:
        images, labels = images[order], labels[order]
        batches = (
            images[: full * batch_size].reshape(full, batch_size, images.shape[1]),
            labels[: full * batch_size].reshape(full, batch_size),
        )
        state, each = jax.lax.scan(step, state, batches)
        sums = {name: values.sum() for name, values in each.items()}
        if rest:
            state, added = step(state, (images[-rest:], labels[-rest:]))
            sums = {name: value + added[name] for name, value in sums.items()}
        return state, {name: value / trained for name, value in sums.items()}

    return jax.jit(epoch, donate_argnums=0)


def _validate(model: keras.Model, state: State, images: jax.Array, labels: jax.Array) -> Sums:
    weights, others, _ = state
    outputs, _ = model.stateless_call(weights, others, _scaled(images), training=False)
    sums = _loss_and_hits(outputs, labels)
    return {f"val_{name}": value / len(images) for name, value in sums.items()}


def _scaled(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255.0


def _loss_and_hits(probabilities: jax.Array, labels: jax.Array) -> Sums:
    """Summed cross-entropy and the number of right answers in a batch."""
    targets = jax.nn.one_hot(labels, CLASSES)
    return {
        "loss": keras.losses.categorical_crossentropy(targets, probabilities).sum(),
        "accuracy": (probabilities.argmax(axis=1) == labels).sum().astype(jnp.float32),
    }
