"""Trial records on disk: one JSON file a trial, named after it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from crossover.files import StorageError
from crossover.records.jsontext import Problem, parted, read_model, write_new
from crossover.records.record import Record
from crossover.records.settings import Device, Settings
from crossover.words import printable


@dataclass(frozen=True)
class Loaded:
    """The valid records of a folder or file, and what was not valid."""

    records: list[Record]
    problems: list[Problem]


def trial_name(settings: Settings, device: Device, width: int, repeat: int) -> str:
    """File name of a trial's record."""
    return f"{settings.protocol}-{device}-w{width:04d}-r{repeat}-{settings.digest}.json"


def record_name(record: Record) -> str:
    """File name of this record."""
    return trial_name(record.settings, record.device, record.width, record.repeat)


def write_record(folder: Path, record: Record) -> Path:
    """Write one record atomically and durably and return its path.

    Raises StorageError if the disk is full, the folder cannot be written, or another run has
    recorded this trial there meanwhile: that is never replaced.
    """
    path = folder / record_name(record)
    there = (
        f"{path.name} is recorded already, so that another run writes to this folder too: its "
        "trial is kept and this one dropped. Wait for that run, or give this one a folder of "
        "its own; the same command goes on."
    )
    write_new(path, record, there)
    return path


def trial_folders(folder: Path) -> list[Path]:
    """A study's folders of trial records: its own, then one a partition of a cluster."""
    inside = sorted(path for path in folder.glob("*") if path.is_dir() and path.name != "rejected")
    return [folder, *inside] if folder.exists() else []


def read_records(folder: Path) -> Loaded:
    """Read all records of a folder, none where there is no folder; see ``read_files``.

    Raises StorageError if there is such a folder but it cannot be listed.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise StorageError(
            f"the folder {folder.name} could not be read ({error.strerror}): "
            "check that it is a folder, and its permissions."
        ) from None
    return read_files(paths)


def read_files(paths: Iterable[Path]) -> Loaded:
    """Read the records of some files; invalid ones are named, never fatal."""
    return Loaded(*parted(_read_record(path) for path in paths))


def _read_record(path: Path) -> Record | Problem:
    record = read_model(Record, path)
    if isinstance(record, Record) and path.name != record_name(record):
        return Problem(path.name, f"its content belongs to {record_name(record)}")
    return record


def set_aside(folder: Path, problems: Iterable[Problem]) -> None:
    """Move files that are no records into the folder ``rejected``; none is overwritten."""
    for problem in problems:
        rejected = folder / "rejected"
        try:
            rejected.mkdir(exist_ok=True)
            target, number = rejected / problem.name, 1
            while os.path.lexists(target):
                number += 1
                target = rejected / f"{number}-{problem.name}"
            (folder / problem.name).rename(target)
        except OSError as error:
            raise StorageError(
                f"{printable(problem.name, 80)} could not be set aside ({error.strerror}): "
                "check the folder's permissions."
            ) from None


def set_aside_before(folder: Path, what: str = "trial") -> list[Problem]:
    """The files that earlier runs set aside, and ``what`` they should have been."""
    rejected = folder / "rejected"
    names = sorted(path.name for path in rejected.iterdir()) if rejected.is_dir() else []
    return [Problem(f"rejected/{name}", f"was no valid {what}") for name in names]
