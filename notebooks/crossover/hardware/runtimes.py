"""Each backend's own words for devices: start, place, wait, and what it was built for."""

from __future__ import annotations

import importlib
import os
import re
from functools import cache
from importlib import metadata
from typing import Any, Protocol

from crossover.errors import CrossoverError
from crossover.hardware.pools import count_threads, naming_threads
from crossover.hardware.variables import THREADS
from crossover.records.settings import Backend, Device

# The pool that multiplies on the CPU; threads of TensorFlow's are given this name.
ARITHMETIC = "arithmetic"
# The oldest by JAX's installation guide, the newest by the assembler that comes with its CUDA.
JAX_CARDS = {"13": ["sm_75", "sm_121"], "12": ["sm_52", "sm_121"]}


class DeviceError(CrossoverError):
    """The device that was asked for cannot be used."""


class Runtime(Protocol):
    """What the project needs to know of a backend's devices."""

    def start(self, device: Device) -> str | None:
        """Start the first such device, compute on it, and name it; None if there is none."""

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was handed to it."""

    def place(self, tensor: Any) -> str:
        """The kind of device that a tensor lives on."""

    def allow_tf32(self, allowed: bool) -> None:
        """Let the device round the operands of float32 products to TF32, or forbid it."""

    def pools(self) -> dict[str, int]:
        """The threads that each of its pools on the CPU has; those that are known.

        ``arithmetic`` is the pool that multiplies on the CPU.
        """

    def cuda(self) -> tuple[str | None, str | None]:
        """The versions of CUDA and cuDNN that the backend was built for."""

    def architectures(self) -> list[str]:
        """The card generations it holds code for, such as 'sm_80'; empty if unknown."""


class TensorFlow:
    """TensorFlow: one GPU made visible, its memory taken as it is needed."""

    def __init__(self) -> None:
        self.tf: Any = importlib.import_module("tensorflow")

    def start(self, device: Device) -> str | None:
        """Start the first such device, compute on it, and name it; None if there is none."""
        config = self.tf.config
        found = config.list_physical_devices(device.upper())
        if not found:
            return None
        name = str(found[0].name).removeprefix("/physical_device:")
        if device == "gpu":
            # In a process that runs the notebook again, both are set and can't be set twice.
            if not config.experimental.get_memory_growth(found[0]):
                config.set_visible_devices(found[:1], "GPU")
                config.experimental.set_memory_growth(found[0], True)
            name = config.experimental.get_device_details(found[0]).get("device_name", name)
        else:
            self._set_threads()
            with naming_threads(ARITHMETIC):
                config.list_logical_devices()  # Starts the pools; that of arithmetic has no name.
        try:
            with self.tf.device(f"{device.upper()}:0"):
                self._try_a_step()
        except (self.tf.errors.OpError, RuntimeError):
            return None
        return name

    def _set_threads(self) -> None:
        """Refuse a TensorFlow that something else has started, with pools of another size."""
        size = os.environ.get(THREADS[0])
        try:
            if size is not None:
                self.tf.config.threading.set_intra_op_parallelism_threads(int(size))
                self.tf.config.threading.set_inter_op_parallelism_threads(int(size))
        except RuntimeError:
            raise DeviceError(
                "tensorflow had started in this process before its threads were set: restart the "
                "kernel, then run all cells; if that does not help, look for a start-up file of "
                "IPython."
            ) from None

    def _try_a_step(self) -> None:
        """Run what a step runs: on a card that is newer than TensorFlow, some of it works."""
        tf = self.tf
        numbers = tf.cast(tf.range(64), "float32")
        drawn = tf.nn.relu(tf.reshape(numbers, (8, 8)) - tf.random.uniform((8, 8)))
        compiled = tf.function(lambda x: tf.nn.relu(x) + 1, jit_compile=True)
        compiled(tf.linalg.matmul(drawn, drawn)).numpy()

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was handed to it."""
        self.tf.test.experimental.sync_devices()

    def place(self, tensor: Any) -> str:
        """The kind of device that a tensor lives on."""
        return str(tensor.device).rsplit("device:", 1)[-1]

    def allow_tf32(self, allowed: bool) -> None:
        """Let the device round the operands of float32 products to TF32, or forbid it."""
        self.tf.config.experimental.enable_tensor_float_32_execution(allowed)

    def pools(self) -> dict[str, int]:
        """The threads that each of its pools on the CPU has; those that are known."""
        named = count_threads()
        found = {
            "arithmetic": named[ARITHMETIC],
            "between operations": named["tf_Compute"],
            "XLA": named["tf_XLAEigen"],
        }
        return {name: count for name, count in found.items() if count > 0}

    def cuda(self) -> tuple[str | None, str | None]:
        """The versions of CUDA and cuDNN that the backend was built for."""
        build = self.tf.sysconfig.get_build_info()
        return build.get("cuda_version"), build.get("cudnn_version")

    def architectures(self) -> list[str]:
        """The card generations it holds code for, such as 'sm_80'; empty if unknown."""
        return list(self.tf.sysconfig.get_build_info().get("cuda_compute_capabilities", []))


