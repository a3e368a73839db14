"""The tuned protocol: whole epochs compiled into one call, the data on the device.

The learning problem is the published one: same model, batch size, shuffling, dropout, optimizer and
validation split. Pixels stay bytes on the device; a step reads the rows of its batch and scales
them. The last batch is filled up with images that count for nothing, so that one compiled step
serves all.
"""

import abc
import importlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crossover.hardware.device import device_of
from crossover.hardware.runtimes import runtime
from crossover.problem import CLASSES
from crossover.records.backends import BACKENDS
from crossover.records.settings import Settings
from crossover.training.published_training import EpochHook, Trained


class Order:
    """The order in which an epoch's batches read the images.

    ``images`` counts all of them; the last ``validation_split`` are held out.
    """

    def __init__(self, images: int, settings: Settings, seed: int) -> None:
        self.trained = int(images * (1 - settings.validation_split))
        self.held_out = images - self.trained
        self.batch_size = settings.batch_size
        self.steps = -(-self.trained // settings.batch_size)
        self.random = np.random.default_rng(seed)

    def next(self) -> NDArray[np.int32]:
        """Row numbers of one more epoch, a whole number of batches; filled up with row 0."""
        rows = np.zeros(self.steps * self.batch_size, dtype=np.int32)
        rows[: self.trained] = self.random.permutation(self.trained)
        return rows


class Program(abc.ABC):
    """An epoch of a compiled tuned model as one compiled call, in a backend's own way."""

    def __init__(self, model: keras.Model, order: Order) -> None:
        self.model, self.order = model, order
        # The same layers and weights up to the softmax, which the loss takes together with it.
        self.logits = keras.Model(model.inputs, model.layers[-2].output)

    @abc.abstractmethod
    def run(self, images: Any, labels: Any, rows: NDArray[np.int32]) -> dict[str, Any]:
        """Train an epoch on the images of these rows; the logs, when they are there."""

    @abc.abstractmethod
    def validate(self, images: Any, labels: Any) -> dict[str, Any]:
        """Evaluate images by themselves, as an epoch does those held out; the logs."""

    @abc.abstractmethod
    def values(self) -> list[Any]:
        """All that an epoch hands to the next: weights, and the optimizer's variables."""

    @abc.abstractmethod
    def finish(self) -> None:
        """Leave what was learned in the model."""


class TunedTraining:
    """A model, its data on the device, and its compiled epoch.

    Images are uint8 (n, 784), labels uint8 (n,); the seed is that of their order in each epoch.
    ``program`` is 'LayersProgram', through Keras's layers, as by default on a CPU, or
    'PackedProgram', the packed step of the same arithmetic, as by default on a GPU.
    """

    def __init__(
        self,
        model: keras.Model,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        settings: Settings,
        seed: int,
        program: str | None = None,
    ) -> None:
        self.backend = settings.backend
        self.order = Order(len(images), settings, seed)
        self.data = ops.convert_to_tensor(images), ops.convert_to_tensor(labels)
        on_cpu = device_of(self.backend, self.data[0]) == "cpu"
        kind = program or ("LayersProgram" if on_cpu else "PackedProgram")
        package = BACKENDS[self.backend].package
        programs = importlib.import_module(f"crossover.training.tuned_{package}")
        self.program: Program = getattr(programs, kind)(model, self.order)

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""
        return self._read(self.program.run(*self.data, self.order.next()))

    def validate(self, images: Any, labels: Any) -> dict[str, float]:
        """Evaluate images on the device, uint8 as those of the training, and return the logs."""
        return self._read(self.program.validate(images, labels))

    def _read(self, logs: dict[str, Any]) -> dict[str, float]:
        runtime(self.backend).synchronize()
        return {name: float(value) for name, value in logs.items()}


def assign(variables: Iterable[keras.Variable], values: Iterable[Any]) -> None:
    """Give each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def scaled(images: Any) -> Any:
    """Pixels from 0 to 1, of bytes."""
    return ops.cast(images, "float32") / 255.0


def loss_and_hits(logits: Any, labels: Any, counted: Any = True) -> tuple[Any, Any]:
    """Summed cross-entropy and the number of right answers, of the images that count.

    Logits are float32 (n, 10), labels uint8 (n,), ``counted`` bool (n,), by default all.
    """
    losses = keras.losses.categorical_crossentropy(
        ops.one_hot(labels, CLASSES), logits, from_logits=True
    )
    right = ops.equal(ops.argmax(logits, axis=1), ops.cast(labels, "int32"))
    hits = ops.cast(ops.logical_and(right, counted), "float32")
    return ops.sum(ops.where(counted, losses, 0.0)), ops.sum(hits)


def epoch_logs(
    order: Order, sums: Any, evaluated: Callable[[Any], Any], images: Any, labels: Any
) -> dict[str, Any]:
    """The means of losses and hits that were added up, and those of the images held out.

    ``sums`` are both, of any shape; ``evaluated`` gives the logits of images.
    """
    loss, hits = map(ops.sum, sums)
    logs = {"loss": loss / order.trained, "accuracy": hits / order.trained}
    if order.held_out:
        logs |= held_out_logs(evaluated, images[order.trained :], labels[order.trained :])
    return logs


def held_out_logs(evaluated: Callable[[Any], Any], images: Any, labels: Any) -> dict[str, Any]:
    """The means of losses and hits of the images held out; see `epoch_logs`."""
    loss, hits = loss_and_hits(evaluated(scaled(images)), labels)
    return {"val_loss": loss / images.shape[0], "val_accuracy": hits / images.shape[0]}


def fit_tuned(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    settings: Settings,
    seed: int,
    on_epoch: EpochHook,
) -> Trained:
    """Train with one compiled call an epoch; the data and the seed are as for `TunedTraining`."""
    training = TunedTraining(model, images, labels, settings, seed)
    seconds: list[float] = []
    history: dict[str, list[float]] = {}
    for number in range(1, settings.epochs + 1):
        started = time.perf_counter()
        logs = training.epoch()
        seconds.append(time.perf_counter() - started)
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        on_epoch(number)
    training.program.finish()
    return Trained(seconds, history, training.program.values())
