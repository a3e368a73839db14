"""The tuned protocol on JAX: an epoch is one ``lax.scan`` over the row numbers of its batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.device import synchronize
from crossover.records.record import Settings
from crossover.training.tuned import Order, logits_of, loss_and_hits, scaled

# Trainable, other (dropout's seeds) and optimizer variables, as Keras's stateless calls take them.
State = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
Sums = tuple[jax.Array, jax.Array]


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
        self.order = Order(len(images), settings, seed)
        self.data = [jax.device_put(images), jax.device_put(labels)]
        self.state = _state(model)
        self.compiled = _compile_epoch(model, self.order)

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        self.state, logs = self.compiled(self.state, *self.data, self.order.next())
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


def _compile_epoch(model: keras.Model, order: Order) -> Any:
    """One epoch as one XLA program: a scan over the batches, then the images held out."""
    logits, size, trained = logits_of(model), order.batch_size, order.trained

    def loss(
        weights: list[jax.Array], others: list[jax.Array], batch: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, tuple[Sums, list[jax.Array]]]:
        images, labels, counted = batch
        outputs, others = logits.stateless_call(weights, others, scaled(images), training=True)
        sums = loss_and_hits(outputs, labels, counted)
        return sums[0] / counted.sum(), (sums, others)

    gradient = jax.grad(loss, has_aux=True)

    def epoch(
        state: State, images: jax.Array, labels: jax.Array, rows: jax.Array
    ) -> tuple[State, dict[str, jax.Array]]:
        def step(state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, Sums]:
            (weights, others, optimizer), (read, counted) = state, batch
            known = images[read], labels[read], counted
            gradients, (sums, others) = gradient(weights, others, known)
            weights, optimizer = model.optimizer.stateless_apply(optimizer, gradients, weights)
            return (weights, others, optimizer), sums

        counted = jnp.arange(len(rows)) < trained
        state, each = jax.lax.scan(step, state, (rows.reshape(-1, size), counted.reshape(-1, size)))
        found, hits = (values.sum() for values in each)
        logs = {"loss": found / trained, "accuracy": hits / trained}
        if order.held_out:
            held_out = scaled(images[trained:])
            outputs, _ = logits.stateless_call(*state[:2], held_out, training=False)
            found, hits = loss_and_hits(outputs, labels[trained:])
            logs |= {"val_loss": found / order.held_out, "val_accuracy": hits / order.held_out}
        return state, logs

    return jax.jit(epoch, donate_argnums=0)
