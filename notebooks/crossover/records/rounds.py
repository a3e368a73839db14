"""The rounds record: trainings of one width that took turns in one process."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossover.files import write_text
from crossover.records.ceilings import Samples, ceilings_name
from crossover.records.jsontext import Problem, find_model, read_folder
from crossover.records.parameters import SweepParameters
from crossover.records.record import Measured, Seconds, Text
from crossover.records.settings import Backend, BatchSize, Device, Frozen, Precision, Width

# The limits of a median of seven differences, the least and the greatest, hold at 98.4%.
ROUNDS = 7


class Turns(Frozen):
    """One of the trainings that took turns; ``name`` is what was changed in it.

    ``seconds`` are those of training on the same images in each round, ``steps`` optimizer steps;
    ``validation`` those of evaluating the images held out after it. ``accuracy`` is that of the
    test set after the last round.
    """

    name: Text
    batch_size: BatchSize
    steps: Annotated[int, Field(ge=1)]
    precision: Precision = "float32"
    seconds: Samples
    validation: Samples
    accuracy: Annotated[float, Field(ge=0, le=1)]


Trainings = Annotated[list[Turns], Field(max_length=16)]


class Rounds(Measured):
    """Trainings of one width on one device, A B C D A B C D, each as often as there are rounds.

    ``path`` goes from the published protocol towards the tuned one, each training with one change
    more than the one before; ``changes`` are the published one with a single change that keeps the
    learning problem, ``batches`` with another batch size. A first round, in which all was traced
    and compiled, is not counted; each trained on ``images``.
    """

    schema_version: Literal[1] = 1
    seed: int
    width: Width
    images: Annotated[int, Field(ge=1)]
    path: Annotated[Trainings, Field(min_length=1)]
    changes: Trainings
    batches: Trainings
    seconds: Seconds

    @model_validator(mode="after")
    def _as_many_rounds(self) -> Self:
        """Refuse trainings that did not take part in every round."""
        counts = {len(own) for one in self.trainings for own in (one.seconds, one.validation)}
        if len(counts) > 1:
            raise ValueError("its trainings differ in their number of rounds")
        return self

    @property
    def file_name(self) -> str:
        """Its record's file name."""
        return rounds_name(self.backend, self.device, self.batch_size, self.threads, self.width)

    @property
    def trainings(self) -> list[Turns]:
        """All trainings of a round, in their order."""
        return [*self.path, *self.changes, *self.batches]

    @property
    def count(self) -> int:
        """The rounds that count."""
        return len(self.path[0].seconds)


def rounds_name(
    backend: Backend, device: Device, batch_size: int, threads: int | None, width: int
) -> str:
    """File name of a rounds record."""
    return f"{Path(ceilings_name(backend, device, batch_size, threads)).stem}-w{width}.json"


def write_rounds(folder: Path, rounds: Rounds) -> Path:
    """Write a rounds record atomically and return its path; raises ``StorageError``."""
    path = folder / rounds.file_name
    write_text(path, rounds.model_dump_json(indent=1) + "\n")
    return path


def find_rounds(path: Path) -> Rounds | None:
    """The rounds record of that path, None where there is none that can be read."""
    return find_model(Rounds, path)


def read_rounds(folder: Path) -> tuple[list[Rounds], list[Problem]]:
    """Read all rounds records of a folder; invalid files are named, never fatal."""
    return read_folder(Rounds, folder)


def own_paths(sweep: SweepParameters, device: Device) -> dict[int, Path]:
    """Where a sweep's rounds records lie, by width, in its order."""
    kind = sweep.backend, device, sweep.batch_size, sweep.threads
    return {width: sweep.folder / rounds_name(*kind, width) for width in sweep.widths}


def missing_widths(sweep: SweepParameters, device: Device) -> list[int]:
    """The widths of a sweep that have no file of rounds, whatever such a file would hold."""
    return [width for width, path in own_paths(sweep, device).items() if not path.exists()]


def own_rounds(sweep: SweepParameters, device: Device) -> list[Rounds]:
    """A sweep's rounds records that can be read."""
    return [rounds for path in own_paths(sweep, device).values() if (rounds := find_rounds(path))]
