"""The tuned protocol: whole epochs compiled into one call, the data on the device.

The learning problem is the published one: same model, batch size, shuffling,
dropout, optimizer and validation split. Pixels stay bytes on the device and
are scaled when a batch is read; the training set is put into the epoch's
order once, so that each batch is a contiguous slice.
"""

from __future__ import annotations

import importlib
import time
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.records.record import Settings
from crossover.training.published_training import EpochHook

MODULES = {
    "tensorflow": "crossover.training.tuned_tensorflow",
    "jax": "crossover.training.tuned_jax",
}


class Training(Protocol):
    """A model, its data on the device, and its compiled epoch, on one backend."""

    def epoch(self) -> dict[str, float]:
        """Train one more epoch, evaluate the images held out, and return the logs."""

    def finish(self) -> None:
        """Leave what was learned in the model."""


def tuned_training(
    model: keras.Model,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    settings: Settings,
    seed: int,
) -> Training:
    """Prepare the training on the settings' backend; see ``fit_tuned``."""
    kind: Any = importlib.import_module(MODULES[settings.backend]).TunedTraining
    training: Training = kind(model, images, labels, settings, seed)
    return training


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
    training = tuned_training(model, images, labels, settings, seed)
    seconds: list[float] = []
    history: dict[str, list[float]] = {}
    for number in range(1, settings.epochs + 1):
        started = time.perf_counter()
        logs = training.epoch()
        seconds.append(time.perf_counter() - started)
        for name, value in logs.items():
            history.setdefault(name, []).append(value)
        on_epoch(number, seconds[-1])
    training.finish()
    return seconds, history
