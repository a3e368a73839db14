"""Each backend's own way to do what all do: a file and class each, under one base class."""

import importlib
from functools import cache

from crossover.hardware.runtimes.base import BaseRuntime, DeviceError
from crossover.records.backends import BACKENDS
from crossover.records.settings import Backend


def runtime_class(backend: Backend) -> type[BaseRuntime]:
    """The backend's class, which imports no framework."""
    kind: type[BaseRuntime] = importlib.import_module(f"{__name__}.{backend}").Runtime
    return kind


@cache
def runtime(backend: Backend) -> BaseRuntime:
    """The backend's runtime; `DeviceError` if it is not installed here, or cannot be imported."""
    package = BACKENDS[backend].package
    try:
        return runtime_class(backend)(importlib.import_module(package))
    except Exception as error:  # A broken installation raises whatever it likes.
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            raise DeviceError(
                f"the backend {backend} is not installed in this environment: run 'make report "
                f"BACKEND={backend}', or 'make lab BACKEND={backend}' for the notebooks."
            ) from None
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DeviceError(
            f"{backend} cannot be imported ({said}): run 'make clean-env report BACKEND={backend}' "
            "to install it anew; if that does not help, see what PYTHONPATH names."
        ) from None
