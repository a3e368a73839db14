"""What a study lacks: notebooks to execute, in the order of worth, and how long they take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crossover.analysis import ablations
from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.records.settings import Device
from crossover.study.study import Study, sweep_device
from crossover.training.estimate import Estimate, limits_seconds
from crossover.training.progress import clock_text
from crossover.words import counted

# Starting papermill, a kernel and a framework, and the throw-away training.
START_SECONDS = 20.0
# A machine that is new to the study may be far slower than the estimate's source.
SLOWER, START_MINUTES = 4, 30
TRAIN, LIMITS = "train.ipynb", "limits.ipynb"
LIMITS_PARAMETERS = {"device", "widths", "backend", "batch_size", "threads", "output"}


@dataclass(frozen=True)
class Job:
    """One notebook to execute; ``sweep`` holds its parameters.

    ``cores`` and ``partition`` are what it asks of a scheduler.
    ``timed_seconds`` are expected of its trials or measurements; they are
    ``guessed`` where no trial like them has been recorded on this machine.
    """

    name: str
    notebook: str
    sweep: SweepParameters
    title: str
    cores: int
    partition: str | None
    timed_seconds: float = 0.0
    guessed: bool = True

    @property
    def device(self) -> Device:
        """The device that it measures."""
        return sweep_device(self.sweep)

    @property
    def kernel(self) -> str:
        """The kernel that executes it."""
        return f"crossover-{self.device}"

    @property
    def executed(self) -> str:
        """Where it lies among a study's executed notebooks."""
        return f"{self.device}/{self.name}.ipynb"

    @property
    def parameters(self) -> str:
        """The notebook's parameters as JSON."""
        return self.sweep.model_dump_json(
            include=LIMITS_PARAMETERS if self.notebook == LIMITS else None
        )

    @property
    def seconds(self) -> float:
        """Expected seconds of all of it."""
        return START_SECONDS + self.timed_seconds

    @property
    def most_minutes(self) -> int:
        """Minutes after which a scheduler may end it."""
        return START_MINUTES + math.ceil(SLOWER * self.timed_seconds / 60)


def lacking(
    study: Study, own: list[Record], *, limits: bool = True, explained: bool = False
) -> list[Job]:
    """What a study lacks, in the order of worth.

    One repeat of every sweep, the devices' limits, and the other repeats.

    Parameters
    ----------
    own : list of Record
        The study's own trials, as `Study.own` tells them.
    limits : bool
        Whether the devices' limits belong to it.
    explained : bool
        Whether one repeat of the ablations does, at those of their widths that
        the study has; these come last.
    """
    sweeps = sweep_jobs(study, study.missing(own), own)
    jobs = [job for job in sweeps if job.sweep.repeat == 1]
    if limits:
        jobs += [limits_job(study, *item) for item in study.missing_limits().items()]
    jobs += [job for job in sweeps if job.sweep.repeat > 1]
    if explained and (widths := [width for width in ablations.WIDTHS if width in study.widths]):
        changed = study.model_copy(
            update={
                "protocols": ["published"],
                "widths": widths,
                "epochs": ablations.EPOCHS,
                "changes": list(ablations.changes_of(study.backend).values()),
                "repeats": 1,
            }
        )
        names = {job.name for job in jobs}  # A study of as many epochs has the baseline itself.
        changes = sweep_jobs(changed, changed.missing(own), own)
        jobs += [job for job in changes if job.name not in names]
    return jobs


def sweep_jobs(
    study: Study, sweeps: Mapping[str, SweepParameters], records: Sequence[Record]
) -> list[Job]:
    """The jobs of sweeps by their names; ``records`` tell how long they take."""
    estimate = Estimate(records)
    return [
        timed(_job(study, name, TRAIN, sweep, _repeat(study, sweep)), estimate)
        for name, sweep in sweeps.items()
    ]


def limits_job(study: Study, name: str, sweep: SweepParameters) -> Job:
    """The job that measures the limits which a sweep names."""
    job = _job(study, name, LIMITS, sweep, "limits: copies, matrix products")
    return replace(job, timed_seconds=limits_seconds(sweep, job.device), guessed=False)


def timed(job: Job, estimate: Estimate) -> Job:
    """A sweep's job with what its trials are expected to take."""
    settings, device = job.sweep.settings, job.device
    seconds = sum(estimate.seconds(settings, device, width) for width in job.sweep.widths)
    guessed = not estimate.is_measured(settings, device)
    return replace(job, timed_seconds=seconds, guessed=guessed)


def _job(study: Study, name: str, notebook: str, sweep: SweepParameters, what: str) -> Job:
    title = f"{study.partition} {sweep.protocol}, {sweep.device.upper()}, {what}".strip()
    return Job(name, notebook, sweep, title, study.cores, study.partition or None)


def _repeat(study: Study, sweep: SweepParameters) -> str:
    """A sweep's repeat, and its change where the study has several variants of its settings."""
    change = ""
    if len(study.changes) > 1:
        settings = sweep.settings
        change = f"{ablations.change_of(settings) or f'batches of {settings.batch_size}'}, "
    return f"{change}repeat {sweep.repeat}"


def plan_text(study: Study, jobs: Sequence[Job]) -> str:
    """The plan in a few lines: what is there, what will be run, how long it takes."""
    place = f"Study on {study.partition}" if study.partition else "Study"
    sweeps = [job.sweep for job in jobs if job.notebook == TRAIN]
    trials, whole = sum(len(sweep.widths) for sweep in sweeps), study.trial_count
    recorded = "its only trial is recorded" if whole == 1 else f"all {whole} trials are recorded"
    if not jobs:
        return f"{place}: {recorded}; nothing to train."
    to_train = f"{trials} of {counted(whole, 'trial')} to train in {counted(len(sweeps), 'sweep')}"
    parts = [to_train if trials else recorded]
    if measured := len(jobs) - len(sweeps):
        parts.append(f"the limits of {counted(measured, 'device')} to measure")
    seconds = sum(job.seconds for job in jobs)
    lines = [f"{place}: {', '.join(parts)}; about {clock_text(seconds)} (m:ss)."]
    if "gpu" not in study.devices:
        lines.append("No GPU sweep: no GPU was found, or DEVICES leaves it out.")
    return "\n".join(lines)
