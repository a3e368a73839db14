"""The reader's own file: run as it is, and what it builds looked at before anything is timed."""

import hashlib
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import keras

from crossover.records.own_parameters import ModelFileError
from crossover.training.memory import lacks_memory
from crossover.words import printable

# Keras sets parts of its messages in bold.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LETTERS = 300  # Of what the file's own error says.


class OutOfMemoryError(ModelFileError):
    """What a model was to hold did not fit into the device's memory."""


class ModelFile:
    """A file that defines ``build()``, and may define ``batch(size)``.

    It is the reader's own code and runs as such, with its folder in front of the places that
    modules are imported from. Raises `ModelFileError` if it raises, or defines no ``build``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        spec = spec_from_file_location("own_model", self.path)
        assert spec is not None  # For the file's name ends in .py.
        module = module_from_spec(spec)
        sys.modules[module.__name__] = module
        sys.path.insert(0, str(self.path.parent))
        with self.told("running it"), no_bytecode():
            assert spec.loader is not None
            spec.loader.exec_module(module)
        build = getattr(module, "build", None)
        if not callable(build):
            raise self.error("defines no function build(): it must return a compiled Keras model")
        self.build: Callable[[], Any] = build
        self.batch: Callable[[int], Any] | None = getattr(module, "batch", None)

    def error(self, what: str) -> ModelFileError:
        """An error that begins with the file's name."""
        return ModelFileError(f"{self.path.name} {what}.")

    @contextmanager
    def told(self, doing: str) -> Iterator[None]:
        """Tell what the file raises by its own last line, and a lack of memory as such."""
        try:
            yield
        except ModelFileError:
            raise
        except (Exception, SystemExit) as error:  # Whatever somebody's code raises.
            said, place = said_of(error), f"{self.path.name}{self._place(error)}, {doing}"
            if lacks_memory(said):
                raise OutOfMemoryError(
                    f"{place}, needs more memory than there is: {said}"
                ) from None
            raise ModelFileError(f"{place}: {said}") from None

    def _place(self, error: BaseException) -> str:
        """The number and text of the file's last line in a traceback; empty where it has none."""
        if isinstance(error, SyntaxError) and error.filename == str(self.path):
            return f", line {error.lineno} ({printable((error.text or '').strip(), 80)})"
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(self.path)]
        return f", line {own[-1].lineno} ({printable(own[-1].line or '', 80)})" if own else ""

    def model(self) -> keras.Model:
        """The model that it builds, compiled; `ModelFileError` if it is no such model."""
        with self.told("build()"):
            model = self.build()
        if not isinstance(model, keras.Model):
            raise self.error(f"build() returns {_kind(model)}, and no Keras model")
        if not model.compiled:
            raise self.error("build() returns a model that is not compiled: call model.compile()")
        return model


@contextmanager
def no_bytecode() -> Iterator[None]:
    """Leave no file of bytecode beside the reader's own."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def said_of(error: BaseException) -> str:
    """The last line of an error's traceback, in bounds."""
    told = " ".join(COLOURS.sub("", str(error)).split())
    return printable(f"{type(error).__name__}: {told}".removesuffix(": "), LETTERS)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def model_digest(model: keras.Model) -> str:
    """Twelve hexadecimal digits that name a model's layers, weights, optimizer and loss."""
    weights = [[*weight.shape, str(weight.dtype)] for weight in model.weights]
    try:
        layers = model.get_config()
    except NotImplementedError:  # A class of the reader's own that tells no configuration.
        layers = {}
    optimizer = model.optimizer.get_config() if model.optimizer else {}
    parts = [layers, optimizer, weights, getattr(model, "loss", None)]
    text = json.dumps(parts, sort_keys=True, default=_named)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _named(value: Any) -> str:
    """What JSON does not hold, by a name that is the same in every process."""
    return str(getattr(value, "__name__", type(value).__name__))
