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
from crossover.records.settings import Backend, BatchSize, Device, Frozen, Repeat, Threads
from crossover.words import printable

EXAMPLE = PROJECT / "examples" / "perceptron.py"
# Times the batch size that was asked for: what a larger batch changes, up to what memory holds.
LARGER = (1, 4, 16, 64)
# From five repeats on a median has an interval.
REPEATS, SECONDS = 5, 20.0
MOST_BYTES = 1_000_000
# Each batch size has as many turns at least, an epoch of about a second each: the beginning of a
# shorter one weighs too much.
FEWEST_TURNS, EPOCH_SECONDS = 3, 1.0
ENOUGH_SECONDS = FEWEST_TURNS * len(LARGER) * EPOCH_SECONDS


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
        """The model's name: its file's, without what is no letter, digit or point."""
        return re.sub(r"[^\w.]+", "-", printable(self.file.stem))[:60]

    @property
    def epoch_seconds(self) -> float:
        """What an epoch takes at most, so that each batch size has turns enough."""
        return min(EPOCH_SECONDS, self.seconds / FEWEST_TURNS / len(LARGER))

    @property
    def batch_sizes(self) -> list[int]:
        """The batch sizes that take turns, the one that was asked for first."""
        return [self.batch_size * times for times in LARGER]


class RepeatOrder(Frozen):
    """One repeat, as a process of its own is asked for it.

    ``digest`` is that of the model's file. No batch size that is ``left_out``, with the reason why,
    is tried; ``decided`` says that an earlier repeat has told which others are.
    """

    asked: OwnParameters
    device: Device
    number: Repeat
    digest: str
    left_out: dict[int, str]
    decided: bool


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
