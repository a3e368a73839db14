"""The model of the published study: 784 → w → w → w → 10."""

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


def build_model(width: int, settings: Settings, own_layers: bool = False) -> keras.Model:
    """Build and compile the multilayer perceptron, 2w² + 797w + 10 trainable parameters.

    Dropout after each hidden layer, optimizer, XLA and steps per execution are all set explicitly,
    so that every device does the same. The tuned protocol has layers of its own, which others may
    have too. Raises `RuntimeError` if Keras decides otherwise about XLA, as it does under
    determinism.
    """
    own = own_layers or settings.protocol == "tuned"
    dense, dropout = (Linear, HashDropout) if own else (keras.layers.Dense, keras.layers.Dropout)
    layers = [keras.layers.Input((IMAGE_PIXELS,))]
    for _ in range(3):
        layers += [dense(width, activation="relu"), dropout(settings.dropout)]
    if own:
        layers += [Linear(CLASSES), keras.layers.Softmax()]
    else:
        layers += [keras.layers.Dense(CLASSES, activation="softmax")]
    return compile_model(keras.Sequential(layers), settings)


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


def read_from_device(model: keras.Model, rows: Rows, settings: Settings) -> keras.Model:
    """The same layers and weights, compiled to read images (n, 784) by their row number.

    Keras's ``fit`` feeds batches from host memory whatever it is given; with the images in the
    model only row numbers travel to the device.
    """
    layers = [keras.layers.Input((), dtype="int32"), rows, *model.layers]
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
