"""The model of the published study: 784 → w → w → w → 10."""

import itertools
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.problem import CLASSES, IMAGE_PIXELS
from crossover.records.settings import Settings
from crossover.training.dropout import HashDropout
from crossover.training.linear import Linear

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


def build_model(width: int, settings: Settings) -> keras.Model:
    """Build and compile the multilayer perceptron.

    Parameters
    ----------
    width : int
        Units of each of the three hidden layers.
    settings : Settings
        Dropout after each hidden layer, optimizer, XLA and steps per execution, all set explicitly
        so that every device does the same.

    Returns
    -------
    keras.Model
        Compiled, with 2w² + 797w + 10 trainable parameters.

    Raises
    ------
    RuntimeError
        If Keras decides otherwise about XLA, as it does under determinism.
    """
    layers = [keras.layers.Input((IMAGE_PIXELS,)), *_layers(width, settings)]
    return compile_model(keras.Sequential(layers), settings)


def _layers(width: int, settings: Settings) -> list[keras.layers.Layer]:
    if settings.protocol == "tuned":
        hidden = [(Linear(width, "relu"), HashDropout(settings.dropout)) for _ in range(3)]
        return [*itertools.chain(*hidden), Linear(CLASSES), keras.layers.Softmax()]
    hidden = [
        (keras.layers.Dense(width, activation="relu"), keras.layers.Dropout(settings.dropout))
        for _ in range(3)
    ]
    return [*itertools.chain(*hidden), keras.layers.Dense(CLASSES, activation="softmax")]


class Rows(keras.layers.Layer):  # type: ignore[misc]
    """Looks rows up, by their numbers, in a table that lies on the device."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        super().__init__()
        self.table = self.add_weight(
            shape=table.shape, initializer=lambda *_, **__: table, trainable=False
        )

    def call(self, rows: Any) -> Any:
        """Rows of the table, shape (batch, columns), for their numbers, shape (batch,)."""
        return keras.ops.take(self.table, rows, axis=0)


def read_from_device(
    model: keras.Model, images: NDArray[np.float32], settings: Settings
) -> keras.Model:
    """The same layers and weights, compiled to read images (n, 784) by their row number.

    Keras's ``fit`` feeds batches from host memory whatever it is given; with the images in the
    model only row numbers travel to the device.
    """
    layers = [keras.layers.Input((), dtype="int32"), Rows(images), *model.layers]
    return compile_model(keras.Sequential(layers), settings)


def compile_model(model: keras.Model, settings: Settings) -> keras.Model:
    """Compile with everything set that Keras would choose by the machine; see `build_model`."""
    model.compile(
        optimizer=OPTIMIZERS[settings.optimizer](learning_rate=settings.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"] if settings.metrics else [],
        jit_compile=settings.jit_compile,
        steps_per_execution=settings.steps_per_execution if settings.protocol == "published" else 1,
    )
    if model.jit_compile is not settings.jit_compile:
        raise RuntimeError(
            f"Keras resolved jit_compile to {model.jit_compile}, not {settings.jit_compile}: "
            "turn deterministic operations off."
        )
    return model
