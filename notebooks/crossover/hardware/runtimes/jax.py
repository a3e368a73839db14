"""JAX: its first device. Calls return before they are done, on the CPU too."""

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossover.hardware.pools import ARITHMETIC, count_threads
from crossover.hardware.runtimes.base import BaseRuntime, Call, Event, version
from crossover.records.own import StepCost
from crossover.records.settings import Device

# The oldest by JAX's installation guide, the newest by the assembler that comes with its CUDA.
CARDS = {"13": ["sm_75", "sm_121"], "12": ["sm_52", "sm_121"]}
# What a start-up file may have set, though no variable has.
SWITCHES = ("jax_enable_x64", "jax_disable_jit", "jax_debug_nans", "jax_debug_infs")


class Runtime(BaseRuntime):
    """What JAX does in its own way."""

    step_event = "PjitFunction(train_step)"

    def start(self, device: Device) -> str | None:
        jax = self.framework
        for switch in SWITCHES:
            jax.config.update(switch, False)
        try:
            first = jax.devices()[0]
            if (first.platform == "cpu") != (device == "cpu"):
                return None
            drawn = jax.random.uniform(jax.random.key(0), (8, 8))
            compiled = jax.jit(lambda x: jax.nn.relu(x @ x))
            compiled(jax.device_put(drawn, first)).block_until_ready()
        except RuntimeError:
            return None
        return "CPU:0" if device == "cpu" else str(first.device_kind)

    def synchronize(self) -> None:
        # Every array that lives: waiting for a new one would do only where a device happens to
        # work in the order of the calls, which JAX doesn't promise.
        self.framework.block_until_ready(self.framework.live_arrays())

    def wait(self, result: Any) -> None:
        self.framework.block_until_ready(result)

    def place(self, tensor: Any) -> str:
        return ", ".join(sorted({str(device.platform) for device in tensor.devices()}))

    def allow_tf32(self, allowed: bool) -> None:
        # JAX's own word 'tensorfloat32' asks for XLA's precision 'high', with which the kernels
        # that XLA writes itself stay in float32.
        wanted = "default" if allowed else "highest"
        self.framework.config.update("jax_default_matmul_precision", wanted)

    def pools(self) -> dict[str, int]:
        count = count_threads()["tf_XLAEigen"]
        return {ARITHMETIC: count} if count else {}

    def cuda(self) -> tuple[str | None, str | None]:
        major = _cuda_major()
        if major is None:
            return None, None
        # CUDA's own package tells its version; at least the major one is known.
        own = version(f"nvidia-cuda-runtime-cu{major}") or version("nvidia-cuda-runtime") or major
        return ".".join(re.findall(r"\d+", own)[:3]), version(f"nvidia-cudnn-cu{major}")

    def architectures(self) -> list[str]:
        return CARDS.get(_cuda_major() or "", [])

    def hidden_by(self) -> str | None:
        platforms = os.environ.get("JAX_PLATFORMS", "")
        hides = platforms and not {"cuda", "gpu"} & set(platforms.split(","))
        return f"JAX_PLATFORMS={platforms}" if hides else None

    def pinned_copy(self, block: NDArray[np.float32]) -> Call | None:
        jax = self.framework
        device = jax.devices()[0]
        kinds = {memory.kind for memory in device.addressable_memories()}
        # A CPU of newer versions has memories of these names, all of them the host's own.
        if device.platform == "cpu" or not {"pinned_host", "device"} <= kinds:
            return None
        pinned, there = (
            jax.sharding.SingleDeviceSharding(device, memory_kind=kind)
            for kind in ("pinned_host", "device")
        )
        source = jax.block_until_ready(jax.device_put(block, pinned))
        return lambda: jax.device_put(source, there)

    def step_cost(self, model: Any, inputs: Any, targets: Any) -> StepCost:
        jax, names = self.framework, ("trainable", "non_trainable", "metrics")
        state = [[one.value for one in getattr(model, f"{name}_variables")] for name in names]
        state.insert(2, [one.value for one in model.optimizer.variables])
        step = jax.make_jaxpr(model.train_step)(tuple(state), (inputs, targets))
        flops, moved = self._cost_of(step)
        return StepCost(flops=round(flops), data_bytes=round(moved))

    def _cost_of(self, step: Any) -> Any:
        """FLOPs and bytes of a closed jaxpr, shape (2,): each scan's body as often as it runs."""
        counted = self._once(step)
        for scan in _scans(step.jaxpr):
            body = scan.params["jaxpr"]
            counted += scan.params["length"] * self._cost_of(body) - self._once(body)
        return counted

    def _once(self, step: Any) -> Any:
        """The same by XLA's cost analysis, which counts the body of a loop once."""
        function = importlib.import_module("jax.extend.core").jaxpr_as_fun(step)
        counted = self.framework.jit(function).lower(*step.in_avals).cost_analysis()
        return np.array([counted["flops"], counted["bytes accessed"]])

    def compiled(self, function: Call) -> Call:
        jitted: Call = self.framework.jit(function)
        return jitted

    def tracing(self, folder: Path) -> AbstractContextManager[Any]:
        profiler = self.framework.profiler
        options = profiler.ProfileOptions()
        options.python_tracer_level = 0
        context: AbstractContextManager[Any] = profiler.trace(str(folder), profiler_options=options)
        return context

    def events(self, trace: Path) -> Iterator[Event]:
        space = self.framework.profiler.ProfileData.from_file(str(trace))
        for plane in space.planes:
            for line in plane.lines:
                for event in line.events:
                    start = event.start_ns
                    yield Event(event.name, line.name, start, start + event.duration_ns)


def _scans(jaxpr: Any) -> Iterator[Any]:
    """The scans of a jaxpr, wherever in it, but not those inside another."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
            continue
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _scans(inner)


def _cuda_major() -> str | None:
    """The CUDA that its plugin is for."""
    return next((major for major in CARDS if version(f"jax-cuda{major}-plugin")), None)
