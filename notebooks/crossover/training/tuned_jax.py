"""The tuned protocol on JAX: an epoch is one ``lax.scan`` over the row numbers of its batches."""

import abc
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

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

# Trainable, other (dropout's seeds) and optimizer variables, as Keras's stateless calls take them.
State = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
PackedState = tuple[list[jax.Array], list[jax.Array]]
Sums = tuple[jax.Array, jax.Array]


class Scan(Program):
    """An epoch as a function of all that changes in it, a state that each call takes and renews."""

    state: Any

    def __init__(self, model: keras.Model, order: Order) -> None:
        super().__init__(model, order)
        self.compiled = jax.jit(self.epoch, donate_argnums=0)
        self.evaluation = jax.jit(
            lambda state, *held_out: held_out_logs(self.logits_of(state), *held_out)
        )

    @abc.abstractmethod
    def epoch(
        self, state: Any, images: jax.Array, labels: jax.Array, rows: jax.Array
    ) -> tuple[Any, dict[str, jax.Array]]:
        """One epoch as one XLA program: a scan over the batches, then the images held out."""

    @abc.abstractmethod
    def logits_of(self, state: Any) -> Callable[[jax.Array], jax.Array]:
        """The logits of images by the weights of a state, without dropout."""

    def run(self, images: jax.Array, labels: jax.Array, rows: NDArray[np.int32]) -> dict[str, Any]:
        logs: dict[str, jax.Array]
        self.state, logs = self.compiled(self.state, images, labels, rows)
        return logs

    def validate(self, images: jax.Array, labels: jax.Array) -> dict[str, Any]:
        logs: dict[str, jax.Array] = self.evaluation(self.state, images, labels)
        return logs

    def values(self) -> list[jax.Array]:
        leaves: list[jax.Array] = jax.tree.leaves(self.state)
        return leaves

    def evaluated(
        self, weights: list[jax.Array], others: list[jax.Array]
    ) -> Callable[[jax.Array], jax.Array]:
        """The logits of images, without dropout, by these trainable and other values."""
        return lambda images: self.logits.stateless_call(weights, others, images, training=False)[0]


def copied(variables: Iterable[keras.Variable]) -> list[jax.Array]:
    """Copies of the values of variables: an epoch donates its state, and so overwrites it."""
    return [jnp.copy(variable.value) for variable in variables]


class LayersProgram(Scan):
    """An epoch through Keras's layers, and their gradients by JAX."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        super().__init__(model, order)
        model.optimizer.build(model.trainable_variables)
        self.gradient = jax.grad(self._loss, has_aux=True)
        self.state = tuple(copied(variables) for variables in self._groups)

    @property
    def _groups(self) -> tuple[list[keras.Variable], ...]:
        model = self.model
        return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables

    def finish(self) -> None:
        for variables, values in zip(self._groups, self.state, strict=True):
            assign(variables, values)

    def epoch(
        self, state: State, images: jax.Array, labels: jax.Array, rows: jax.Array
    ) -> tuple[State, dict[str, jax.Array]]:
        size, trained = self.order.batch_size, self.order.trained

        def step(state: State, chosen: tuple[jax.Array, jax.Array]) -> tuple[State, Sums]:
            (weights, others, optimizer), (read, counted) = state, chosen
            batch = images[read], labels[read], counted
            gradients, (sums, others) = self.gradient(weights, others, batch)
            weights, optimizer = self.model.optimizer.stateless_apply(optimizer, gradients, weights)
            return (weights, others, optimizer), sums

        counted = jnp.arange(len(rows)) < trained
        state, sums = jax.lax.scan(step, state, (rows.reshape(-1, size), counted.reshape(-1, size)))
        return state, epoch_logs(self.order, sums, self.logits_of(state), images, labels)

    def logits_of(self, state: State) -> Callable[[jax.Array], jax.Array]:
        return self.evaluated(state[0], state[1])

    def _loss(
        self, weights: list[jax.Array], others: list[jax.Array], batch: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, tuple[Sums, list[jax.Array]]]:
        images, labels, counted = batch
        outputs, others = self.logits.stateless_call(weights, others, scaled(images), training=True)
        sums = loss_and_hits(outputs, labels, counted)
        return sums[0] / counted.sum(), (sums, others)


class PackedProgram(Scan):
    """An epoch in few kernels: the packed step, its gradients written out."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        super().__init__(model, order)
        self.packed = Packed(model, jax.lax.optimization_barrier)
        # Dropout's states, which the evaluation takes and does not use.
        self.others = copied(model.non_trainable_variables)
        self.state = copied(self.packed.variables), copied(self.packed.optimizer.variables)

    def finish(self) -> None:
        assign(self.model.trainable_variables, unpack(self.state[0]))

    def epoch(
        self, state: PackedState, images: jax.Array, labels: jax.Array, rows: jax.Array
    ) -> tuple[PackedState, dict[str, jax.Array]]:
        size, trained, optimizer = self.order.batch_size, self.order.trained, self.packed.optimizer
        number = optimizer.variables.index(optimizer.iterations)

        def step(carried: tuple[Any, ...], start: jax.Array) -> tuple[tuple[Any, ...], None]:
            values, slots, sums = carried
            read = jax.lax.dynamic_slice(rows, (start,), (size,))
            left = jnp.minimum(trained - start, size)
            gradients, added = self.packed.step(
                values, slots[number], images[read], labels[read], left
            )
            values, slots = optimizer.stateless_apply(slots, gradients, values)
            return (values, slots, [a + b for a, b in zip(sums, added, strict=True)]), None

        begin = (*state, self.packed.sums(size))
        starts = jnp.arange(self.order.steps) * size
        (values, slots, sums), _ = jax.lax.scan(step, begin, starts)
        state = values, slots
        return state, epoch_logs(self.order, sums, self.logits_of(state), images, labels)

    def logits_of(self, state: PackedState) -> Callable[[jax.Array], jax.Array]:
        return self.evaluated(unpack(state[0]), self.others)
