"""The NVIDIA card in use: found as CUDA finds it, described through NVML."""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import pynvml

CUDA_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
# CUDA's numbers for the parts of a device's compute capability.
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76

Value = TypeVar("Value")


@dataclass(frozen=True)
class Card:
    """The card that CUDA calls its first.

    ``capability`` is its compute capability, such as (9, 0); ``handle`` is NVML's, None where NVML
    does not know the card. A ``shared`` card is cut into instances (MIG): its counters include its
    neighbours.
    """

    model: str
    memory_bytes: int
    capability: tuple[int, int] | None = None
    handle: Any = None
    shared: bool = False


@cache
def find_card() -> Card | None:
    """The first card that CUDA leaves visible to this process, or None.

    CUDA itself is asked, not the environment: it alone knows what indices, UUIDs and MIG names in
    CUDA_VISIBLE_DEVICES, CUDA_DEVICE_ORDER and a container's limits come to, and every framework
    counts as it does. Ask only when the environment is set: CUDA reads it once.
    """
    if not visible_cards():
        return None
    cuda = ctypes.CDLL(CUDA_LIBRARY)
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name, address = ctypes.create_string_buffer(256), ctypes.create_string_buffer(32)
    statuses = [
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        cuda.cuDeviceGetPCIBusId(address, len(address), device),
    ]
    if any(statuses):
        return None
    major, minor = ctypes.c_int(), ctypes.c_int()
    asked = [
        cuda.cuDeviceGetAttribute(ctypes.byref(major), CAPABILITY_MAJOR, device),
        cuda.cuDeviceGetAttribute(ctypes.byref(minor), CAPABILITY_MINOR, device),
    ]
    capability = (major.value, minor.value) if not any(asked) else None
    handle = ask(pynvml.nvmlDeviceGetHandleByPciBusId, address.value)
    shared = handle is not None and (ask(pynvml.nvmlDeviceGetMigMode, handle) or [0])[0] == 1
    return Card(name.value.decode(errors="replace"), memory.value, capability, handle, shared)


def visible_cards() -> int | None:
    """How many cards CUDA leaves to this process; None where CUDA's library is missing."""
    try:
        cuda = ctypes.CDLL(CUDA_LIBRARY)
    except OSError:
        return None
    count = ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):  # 0 is success.
        return 0
    return count.value


def used_card(device_name: str) -> Card | None:
    """The card behind a framework's device, or None if CUDA's first is another model.

    A framework may skip a card that it cannot use; no other card's facts or energy may then stand
    in a record.
    """
    card = find_card()
    if card is None:
        return None
    names = sorted((card.model.casefold(), device_name.casefold()), key=len)
    return card if names[0] in names[1] else None


def ask(query: Callable[..., Value], *arguments: Any) -> Value | None:
    """NVML's answer, or None where the driver did not bring NVML, or card or driver have none."""
    try:
        pynvml.nvmlInit()  # Once more costs nothing.
        return query(*arguments)
    except pynvml.NVMLError:
        return None


def card_names() -> list[str]:
    """The models of all cards that the driver shows, visible to CUDA or not."""
    indices = range(ask(pynvml.nvmlDeviceGetCount) or 0)
    handles = [ask(pynvml.nvmlDeviceGetHandleByIndex, index) for index in indices]
    return [str(ask(pynvml.nvmlDeviceGetName, handle)) for handle in handles if handle is not None]


def nvidia_driver_version() -> str | None:
    """The NVIDIA driver's version, or None where there is no driver or no card."""
    return ask(pynvml.nvmlSystemGetDriverVersion) if ask(pynvml.nvmlDeviceGetCount) else None
