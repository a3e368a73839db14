"""The tuned protocol on JAX: an epoch is one ``lax.scan`` over the row numbers of its batches.

A CPU runs Keras's layers, a GPU the packed step of the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.device import synchronize
from crossover.hardware.runtimes import runtime
from crossover.records.settings import Settings
from crossover.training.packed import Packed, unpack
from crossover.training.tuned import Order, epoch_logs, logits_of, loss_and_hits, scaled

# Trainable, other (dropout's seeds) and optimizer variables, as Keras's stateless calls take them.
State = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
PackedState = tuple[list[jax.Array], list[jax.Array]]
Sums = tuple[jax.Array, jax.Array]


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
        self.data = [jax.device_put(images), jax.device_put(labels)]
        on_cpu = runtime(settings.backend).place(self.data[0]) == "cpu"
        kind = program or (LayersProgram if on_cpu else PackedProgram)
        self.program: LayersProgram | PackedProgram = kind(model, self.order)
        self.state: Any = self.program.state()
        self.compiled = jax.jit(self.program.epoch, donate_argnums=0)

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        self.state, logs = self.compiled(self.state, *self.data, self.order.next())
        synchronize(self.settings.backend)
        return {name: float(value) for name, value in logs.items()}

    def values(self) -> list[jax.Array]:
        """All that an epoch hands to the next: weights, and the optimizer's variables."""
        leaves: list[jax.Array] = jax.tree.leaves(self.state)
        return leaves

    def finish(self) -> None:
        """Give the model the values that the epochs carried from call to call."""
        self.program.finish(self.state)


class LayersProgram:
    """An epoch through Keras's layers, and their gradients by JAX."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        self.model, self.order, self.logits = model, order, logits_of(model)
        model.optimizer.build(model.trainable_variables)
        self.gradient = jax.grad(self._loss, has_aux=True)

    @property
    def _variables(self) -> tuple[list[Any], list[Any], list[Any]]:
        model = self.model
        return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables

    def state(self) -> State:
        """Copies of the model's values: an epoch donates its state, and so overwrites it."""
        trainable, others, optimizer = (
            [jnp.copy(variable.value) for variable in group] for group in self._variables
        )
        return trainable, others, optimizer

    def finish(self, state: State) -> None:
        """Give the model what was learned."""
        for group, values in zip(self._variables, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    def epoch(
        self, state: State, images: jax.Array, labels: jax.Array, rows: jax.Array
    ) -> tuple[State, dict[str, jax.Array]]:
        """One epoch as one XLA program: a scan over the batches, then the images held out."""
        size, trained = self.order.batch_size, self.order.trained

        def step(state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, Sums]:
            (weights, others, optimizer), (read, counted) = state, batch
            known = images[read], labels[read], counted
            gradients, (sums, others) = self.gradient(weights, others, known)
            weights, optimizer = self.model.optimizer.stateless_apply(optimizer, gradients, weights)
            return (weights, others, optimizer), sums

        counted = jnp.arange(len(rows)) < trained
        state, each = jax.lax.scan(step, state, (rows.reshape(-1, size), counted.reshape(-1, size)))
        return state, epoch_logs(self.order, each, _evaluated(self, state[:2]), images, labels)

    def _loss(
        self, weights: list[jax.Array], others: list[jax.Array], batch: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, tuple[Sums, list[jax.Array]]]:
        images, labels, counted = batch
        outputs, others = self.logits.stateless_call(weights, others, scaled(images), training=True)
        sums = loss_and_hits(outputs, labels, counted)
        return sums[0] / counted.sum(), (sums, others)


class PackedProgram:
    """An epoch in few kernels: the packed step, its gradients written out."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        self.model, self.order, self.logits = model, order, logits_of(model)
        self.packed = Packed(model, jax.lax.optimization_barrier)
        # Dropout's states, which the evaluation takes and does not use.
        self.others = [jnp.copy(variable.value) for variable in model.non_trainable_variables]

    def state(self) -> PackedState:
        """Copies of the packed values, and of their optimizer's."""
        groups = self.packed.variables, self.packed.optimizer.variables
        values, optimizer = ([jnp.copy(each.value) for each in group] for group in groups)
        return values, optimizer

    def finish(self, state: PackedState) -> None:
        """Give the model what was learned."""
        for variable, value in zip(self.model.trainable_variables, unpack(state[0]), strict=True):
            variable.assign(value)

    def epoch(
        self, state: PackedState, images: jax.Array, labels: jax.Array, rows: jax.Array
    ) -> tuple[PackedState, dict[str, jax.Array]]:
        """One epoch as one XLA program: a scan over the batches, then the images held out."""
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
        (values, slots, each), _ = jax.lax.scan(step, begin, starts)
        evaluated = _evaluated(self, (unpack(values), self.others))
        return (values, slots), epoch_logs(self.order, each, evaluated, images, labels)


def _evaluated(
    program: LayersProgram | PackedProgram, weights: tuple[list[jax.Array], list[jax.Array]]
) -> Callable[[jax.Array], jax.Array]:
    """The logits of images, without dropout, by these trainable and other values."""
    return lambda images: program.logits.stateless_call(*weights, images, training=False)[0]
