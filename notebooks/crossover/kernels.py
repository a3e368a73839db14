"""The two kernels of one environment: the CPU one hides every accelerator."""

import json
import sys
from pathlib import Path

from crossover.assignments import assigned

KERNEL_VARIABLE = "CROSSOVER_DEVICE"
HIDDEN = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
    "KERAS_TORCH_DEVICE": "cpu",
}

KERNELS: dict[str, tuple[str, dict[str, str]]] = {
    "crossover-cpu": ("Crossover (CPU)", {KERNEL_VARIABLE: "cpu", **HIDDEN}),
    "crossover-gpu": ("Crossover (GPU)", {KERNEL_VARIABLE: "gpu"}),
}


def install_kernels(prefix: str = sys.prefix) -> list[Path]:
    """Install both kernelspecs into an environment and return their folders."""
    from ipykernel.kernelspec import install  # Whoever only reads the names needs no kernel.

    return [
        Path(install(kernel_name=name, display_name=title, prefix=prefix, env=variables))
        for name, (title, variables) in KERNELS.items()
    ]


def kernels(_: str, words: list[str]) -> int:
    """Install both kernelspecs into this environment."""
    assigned(words, [])
    for folder in install_kernels():
        spec = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
        print(f"Kernel installed: {spec['display_name']}")
    return 0
