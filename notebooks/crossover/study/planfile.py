"""A plan of a study that is cut off by the clock: its jobs one by one, in order.

A plan is a table of comma-separated values; lines that begin with # are left out:

    what,device,widths,repeat,seconds
    published,gpu,4 128 1024,1,30

``what`` is a protocol, ``ceilings``, or ``rounds`` (the trainings in turns); ``seconds`` must be
left for the job to begin.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from crossover.errors import CrossoverError
from crossover.records.rounds import missing_widths
from crossover.study.configuration import study_from
from crossover.study.planner import CEILINGS, EXPLAIN, TRAIN, Job, jobs_of
from crossover.training.estimate import own_ceilings
from crossover.training.plan import own_records

COLUMNS = ["what", "device", "widths", "repeat", "seconds"]
# What is measured beside trials, and the notebook that does.
MEASURED = {"ceilings": CEILINGS, "rounds": EXPLAIN}


class PlanError(CrossoverError):
    """A line of a plan is no job."""


def read_plan(path: Path, folder: str, backend: str) -> list[tuple[Job, float]]:
    """Read a plan's jobs and the seconds that must be left for each to begin.

    Raises `PlanError`, which gives the line's number and what is wrong.
    """
    planned = []
    for number, fields in _lines(path):
        try:
            planned.append(_planned(fields, folder, backend))
        except (CrossoverError, ValueError) as error:
            raise PlanError(f"{path.name}, line {number}: {error!s:.200}") from None
    return planned


def is_left(job: Job) -> bool:
    """Whether a job has anything left to do."""
    if job.notebook == CEILINGS:
        measured = own_ceilings(job.sweep, job.device)
        return measured is None or any(measured.at(width) is None for width in job.sweep.widths)
    if job.notebook == EXPLAIN:
        return bool(missing_widths(job.sweep, job.device))
    return len(own_records(job.sweep, job.device)) < len(job.sweep.widths)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise PlanError(f"{path} cannot be read: name a plan, or a file.") from None
    numbered = enumerate(text.splitlines(), 1)
    lines = [(n, line) for n, line in numbered if line.strip() and not line.startswith("#")]
    if not lines or lines[0][1].split(",") != COLUMNS:
        raise PlanError(f"{path.name} begins with other columns than {','.join(COLUMNS)}.")
    for number, line in lines[1:]:
        yield number, next(csv.reader([line]))


def _planned(fields: list[str], folder: str, backend: str) -> tuple[Job, float]:
    if len(fields) != len(COLUMNS):
        raise PlanError(f"{len(fields)} values instead of {len(COLUMNS)}.")
    what, device, widths, repeat, least = (field.strip() for field in fields)
    seconds = float(least)
    if device not in ("cpu", "gpu") or not 0 <= seconds < math.inf:
        raise PlanError("its device must be cpu or gpu, and its seconds a number.")
    given = {"folder": folder, "backend": backend, "devices": device, "widths": widths}
    if what not in MEASURED:
        return _sweep(given | {"protocols": what, "repeats": int(repeat)}), seconds
    study = study_from({**given, "protocols": "published"})
    sweep_of = {"ceilings": study.ceilings_sweep, "rounds": study.rounds_sweep}[what]
    sweep = sweep_of(study.devices[0], study.widths)
    name = f"{what}-{backend}-{device}-w{'_'.join(map(str, study.widths))}"
    return jobs_of(study, MEASURED[what], {name: sweep}, [])[0], seconds


def _sweep(given: Mapping[str, object]) -> Job:
    study = study_from(given)
    sweeps = study.missing([])
    (last,) = [
        job for job in jobs_of(study, TRAIN, sweeps, []) if job.sweep.repeat == study.repeats
    ]
    return last