class Jax:
    """JAX: its first device. Calls return before they are done, on the CPU too."""

    def __init__(self) -> None:
        self.jax: Any = importlib.import_module("jax")

    def start(self, device: Device) -> str | None:
        """Start the first such device, compute on it, and name it; None if there is none."""
        # What a start-up file may have set, though no variable has.
        for switch in ("jax_enable_x64", "jax_disable_jit", "jax_debug_nans", "jax_debug_infs"):
            self.jax.config.update(switch, False)
        try:
            found = self.jax.devices()[0]
            if (found.platform == "cpu") != (device == "cpu"):
                return None
            drawn = self.jax.random.uniform(self.jax.random.key(0), (8, 8))
            compiled = self.jax.jit(lambda x: self.jax.nn.relu(x @ x))
            compiled(self.jax.device_put(drawn, found)).block_until_ready()
        except RuntimeError:
            return None
        return "CPU:0" if device == "cpu" else str(found.device_kind)

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was handed to it.

        Every array that lives is waited for. Waiting for a new one would do
        only where a device happens to work in the order of the calls, which
        JAX doesn't promise.
        """
        self.jax.block_until_ready(self.jax.live_arrays())

    def place(self, tensor: Any) -> str:
        """The kind of device that a tensor lives on."""
        return ", ".join(sorted({str(device.platform) for device in tensor.devices()}))

    def allow_tf32(self, allowed: bool) -> None:
        """Let the device round the operands of float32 products to TF32, or forbid it.

        JAX's own word 'tensorfloat32' asks for XLA's precision 'high', with
        which the kernels that XLA writes itself stay in float32.
        """
        wanted = "default" if allowed else "highest"
        self.jax.config.update("jax_default_matmul_precision", wanted)

    def pools(self) -> dict[str, int]:
        """The threads that each of its pools on the CPU has; those that are known."""
        count = count_threads()["tf_XLAEigen"]
        return {ARITHMETIC: count} if count else {}

    def cuda(self) -> tuple[str | None, str | None]:
        """The versions of CUDA and cuDNN that the backend was built for."""
        for major in JAX_CARDS:
            if _jax_plugin(major):
                return _runtime_version(major), _version(f"nvidia-cudnn-cu{major}")
        return None, None

    def architectures(self) -> list[str]:
        """The oldest and the newest card generation that it makes code for."""
        return next((found for major, found in JAX_CARDS.items() if _jax_plugin(major)), [])


class Torch:
    """PyTorch: its first CUDA device; computing on the CPU is synchronous."""

    def __init__(self) -> None:
        self.torch: Any = importlib.import_module("torch")

    def start(self, device: Device) -> str | None:
        """Start the first such device, compute on it, and name it; None if there is none."""
        if device == "cpu":
            return "CPU:0"
        if not self.torch.cuda.is_available():
            return None
        try:
            drawn = self.torch.rand((8, 8), device="cuda")
            self.torch.relu(drawn @ drawn).cpu()
        except RuntimeError:
            return None
        return str(self.torch.cuda.get_device_name(0))

    def synchronize(self) -> None:
        """Wait until the device has finished all work that was handed to it."""
        if self.torch.cuda.is_available():
            self.torch.cuda.synchronize()

    def place(self, tensor: Any) -> str:
        """The kind of device that a tensor lives on."""
        return str(tensor.device.type)

    def allow_tf32(self, allowed: bool) -> None:
        """Let the device round the operands of float32 products to TF32, or forbid it.

        On a CPU the same word would let oneDNN round to bfloat16.
        """
        high = allowed and self.torch.cuda.is_available()
        self.torch.set_float32_matmul_precision("high" if high else "highest")

    def pools(self) -> dict[str, int]:
        """The threads that each of its pools on the CPU has; those that are known."""
        between = self.torch.get_num_interop_threads()
        return {ARITHMETIC: self.torch.get_num_threads(), "between operations": between}

    def cuda(self) -> tuple[str | None, str | None]:
        """The versions of CUDA and cuDNN that the backend was built for."""
        built_for = self.torch.version.cuda
        return built_for, str(self.torch.backends.cudnn.version()) if built_for else None

    def architectures(self) -> list[str]:
        """The card generations it holds code for, such as 'sm_80'; empty if unknown."""
        return list(self.torch.cuda.get_arch_list())


@cache
def runtime(backend: Backend) -> Runtime:
    """The backend's runtime.

    Raises
    ------
    DeviceError
        If the backend is not installed in this environment, or is and cannot
        be imported.
    """
    kinds: dict[Backend, type[Runtime]] = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}
    try:
        return kinds[backend]()
    except Exception as error:  # A broken installation raises whatever it likes.
        if isinstance(error, ModuleNotFoundError) and error.name == backend:
            raise DeviceError(
                f"the backend {backend} is not installed in this environment: run 'make report "
                f"BACKEND={backend}', or 'make lab BACKEND={backend}' for the notebooks."
            ) from None
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DeviceError(
            f"{backend} cannot be imported ({said}): run 'make clean-env report BACKEND={backend}' "
            "to install it anew; if that does not help, see what PYTHONPATH names."
        ) from None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _jax_plugin(major: str) -> str | None:
    return _version(f"jax-cuda{major}-plugin")


def _runtime_version(major: str) -> str:
    """CUDA's version as its own package tells it; at least the major one is known."""
    found = _version(f"nvidia-cuda-runtime-cu{major}") or _version("nvidia-cuda-runtime")
    return ".".join(re.findall(r"\d+", found or major)[:3])
