"""The two kernels of one environment: the CPU one hides every accelerator."""

import sys

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


def install_kernels(prefix: str = sys.prefix) -> None:
    """Install both kernelspecs into an environment."""
    from ipykernel.kernelspec import install  # Whoever only reads the names needs no kernel.

    for name, (title, variables) in KERNELS.items():
        install(kernel_name=name, display_name=title, prefix=prefix, env=variables)
        print(f"Kernel installed: {title}")


def kernels(_: str, words: list[str]) -> int:
    """Install both kernelspecs into this environment."""
    assigned(words, [])
    install_kernels()
    return 0
