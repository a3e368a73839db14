"""A dense layer whose kernel lies as (units, inputs), one unit's weights in a row.

A step multiplies by each kernel twice, forward and backward, and writes its gradient once. With
Keras's (inputs, units) a narrow layer's gradient, and a wide layer's backward product, fall to
XLA's slow ways of multiplying on a CPU; transposed, none of them does. The function computed is the
same.
"""

from typing import Any

import keras
from keras import ops


class Linear(keras.layers.Layer):  # type: ignore[misc]
    """Compute ``activation(inputs @ kernel.T + bias)``, as Keras's Dense does."""

    def __init__(self, units: int, activation: str | None = None) -> None:
        super().__init__()
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple[int | None, int]) -> None:
        """Glorot's uniform kernel, as Dense begins with, and a bias of zeros."""
        self.kernel = self.add_weight((self.units, input_shape[1]), name="kernel")
        self.bias = self.add_weight((self.units,), "zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Activations of shape (batch, units) for inputs of shape (batch, inputs)."""
        return self.activation(ops.matmul(inputs, ops.transpose(self.kernel)) + self.bias)
