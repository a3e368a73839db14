"""What a study lacks, as notebooks to execute, in the order of worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossover.analysis import ablations
from crossover.records.limits import Limits, find_limits, limits_name
from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.records.settings import Device
from crossover.records.storage import read_records
from crossover.study.study import Study, sweep_device
from crossover.training.estimate import Estimate, limits_seconds

# Starting papermill, a kernel and a framework, and the throw-away training.
START_SECONDS = 20.0
TRAIN, LIMITS = "train.ipynb", "limits.ipynb"
LIMITS_PARAMETERS = ("device", "widths", "backend", "batch_size", "threads", "output")


@dataclass(frozen=True)
class Job:
    """One notebook to execute; ``sweep`` holds its parameters."""

    name: str
    notebook: str
    sweep: SweepParameters

    @property
    def device(self) -> Device:
        """The device whose kernel executes it."""
        return sweep_device(self.sweep)

    @property
    def parameters(self) -> str:
        """The notebook's parameters as JSON."""
        known = set(LIMITS_PARAMETERS) if self.notebook == LIMITS else None
        return self.sweep.model_dump_json(include=known)


def jobs(study: Study) -> list[Job]:
    """What the study lacks, in the order of worth.

    One repeat of every sweep, the devices' limits, the other repeats, and
    then one repeat of the ablations, at those of their widths that the study
    has.
    """
    records = read_records(study.trials).records
    widths = [width for width in ablations.WIDTHS if width in study.widths]
    explain = {
        "protocols": ["published"],
        "widths": widths,
        "epochs": ablations.EPOCHS,
        "changes": list(ablations.changes_of(study.backend).values()),
        "repeats": 1,
    }
    first = study.model_copy(update={"repeats": 1})
    found = {name: Job(name, TRAIN, sweep) for name, sweep in first.missing(records).items()}
    found |= {name: Job(name, LIMITS, sweep) for name, sweep in study.missing_limits().items()}
    for part in (study, study.model_copy(update=explain)) if widths else (study,):
        for name, sweep in part.missing(records).items():
            found.setdefault(name, Job(name, TRAIN, sweep))
    return list(found.values())


def expected(job: Job, records: Sequence[Record]) -> float | None:
    """Expected seconds of a job from this machine's trials; None without any that tell."""
    if job.notebook == LIMITS:
        return START_SECONDS + limits_seconds_of(job.sweep)
    settings = job.sweep.settings
    alike = [
        record
        for record in records
        if (record.device, record.settings.protocol) == (job.device, settings.protocol)
        and record.settings.backend == settings.backend
    ]
    if not alike:
        return None
    estimate = Estimate(alike)
    trials = (estimate.seconds(settings, job.device, width) for width in job.sweep.widths)
    return START_SECONDS + sum(trials)


def limits_seconds_of(sweep: SweepParameters) -> float:
    """Expected seconds of measuring the limits that a sweep names, without the start."""
    device = sweep_device(sweep)
    return limits_seconds(sweep.backend, device, len(sweep.widths), known_limits(sweep))


def known_limits(sweep: SweepParameters) -> Limits | None:
    """What is measured already of the limits that a sweep names."""
    device = sweep_device(sweep)
    name = limits_name(sweep.backend, device, sweep.batch_size, sweep.threads)
    return find_limits(sweep.folder / name)
