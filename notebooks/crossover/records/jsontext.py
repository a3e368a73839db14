"""JSON of a model as others may have written it: read within bounds, or told why it is none."""

import codecs
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from crossover.errors import CrossoverError
from crossover.files import StorageError, ThereError, regular_size, write_bytes
from crossover.words import printable

MAX_RECORD_BYTES = 2_000_000  # A trial of 10,000 epochs takes 1.2 MB.
NO_JSON = "it is no JSON text, or only a part of one"
NEWER = "made by a newer version of this project: update the project to read it"
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """A file or line that is no valid record, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.name}: {self.reason}", 400)


class _TwiceError(CrossoverError, ValueError):
    """A key stands twice in one object, so that nobody can tell which value is meant."""


def read_model(kind: type[Model], path: Path) -> Model | Problem:
    """Read a file of one model; what is none is named, never fatal."""
    try:
        if regular_size(path) > MAX_RECORD_BYTES:
            return Problem(path.name, "larger than a record can be")
        model = parse_model(kind, path.read_bytes())
    except OSError as error:
        return Problem(path.name, f"not readable ({error.strerror})")
    return Problem(path.name, model) if isinstance(model, str) else model


def parse_model(kind: type[Model], text: bytes) -> Model | str:
    """A model, or in a few words why the text is none."""
    text = text.removeprefix(codecs.BOM_UTF8)
    try:
        with suppress(RecursionError):  # Left to the schema, as what else may be wrong.
            json.loads(text, object_pairs_hook=_each_once, parse_int=str)
        return kind.model_validate_json(text)
    except _TwiceError as error:
        return str(error)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return NO_JSON
    except ValidationError as error:
        errors = error.errors(include_url=False)
    version = next((e["input"] for e in errors if e["loc"] == ("schema_version",)), None)
    if isinstance(version, int) and version > kind.model_fields["schema_version"].default:
        return NEWER
    where = ".".join(str(part) for part in errors[0]["loc"])
    message = errors[0]["msg"]
    return printable(f"{where}: {message}" if where else message, 200)


def parted(outcomes: Iterable[Model | Problem]) -> tuple[list[Model], list[Problem]]:
    """What was read, and what was no valid record, each in its order."""
    both = list(outcomes)
    problems = [outcome for outcome in both if isinstance(outcome, Problem)]
    return [outcome for outcome in both if not isinstance(outcome, Problem)], problems


def find_model(kind: type[Model], path: Path) -> Model | None:
    """The model in a file, None where there is none that can be read."""
    model = read_model(kind, path)
    return None if isinstance(model, Problem) else model


def read_folder(kind: type[Model], folder: Path) -> tuple[list[Model], list[Problem]]:
    """Read all models of a folder; invalid files are named, never fatal."""
    return parted(read_model(kind, path) for path in sorted(folder.glob("*.json")))


def write_new(path: Path, model: BaseModel, there: str) -> None:
    """Write a model atomically and durably to a file that is never replaced.

    Raises StorageError if the disk is full or the folder cannot be written, and with the sentence
    ``there`` if the file is there.
    """
    try:
        write_bytes(path, f"{model.model_dump_json(indent=1)}\n".encode(), new=True)
    except ThereError:
        raise StorageError(there) from None


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object that names a key twice; its values are not kept."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _TwiceError(f"the key '{printable(key, 80)}' stands there twice")
        seen.add(key)
