"""References: one file of JSON lines a machine, from a stranger or from this machine's study."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.files import regular_size, write_text
from crossover.paths import PROJECT, REFERENCES, RUNS
from crossover.records.ceilings import Ceilings, adopt_limits, read_ceilings, write_ceilings
from crossover.records.frame import check_one_machine
from crossover.records.jsontext import MAX_RECORD_BYTES, Problem, parse_model
from crossover.records.record import Record
from crossover.records.rounds import Rounds, read_rounds, write_rounds
from crossover.records.storage import (
    Loaded,
    read_records,
    record_name,
    trial_folders,
    write_record,
)
from crossover.words import counted

MAX_REFERENCE_BYTES = 200_000_000
MAX_RECORDS = 100_000
MAX_PROBLEMS = 20
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def reference_paths(references: Path = REFERENCES) -> list[Path]:
    """The files that may be references: regular ones whose names are as ``keep`` gives them."""
    return sorted(
        path
        for path in references.glob("*.jsonl")
        if NAME.fullmatch(path.stem) and path.is_file() and not path.is_symlink()
    )


def read_reference(path: Path) -> Loaded:
    """Read a contributed file, one record a line; bounded, and never fatal."""
    try:
        if regular_size(path) > MAX_REFERENCE_BYTES:
            return Loaded([], [Problem(path.name, "larger than a reference can be")])
        with path.open("rb") as file:
            return _read_lines(path.name, file)
    except OSError as error:
        return Loaded([], [Problem(path.name, f"not readable ({error.strerror})")])


def _read_lines(name: str, file: BinaryIO) -> Loaded:
    records: dict[str, Record] = {}
    problems: list[Problem] = []
    lines = iter(lambda: file.readline(MAX_RECORD_BYTES + 1), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_RECORD_BYTES or number > MAX_RECORDS or len(problems) >= MAX_PROBLEMS:
            problems.append(Problem(f"{name}:{number}", "too much to read; the rest is unread"))
            break
        record = parse_model(Record, line)
        if isinstance(record, Record) and record_name(record) in records:
            record = "the same trial stands there twice"
        if isinstance(record, Record):
            records[record_name(record)] = record
        else:
            problems.append(Problem(f"{name}:{number}", record))
    return Loaded(list(records.values()), problems)


def write_reference(path: Path, records: Sequence[Record]) -> None:
    """Write records as one JSON line each, in the order of their names."""
    ordered = sorted(records, key=record_name)
    write_text(path, "".join(record.model_dump_json() + "\n" for record in ordered))


def keep(name: str, folder: Path, references: Path = REFERENCES, partition: str = "") -> Path:
    """Write a study's trials as ``<name>.jsonl``, what explains them beside it; return the path.

    They lie in the study's folders ``trials``, ``ceilings`` and ``rounds``, or there in those of
    the cluster's ``partition``. Raises CrossoverError if the name is no file name, there is no
    trial, the trials are of unlike hardware or software, or the reference exists already.
    """
    if not NAME.fullmatch(name):
        raise CrossoverError(f"NAME is {name!r:.80}: use small letters, digits and hyphens.")
    path = references / f"{name}.jsonl"
    if os.path.lexists(path):
        raise CrossoverError(f"{path.name} exists: choose another NAME or remove that file.")
    records = read_records(folder / "trials" / partition).records
    if not records:
        raise CrossoverError("no trial of 'make report' is recorded: run that first.")
    check_one_machine(records)
    write_reference(path, records)
    for ceilings in read_ceilings(folder / "ceilings" / partition)[0]:
        write_ceilings(references / name, ceilings)
    for rounds in read_rounds(folder / "rounds" / partition)[0]:
        write_rounds(references / name / "rounds", rounds)
    return path


class Kept(NamedTuple):
    """What `keep` has written of one study."""

    trials: list[Record]
    ceilings: list[Ceilings]
    rounds: list[Rounds]


def read_kept(name: str, references: Path = REFERENCES) -> Kept:
    """Read all of a reference; raise CrossoverError if there is none, or some is not readable."""
    paths = {path.stem: path for path in reference_paths(references)}
    if name not in paths:
        there = ", ".join(paths) or "none"
        raise CrossoverError(
            f"there is no reference {name!r:.80}: name one that there is ({there})."
        )
    trials = read_reference(paths[name])
    ceilings, no_ceilings = read_ceilings(references / name)
    rounds, no_rounds = read_rounds(references / name / "rounds")
    if problems := [*trials.problems, *no_ceilings, *no_rounds]:
        raise CrossoverError(
            f"the reference {name} is not whole ({problems[0]}): copy it anew, or remove that part."
        )
    return Kept(trials.records, ceilings, rounds)


def take_up(kept: Kept, folder: Path) -> None:
    """Write a kept study into a study's folder, to go on with it.

    What `keep` does, turned round; what lies there already stays. Raises MixedTrialsError if that
    is another machine's.
    """
    check_one_machine([*kept.trials, *read_records(folder / "trials").records])
    for trial in kept.trials:
        if not (folder / "trials" / record_name(trial)).exists():
            write_record(folder / "trials", trial)
    for ceilings in kept.ceilings:
        if not (folder / "ceilings" / ceilings.file_name).exists():
            write_ceilings(folder / "ceilings", ceilings)
    for rounds in kept.rounds:
        if not (folder / "rounds" / rounds.file_name).exists():
            write_rounds(folder / "rounds", rounds)


def keep_all(name: str, folder: Path, references: Path = REFERENCES) -> list[Path]:
    """Keep a study's own trials, and those of its partitions under ``<name>-<partition>``."""
    trials = folder / "trials"
    folders = [path for path in trial_folders(trials) if any(path.glob("*.json"))] or [trials]
    kept = []
    for partition in ("" if path == trials else path.name for path in folders):
        own = f"{name}-{re.sub(r'[^a-z0-9]', '-', partition.lower())}" if partition else name
        kept.append(keep(own, folder, references, partition))
    return kept


def record(_: str, words: list[str]) -> int:
    """Keep the trials of ``make report`` under a NAME."""
    adopt_limits(RUNS / "main")
    for path in keep_all(assigned(words, ["NAME"]).get("NAME", ""), RUNS / "main"):
        print(kept_text(path))
    return 0


def kept_text(path: Path) -> str:
    """What a reference holds and where, in one line."""
    trials = len(read_reference(path).records)
    folder, place = path.with_suffix(""), os.path.relpath(path, PROJECT)
    ceilings, rounds = len(read_ceilings(folder)[0]), len(read_rounds(folder / "rounds")[0])
    parts = [f", the ceilings of {counted(ceilings, 'device')}"] if ceilings else []
    parts += [f", trainings in turns at {counted(rounds, 'width')}"] if rounds else []
    beside = f"{''.join(parts)} in {place.removesuffix('.jsonl')}" if parts else ""
    return f"Recorded {counted(trials, 'trial')} in {place}{beside}."
