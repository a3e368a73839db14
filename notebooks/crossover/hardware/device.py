"""The device: starting it, proving that it is used and what it computes in, waiting for it."""

import importlib
import os
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crossover.hardware.quiet import held_messages
from crossover.hardware.refusal import gather_facts, why_no_gpu
from crossover.hardware.runtimes import runtime
from crossover.hardware.runtimes.base import DeviceError
from crossover.hardware.variables import KERAS_DEFAULTS, THREADS
from crossover.kernels import KERNEL_VARIABLE
from crossover.records.settings import Backend, Device, Precision

# The fraction of a float32 has 23 bits, of TF32 10, of bfloat16 7.
FRACTION_BITS, PROBE = 23, 512
ONE_AND_A_BIT = (1 + 0.5 ** np.arange(1, PROBE + 1)).astype(np.float32)


def kernel_device(asked: Literal["auto"] | Device) -> Device:
    """Resolve ``auto`` to the running kernel's device; `DeviceError` if it is another or none."""
    kernel = os.environ.get(KERNEL_VARIABLE)
    if kernel not in ("cpu", "gpu"):
        if asked != "auto":
            return asked
        raise DeviceError(
            "device is 'auto' but this is not a Crossover kernel: "
            "choose the kernel 'Crossover (CPU)' or 'Crossover (GPU)' (JupyterLab: menu Kernel, "
            "Change Kernel; VS Code: Select Kernel, Jupyter Kernel; papermill: -k crossover-cpu)."
        )
    if asked not in ("auto", kernel):
        raise DeviceError(
            f"device is '{asked}' but the kernel is crossover-{kernel}: "
            f"choose the kernel crossover-{asked}."
        )
    return "gpu" if kernel == "gpu" else "cpu"


def start_device(backend: Backend, device: Device) -> str:
    """Start the backend's runtime on the device and return the device's own name.

    Raises `DeviceError` if the framework sees no such device or cannot compute on it, saying why,
    or if it had started before with another number of threads.
    """
    with held_messages():
        name = runtime(backend).start(device)
        if name is None:
            raise DeviceError(why_no_gpu(backend, gather_facts(runtime(backend))))
        _set_keras_defaults()
    started, meant = _threads_at_start(backend), os.environ.get(THREADS[0])
    if started != meant:
        raise DeviceError(
            f"{backend} has started with {started} threads in this process and this sweep wants "
            f"{meant}: restart the kernel, then run all cells."
        )
    return name


@cache
def _threads_at_start(backend: Backend) -> str | None:
    """The size that the pools of a backend got when it was started; no later one has an effect."""
    return os.environ.get(THREADS[0])


def _set_keras_defaults() -> None:
    """Undo what an earlier import has read from Keras's configuration file, or another has set."""
    config: Any = importlib.import_module("keras").config
    for name, value in KERAS_DEFAULTS.items():
        getattr(config, f"set_{name}")(value)
    config.set_dtype_policy("float32")
    config.set_max_epochs(None)
    config.set_max_steps_per_epoch(None)


def set_precision(backend: Backend, allow_tf32: bool) -> Precision:
    """Let matrix products round to TF32 or forbid it; return what they do then.

    That is tried and not looked up, for it depends on the card too: a matrix of ones, each with one
    more bit set further to the right, is multiplied by the unit matrix.
    """
    runtime(backend).allow_tf32(allow_tf32)
    ops: Any = importlib.import_module("keras").ops
    tried = np.broadcast_to(ONE_AND_A_BIT, (PROBE, PROBE))
    product = ops.matmul(ops.convert_to_tensor(tried), ops.eye(PROBE, dtype="float32"))
    return precision_of(ops.convert_to_numpy(product)[0])


def precision_of(products: NDArray[np.float32]) -> Precision:
    """What is left of ``ONE_AND_A_BIT`` after a product tells how it was rounded.

    Sums of several products of less bits, which some libraries take for one of float32, keep a few
    bits less than all.
    """
    kept = int((products[:FRACTION_BITS] == ONE_AND_A_BIT[:FRACTION_BITS]).sum())
    return "float32" if kept > 16 else "tf32" if kept > 8 else "bfloat16"


def device_of(backend: Backend, tensor: Any) -> Device:
    """The device that a backend tensor lives on."""
    return "cpu" if runtime(backend).place(tensor).lower().startswith("cpu") else "gpu"


def assert_placement(backend: Backend, device: Device, tensor: Any) -> None:
    """Raise DeviceError unless a backend tensor lives on the device."""
    if device_of(backend, tensor) != device:
        place = runtime(backend).place(tensor)
        raise DeviceError(
            f"the tensors are on {place}, not on the {device.upper()}: nothing was recorded."
        )


def assert_float32(what: str, dtype: Any) -> None:
    """Raise DeviceError if a backend's type is one of real numbers and not float32."""
    backend: Any = importlib.import_module("keras").backend
    name = backend.standardize_dtype(dtype)
    if backend.is_float_dtype(name) and name != "float32":
        raise DeviceError(
            f"{what} in {name}, not in float32: nothing was recorded. Look for what changes "
            "Keras's settings in every notebook, such as a start-up file of IPython."
        )
