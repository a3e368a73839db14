"""The tuned protocol on JAX: whole epochs compiled into one call, the data on the device.

The learning problem is that of ``tuned_training``, TensorFlow's: an epoch is
one ``lax.scan`` over contiguous batches of the shuffled bytes, which are
scaled when a batch is read.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from crossover.device import synchronize
from crossover.mnist import CLASSES
from crossover.published_training import EpochHook
from crossover.record import Settings

# Trainable, other (dropout's seeds) and optimizer variables, as Keras's stateless calls take them.
State = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
Sums = dict[str, jax.Array]


def fit_tuned(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    settings: Settings,
    seed: int,
    on_epoch: EpochHook,
) -> tuple[list[float], dict[str, list[float]]]:
    """Train with one compiled call an epoch; see ``fit_published`` for the result.

    Parameters
    ----------
    images : uint8 array (n, 784)
    labels : uint8 array (n,)
    seed : int
        Seeds the order of the images in each epoch.
    """
    trained = int(len(images) * (1 - settings.validation_split))
    data = [jax.device_put(array) for array in (images[:trained], labels[:trained])]
    held_out = [jax.device_put(array) for array in (images[trained:], labels[trained:])]
    state = _state(model)
    epoch = _compile_epoch(model, trained, settings.batch_size)
    validate = jax.jit(lambda *arguments: _validate(model, *arguments))
    shuffle = np.random.default_rng(seed)
    seconds: list[float] = []
    history: dict[str, list[float]] = {"loss": [], "accuracy": []}
    for number in range(1, settings.epochs + 1):
        started = time.perf_counter()
        state, logs = epoch(state, *data, shuffle.permutation(trained).astype(np.int32))
        if len(images) > trained:
            logs |= validate(state, *held_out)
        synchronize(settings.backend)
        seconds.append(time.perf_counter() - started)
        for name, value in logs.items():
            history.setdefault(name, []).append(float(value))
        on_epoch(number, seconds[-1])
    _give_back(model, state)
    return seconds, history


def _variables(model: keras.Model) -> tuple[list[Any], list[Any], list[Any]]:
    model.optimizer.build(model.trainable_variables)
    return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables


def _state(model: keras.Model) -> State:
    """Copies of the model's values: an epoch donates its state, and so overwrites it."""
    trainable, others, optimizer = (
        [jnp.copy(variable.value) for variable in group] for group in _variables(model)
    )
    return trainable, others, optimizer


def _give_back(model: keras.Model, state: State) -> None:
    for group, values in zip(_variables(model), state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)


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
