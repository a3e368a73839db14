"""What is asserted of a model around its training: where it lies, and what it computes in."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crossover.hardware.device import assert_float32, assert_placement
from crossover.records.settings import Backend, Device


def assert_model(model: keras.Model, batch: NDArray[Any], backend: Backend, device: Device) -> None:
    """Refuse a model that lies elsewhere than on the device, or computes in other than float32.

    Weights, and the batch as the framework takes it, are looked at; so is what each layer computes
    in, and what comes of it by the framework's own rules. `DeviceError` names what is elsewhere, or
    of another type.
    """
    taken = keras.ops.convert_to_tensor(batch.astype(np.float32))
    for tensor in (taken, *(variable.value for variable in model.trainable_variables)):
        assert_placement(backend, device, tensor)
    assert_float32("a batch is", taken.dtype)
    for variable in model.variables:
        assert_float32(f"{variable.path} is", variable.value.dtype)
    for layer in model.layers:
        assert_float32(f"{layer.name} computes", layer.compute_dtype)
        assert_float32(f"the output of {layer.name} is", layer.output.dtype)
