"""What the project needs to know of a backend, and what is common to all: a base class."""

import abc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossover.errors import CrossoverError
from crossover.records.own import StepCost
from crossover.records.settings import Device

Call = Callable[..., Any]


class DeviceError(CrossoverError):
    """The device that was asked for cannot be used."""


def version(package: str) -> str | None:
    """The installed version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class Event(NamedTuple):
    """One event of a trace; nanoseconds."""

    name: str
    thread: str
    start: float
    end: float


class BaseRuntime(abc.ABC):
    """A backend on this machine, by its package; the class ``Runtime`` of a file beside this."""

    # The event that begins each step of Keras's `fit` in a trace; None where none is read.
    step_event: str | None = None

    def __init__(self, framework: Any) -> None:
        self.framework = framework

    @abc.abstractmethod
    def start(self, device: Device) -> str | None:
        """Start the first such device, compute on it, and name it; None if there is none."""

    @abc.abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has finished all work that was handed to it."""

    @abc.abstractmethod
    def place(self, tensor: Any) -> str:
        """The kind of device that a tensor lives on."""

    @abc.abstractmethod
    def allow_tf32(self, allowed: bool) -> None:
        """Let the device round the operands of float32 products to TF32, or forbid it."""

    @abc.abstractmethod
    def pools(self) -> dict[str, int]:
        """The threads of each of its pools on the CPU that is known; see ``ARITHMETIC``."""

    @abc.abstractmethod
    def cuda(self) -> tuple[str | None, str | None]:
        """The versions of CUDA and cuDNN that the backend was built for."""

    @abc.abstractmethod
    def architectures(self) -> list[str]:
        """The card generations it holds or makes code for, such as 'sm_80'; empty if unknown."""

    def hidden_by(self) -> str | None:
        """The variable, beside CUDA's own, that hides every card from it: 'NAME=value'."""
        return None

    def wait(self, result: Any) -> None:
        """Wait until a result is there."""
        self.synchronize()

    def pinned_copy(self, block: NDArray[np.float32]) -> Call | None:
        """A call that copies a block to the device, from pinned (page-locked) memory of the host.

        The block is put there once, by this method; the copy need not have ended when the call
        returns. None where the backend or the device has no such memory.
        """
        return None

    def step_cost(self, model: Any, inputs: Any, targets: Any) -> StepCost:
        """What a training step of a compiled Keras model computes and moves, by its own counting.

        Whatever it raises says why it cannot be counted.
        """
        raise NotImplementedError("this backend counts no operations")

    def compiled(self, function: Call) -> Call:
        """The function as one XLA program; as it is where the backend has no XLA."""
        return function

    def traced(self, function: Call) -> Call:
        """The function as the published protocol runs it."""
        return self.compiled(function)

    def tracing(self, folder: Path) -> AbstractContextManager[Any]:
        """A context whose operations are traced into a folder, the interpreter's calls left out.

        None is traced where ``step_event`` is None.
        """
        return nullcontext()

    def events(self, trace: Path) -> Iterator[Event]:
        """The events of a trace (XSpace); none where none is read."""
        return iter(())
