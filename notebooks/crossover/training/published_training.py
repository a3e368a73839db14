"""The published protocol: Keras's own ``fit``, timed as the study timed it."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.runtimes import runtime
from crossover.records.settings import Backend, Settings
from crossover.training.model import Rows, read_from_device

# Called after each epoch with its number, from 1.
EpochHook = Callable[[int], None]


class Trained(NamedTuple):
    """What a fit leaves behind: seconds of each epoch, history, and all values that it carried.

    The values are the model's weights and the optimizer's variables, as they lay on the device.
    """

    epochs: list[float]
    history: dict[str, list[float]]
    values: list[Any]


class EpochClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Collect the seconds of each epoch, validation included."""

    def __init__(self, backend: Backend, on_epoch: EpochHook) -> None:
        super().__init__()
        self.backend = backend
        self.on_epoch = on_epoch
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Start the epoch's clock, the device being idle."""
        runtime(self.backend).synchronize()
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Stop the epoch's clock when the device has finished."""
        runtime(self.backend).synchronize()
        self.seconds.append(time.perf_counter() - self.started)
        self.on_epoch(epoch + 1)


def fit_published(
    model: keras.Model,
    images: NDArray[np.float32],
    labels: NDArray[np.float32],
    settings: Settings,
    on_epoch: EpochHook,
) -> Trained:
    """Train with Keras's ``fit``: float32 images (n, 784), 0 to 1, and one-hot labels (n, 10)."""
    clock = EpochClock(settings.backend, on_epoch)
    inputs: NDArray[Any] = images
    if settings.data == "device":
        model = read_from_device(model, Rows(images), settings)
        inputs = np.arange(len(images), dtype=np.int32)
    history = model.fit(
        inputs,
        labels,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_split=settings.validation_split,
        validation_freq=1 if settings.validation else settings.epochs + 1,
        verbose=0,
        callbacks=[clock],
    )
    logs = {name: list(map(float, values)) for name, values in history.history.items()}
    carried = [variable.value for variable in (*model.variables, *model.optimizer.variables)]
    return Trained(clock.seconds, logs, carried)
