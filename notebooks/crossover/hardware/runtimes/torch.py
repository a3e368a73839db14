"""PyTorch: its first CUDA device; computing on the CPU is synchronous."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossover.hardware.pools import ARITHMETIC
from crossover.hardware.runtimes.base import BaseRuntime, Call
from crossover.records.own import StepCost
from crossover.records.settings import Device


class Runtime(BaseRuntime):
    """What PyTorch does in its own way; its functions run as they are, its profiler is not read."""

    def start(self, device: Device) -> str | None:
        if device == "cpu":
            return "CPU:0"
        if not self.framework.cuda.is_available():
            return None
        try:
            drawn = self.framework.rand((8, 8), device="cuda")
            self.framework.relu(drawn @ drawn).cpu()
        except RuntimeError:
            return None
        return str(self.framework.cuda.get_device_name(0))

    def synchronize(self) -> None:
        if self.framework.cuda.is_available():
            self.framework.cuda.synchronize()

    def pinned_copy(self, block: NDArray[np.float32]) -> Call | None:
        if not self.framework.cuda.is_available():
            return None
        source = self.framework.from_numpy(block).pin_memory()
        return lambda: source.to("cuda", non_blocking=True)

    def step_cost(self, model: Any, inputs: Any, targets: Any) -> StepCost:
        counter = importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False)
        with counter:
            model.train_on_batch(inputs, targets)
        return StepCost(flops=counter.get_total_flops())

    def place(self, tensor: Any) -> str:
        return str(tensor.device.type)

    def allow_tf32(self, allowed: bool) -> None:
        # On a CPU the same word would let oneDNN round to bfloat16.
        high = allowed and self.framework.cuda.is_available()
        self.framework.set_float32_matmul_precision("high" if high else "highest")
        self.framework.backends.cudnn.allow_tf32 = high  # Of convolutions.

    def pools(self) -> dict[str, int]:
        between = self.framework.get_num_interop_threads()
        return {ARITHMETIC: self.framework.get_num_threads(), "between operations": between}

    def cuda(self) -> tuple[str | None, str | None]:
        built_for = self.framework.version.cuda
        cudnn = self.framework.backends.cudnn
        return built_for, str(cudnn.version()) if built_for else None

    def architectures(self) -> list[str]:
        return list(self.framework.cuda.get_arch_list())
