"""The device: preparing a process for it, proving that it is used, waiting for it."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossover.hardware.quiet import held_messages
from crossover.hardware.refusal import gather_facts, why_no_gpu
from crossover.hardware.runtimes import DeviceError, runtime
from crossover.records.record import Backend, Device, Precision

KERNEL_VARIABLE = "CROSSOVER_DEVICE"
HIDDEN = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "KERAS_TORCH_DEVICE": "cpu",
}
# The fraction of a float32 has 23 bits, of TF32 10, of bfloat16 7.
FRACTION_BITS, PROBE = 23, 512
ONE_AND_A_BIT = (1 + 0.5 ** np.arange(1, PROBE + 1)).astype(np.float32)
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "1"}
MEMORY_GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def kernel_device(asked: str) -> Device:
    """Resolve ``auto`` to the device of the running kernel and refuse a contradiction.

    Raises
    ------
    DeviceError
        If no Crossover kernel runs and the device is left to it, or if the
        kernel is for the other device.
    """
    kernel = os.environ.get(KERNEL_VARIABLE)
    if asked == "auto" and kernel not in ("cpu", "gpu"):
        raise DeviceError(
            "device is 'auto' but this is not a Crossover kernel: "
            "choose the kernel 'Crossover (CPU)' or 'Crossover (GPU)' (JupyterLab: menu Kernel, "
            "Change Kernel; VS Code: Select Kernel, Jupyter Kernel; papermill: -k crossover-cpu)."
        )
    if asked in ("cpu", "gpu") and kernel in ("cpu", "gpu") and asked != kernel:
        raise DeviceError(
            f"device is '{asked}' but the kernel is crossover-{kernel}: "
            f"choose the kernel crossover-{asked}."
        )
    device = kernel if asked == "auto" else asked
    return "gpu" if device == "gpu" else "cpu"


def prepare_process(backend: Backend, device: Device, threads: int | None) -> None:
    """Set what a backend reads once, when it is imported.

    ``threads`` pins the process to that many of its cores, which every
    backend's thread pool follows.
    """
    os.environ["KERAS_BACKEND"] = backend
    _forget_caches()
    os.environ.update(HIDDEN if device == "cpu" else MEMORY_GROWTH)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if threads is not None:
        _pin_threads(threads)


def _forget_caches() -> None:
    """Compile anew in every process: a cold training is timed with its compiling."""
    for name in ("JAX_COMPILATION_CACHE_DIR", "NVIDIA_TF32_OVERRIDE"):
        os.environ.pop(name, None)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    for name in ("XLA_FLAGS", "TF_XLA_FLAGS"):
        if name in os.environ:
            words = os.environ[name].split()
            os.environ[name] = " ".join(word for word in words if "cache" not in word)


def _pin_threads(threads: int) -> None:
    if not hasattr(os, "sched_setaffinity"):
        raise DeviceError("threads cannot be limited on this operating system: leave it at None.")
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise DeviceError(f"threads is {threads} but this process may use {len(cores)} cores.")
    os.sched_setaffinity(0, cores[:threads])


def start_device(backend: Backend, device: Device) -> str:
    """Start the backend's runtime on the device and return the device's own name.

    Raises
    ------
    DeviceError
        If the framework sees no such device, or cannot compute on it; the
        message tells a missing driver from a GPU that the framework cannot use.
    """
    with held_messages():
        found = runtime(backend)
        name = found.start(device)
        if name is None:
            raise DeviceError(why_no_gpu(backend, gather_facts(backend, found)))
    return name


def synchronize(backend: Backend) -> None:
    """Wait until the device has finished all work that was handed to it."""
    runtime(backend).synchronize()


def set_precision(backend: Backend, allow_tf32: bool) -> Precision:
    """Let matrix products round to TF32 or forbid it; return what they do then.

    That is tried and not looked up, for it depends on the card too: a matrix of
    ones, each with one more bit set further to the right, is multiplied by the
    unit matrix.
    """
    runtime(backend).allow_tf32(allow_tf32)
    ops: Any = importlib.import_module("keras").ops
    tried = np.broadcast_to(ONE_AND_A_BIT, (PROBE, PROBE))
    product = ops.matmul(ops.convert_to_tensor(tried), ops.eye(PROBE, dtype="float32"))
    return precision_of(ops.convert_to_numpy(product)[0])


def precision_of(products: NDArray[np.float32]) -> Precision:
    """What is left of ``ONE_AND_A_BIT`` after a product tells how it was rounded.

    Sums of several products of less bits, which some libraries take for one of
    float32, keep a few bits less than all.
    """
    kept = int((products[:FRACTION_BITS] == ONE_AND_A_BIT[:FRACTION_BITS]).sum())
    return "float32" if kept > 16 else "tf32" if kept > 8 else "bfloat16"


def assert_placement(backend: Backend, device: Device, tensor: Any) -> None:
    """Raise DeviceError unless a backend tensor lives on the device."""
    place = runtime(backend).place(tensor)
    kind = "cpu" if place.lower().startswith("cpu") else "gpu"
    if kind != device:
        raise DeviceError(
            f"the tensors are on {place}, not on the {device.upper()}: nothing was recorded."
        )
