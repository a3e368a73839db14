"""Memory that a sweep needs, so that one that cannot fit is refused before it trains."""

import psutil

from crossover.errors import CrossoverError
from crossover.hardware.cgroup import memory_limit
from crossover.problem import FLOAT_BYTES, IMAGE_PIXELS, parameter_count
from crossover.records.parameters import SweepParameters
from crossover.records.settings import Device

# A process with a framework and MNIST at small widths; measured: 0.96 (PyTorch) to 1.4 GB.
BASE_BYTES = 900_000_000
# The weights, their gradients, and both of Adam's moments.
VALUES = 4


# How frameworks, NumPy and C++ say that memory did not suffice, in lower case.
SAID = ("resource_exhausted", "resource exhausted", "resourceexhausted", "out of memory",
        "outofmemory", "oom when", "can't allocate", "bad_alloc", "unable to allocate",
        "memoryerror")  # fmt: skip


def lacks_memory(said: str) -> bool:
    """Whether what an error said is that memory did not suffice."""
    return any(words in said.lower() for words in SAID)


class MemoryLimitError(CrossoverError):
    """A width cannot be trained with the memory that there is."""


def least_bytes(width: int, batch_size: int, device: Device) -> int:
    """The least memory of the host that training a width takes.

    On a CPU that is the process itself, four values a parameter, and a batch with the activations
    of three layers; on a GPU these lie on the card.
    """
    if device == "gpu":
        return BASE_BYTES
    values = VALUES * parameter_count(width) + batch_size * (IMAGE_PIXELS + 3 * width)
    return BASE_BYTES + FLOAT_BYTES * values


def most_memory(granted: int | None = None) -> int:
    """The bytes that a process may have: what is granted, by default by a container, or present."""
    limit = memory_limit() if granted is None else granted
    present = int(psutil.virtual_memory().total)
    return present if limit is None else min(limit, present)


def check_memory(sweep: SweepParameters, device: Device, granted: int | None = None) -> None:
    """Refuse a sweep with a width that cannot fit.

    The bytes granted are by default what a container grants, or else what the machine has.
    `MemoryLimitError` names the width, both sizes, and the widest that fits.
    """
    most = most_memory(granted)
    fitting = [w for w in sweep.widths if least_bytes(w, sweep.batch_size, device) <= most]
    if len(fitting) == len(sweep.widths):
        return
    widest = max(sweep.widths)
    needed = least_bytes(widest, sweep.batch_size, device)
    remedy = f"leave widths above {max(fitting)} out, or grant more" if fitting else "grant more"
    raise MemoryLimitError(
        f"width {widest} needs at least {needed / 1e9:.1f} GB of memory and there are "
        f"{most / 1e9:.1f} GB: {remedy}."
    )
