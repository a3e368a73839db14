"""The NVIDIA card in use: found as CUDA finds it, described through NVML."""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import pynvml

CUDA_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
CUDA_SUCCESS = 0
# CUDA's numbers for a device's compute capability, its major and minor part.
CAPABILITY = (75, 76)

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
    cuda, count = _start_cuda()
    if cuda is None or not count:
        return None
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    name, address = ctypes.create_string_buffer(256), ctypes.create_string_buffer(32)
    statuses = [
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuDeviceGetName(name, len(name), device),
        cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
        cuda.cuDeviceGetPCIBusId(address, len(address), device),
    ]
    if any(status != CUDA_SUCCESS for status in statuses):
        return None
    parts = [ctypes.c_int() for _ in CAPABILITY]
    asked = [
        cuda.cuDeviceGetAttribute(ctypes.byref(part), number, device)
        for part, number in zip(parts, CAPABILITY, strict=True)
    ]
    capability = (parts[0].value, parts[1].value) if not any(asked) else None
    handle = ask(pynvml.nvmlDeviceGetHandleByPciBusId, address.value) if nvml_starts() else None
    shared = handle is not None and (ask(pynvml.nvmlDeviceGetMigMode, handle) or [0])[0] == 1
    return Card(name.value.decode(errors="replace"), memory.value, capability, handle, shared)


def visible_cards() -> int | None:
    """How many cards CUDA leaves to this process; None where CUDA's library is missing."""
    return _start_cuda()[1]


def _start_cuda() -> tuple[Any, int | None]:
    """CUDA's driver library and the number of its devices."""
    try:
        cuda = ctypes.CDLL(CUDA_LIBRARY)
    except OSError:
        return None, None
    count = ctypes.c_int()
    if cuda.cuInit(0) != CUDA_SUCCESS or cuda.cuDeviceGetCount(ctypes.byref(count)) != CUDA_SUCCESS:
        return cuda, 0
    return cuda, count.value


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


def nvml_starts() -> bool:
    """Whether NVML, which comes with the driver, can be used."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return True


def ask(query: Callable[..., Value], *arguments: Any) -> Value | None:
    """NVML's answer, or None where card or driver have none."""
    try:
        return query(*arguments)
    except pynvml.NVMLError:
        return None


def card_names() -> list[str]:
    """The models of all cards that the driver shows, visible to CUDA or not."""
    if not nvml_starts():
        return []
    handles = [
        ask(pynvml.nvmlDeviceGetHandleByIndex, index)
        for index in range(ask(pynvml.nvmlDeviceGetCount) or 0)
    ]
    return [str(ask(pynvml.nvmlDeviceGetName, handle)) for handle in handles if handle is not None]


def nvidia_driver_version() -> str | None:
    """The NVIDIA driver's version, or None where there is no driver or no card."""
    if not nvml_starts() or not ask(pynvml.nvmlDeviceGetCount):
        return None
    return ask(pynvml.nvmlSystemGetDriverVersion)
