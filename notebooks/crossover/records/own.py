"""The record of a model of the reader's own: its steps on one device, in one process."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crossover.records.ceilings import Sample, StepProfile
from crossover.records.jsontext import Problem, find_model, read_folder, write_new
from crossover.records.own_parameters import OwnParameters, file_digest
from crossover.records.record import Count, Measured, Seconds, Text
from crossover.records.settings import Device, Frozen, Precision, Repeat

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
# What a repeat's process says that it is at, before the size.
BATCHES = "batches of "
# How the reason begins why a batch size has no times.
OUT_OF_MEMORY, TOO_SLOW = "out of memory", "too slow"
AnyBatchSize = Annotated[int, Field(ge=1, le=2**31)]


class Batches(Frozen):
    """Steps of one batch size.

    ``epochs`` are the seconds of epochs of ``steps`` steps, which took turns with those of the
    other batch sizes; ``first_seconds`` those of the first steps, which trace and compile. Where
    there are none, ``missing`` says why in a few words.
    """

    batch_size: AnyBatchSize
    steps: Annotated[int, Field(ge=1)] = 1
    first_seconds: Seconds | None = None
    epochs: Annotated[list[Sample], Field(max_length=100_000, default_factory=list)]
    missing: Text | None = None

    @model_validator(mode="after")
    def _measured_or_why(self) -> Self:
        """Refuse times beside a reason why there are none, and neither."""
        if bool(self.epochs) == bool(self.missing):
            raise ValueError("it holds either times or why there are none")
        return self

    @property
    def step_seconds(self) -> float | None:
        """Seconds of a step: the median epoch's; None where there is none."""
        return statistics.median(self.epochs) / self.steps if self.epochs else None


class StepCost(Frozen):
    """What a step computes and moves, as the framework counts it; see `Runtime.step_cost`.

    ``data_bytes`` are those of all operations' inputs and outputs, as if none was fused with
    another; None where that is not counted.
    """

    flops: Annotated[int, Field(ge=1, le=2**62)]
    data_bytes: Count | None = None


class OwnRun(Measured):
    """One repeat of a model's steps on one device, in a process of its own.

    ``model`` is the name of the file that builds it, without its folder; ``file_digest`` is of that
    file, ``model_digest`` of the model that it built. ``parameters`` are those trained, ``inputs``
    what one row is, ``batch_bytes`` what a batch of inputs and targets holds; ``seconds`` are those
    that it was to train. ``cost`` is a step's at the batch size asked for, ``uncounted`` says why
    there is none; ``profile`` is such a step under the framework's profiler. All three are of the
    first repeat only. ``batch_size`` is the size that was asked for, the first of ``batches``.
    """

    schema_version: Literal[1] = 1
    model: Text
    file_digest: Digest
    model_digest: Digest
    parameters: Annotated[int, Field(ge=1)]
    inputs: Text
    repeat: Repeat
    seconds: Seconds
    precision: Precision
    policy: Text
    jit_compile: bool
    build_seconds: Seconds
    batch_bytes: Count
    batches: Annotated[list[Batches], Field(min_length=1, max_length=16)]
    cost: StepCost | None = None
    uncounted: Text | None = None
    profile: StepProfile | None = None

    @model_validator(mode="after")
    def _own_size_first(self) -> Self:
        """Refuse a record without times of the batch size that it was asked for."""
        first = self.batches[0]
        if first.batch_size != self.batch_size or not first.epochs:
            raise ValueError("its first batches are not those that were asked for")
        return self


def own_name(asked: OwnParameters, device: Device, repeat: int, digest: str = "") -> str:
    """File name of a repeat's record; the ``digest`` of the file is read where none is given."""
    kind = f"{asked.backend}-{device}-b{asked.batch_size}-t{asked.threads or 'all'}"
    name = f"{asked.name}-{digest or file_digest(asked.file)}"
    return f"{name}-{kind}-s{asked.seconds:g}-r{repeat}.json"


def write_own(path: Path, run: OwnRun) -> None:
    """Write a repeat's record atomically; one that is there is never replaced.

    Raises `StorageError`.
    """
    there = (
        f"{path.name} is recorded already, so that another run measures this model too: wait "
        "for that run; the same command goes on."
    )
    write_new(path, run, there)


def find_own(path: Path) -> OwnRun | None:
    """The record of that path, None where there is none that can be read."""
    return find_model(OwnRun, path)


def read_own(folder: Path) -> tuple[list[OwnRun], list[Problem]]:
    """Read all records of a folder; invalid files are named, never fatal."""
    return read_folder(OwnRun, folder)


def recorded_repeats(asked: OwnParameters, device: Device) -> list[OwnRun]:
    """The repeats of a model on a device that are recorded, in their order."""
    digest = file_digest(asked.file)
    names = (own_name(asked, device, repeat, digest) for repeat in range(1, asked.repeats + 1))
    runs: Iterable[OwnRun | None] = (find_own(asked.folder / name) for name in names)
    return [run for run in runs if run is not None]
