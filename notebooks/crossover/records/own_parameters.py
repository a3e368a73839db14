"""The parameters of measuring a model of the reader's own, checked before anything is imported."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from crossover.errors import CrossoverError
from crossover.files import regular_size
from crossover.paths import OWN_MODELS, PROJECT
from crossover.problem import BATCH_SIZE
from crossover.records.backends import DEFAULT_BACKEND
from crossover.records.parameters import Folder, built, given_parameters
from crossover.records.settings import Backend, BatchSize, Frozen, Repeat, Threads

EXAMPLE = PROJECT / "examples" / "perceptron.py"
# Times the batch size that was asked for: what a larger batch changes, up to what memory holds.
LARGER = (1, 4, 16, 64)
# From five repeats on a median has an interval.
REPEATS, SECONDS = 5, 20.0
MOST_BYTES = 1_000_000


class ModelFileError(CrossoverError):
    """A file of a model cannot be read, or what it defines cannot be measured."""


class OwnParameters(Frozen):
    """What papermill hands to the notebook that measures a model of the reader's own.

    ``model`` is the file that builds it; each of the ``repeats`` is a fresh process that trains for
    ``seconds``.
    """

    model: Folder
    device: Literal["auto", "cpu", "gpu"] = "auto"
    backend: Backend = DEFAULT_BACKEND
    batch_size: BatchSize = BATCH_SIZE
    repeats: Repeat = REPEATS
    seconds: Annotated[float, Field(ge=0.1, le=3600)] = SECONDS
    threads: Threads | None = None
    output: Folder

    @property
    def file(self) -> Path:
        """The file that builds the model."""
        return Path(self.model)

    @property
    def folder(self) -> Path:
        """The folder of the records."""
        return Path(self.output)

    @property
    def name(self) -> str:
        """The model's name: its file's, in letters that every system has in file names."""
        return re.sub(r"[^A-Za-z0-9_.]+", "-", self.file.stem)[:60] or "model"

    @property
    def batch_sizes(self) -> list[int]:
        """The batch sizes that take turns, the one that was asked for first."""
        return [self.batch_size * times for times in LARGER]


def file_digest(path: Path) -> str:
    """Twelve hexadecimal digits that name a model's file; `ModelFileError` if it is no file."""
    try:
        size = regular_size(path.resolve())
        if size <= MOST_BYTES and path.suffix == ".py":
            return sha256(path.read_bytes()).hexdigest()[:12]
        why = "larger than a program is" if size > MOST_BYTES else "no file whose name ends in .py"
    except FileNotFoundError:
        why = "no file"
    except OSError as error:
        why = f"no file that can be read ({error.strerror})"
    raise ModelFileError(
        f"the model {str(path)!r:.200} is {why}: name a Python file that defines build(), such as "
        "examples/perceptron.py."
    )


def check_own(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> OwnParameters:
    """Validate the literals in a notebook's namespace, as ``check_parameters`` does a sweep's.

    A model that is None is the project's first example.
    """
    given = given_parameters(OwnParameters, namespace, hidden)
    for name, default in (("model", EXAMPLE), ("output", OWN_MODELS)):
        if given.get(name) is None:
            given[name] = str(default)
    asked = built(OwnParameters, given)
    file_digest(asked.file)
    return asked
