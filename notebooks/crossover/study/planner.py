"""What a study lacks: notebooks to execute, in the order of worth, and how long they take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from crossover.analysis import ablations
from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.records.settings import Device
from crossover.study.study import Study, sweep_device
from crossover.training.estimate import Estimate, ceilings_seconds
from crossover.training.progress import clock_text
from crossover.words import counted

# Starting papermill, a kernel and a framework, and the throw-away training.
START_SECONDS = 20.0
# A machine that is new to the study may be far slower than the estimate's source.
SLOWER, START_MINUTES = 4, 30
TRAIN, CEILINGS = "train.ipynb", "ceilings.ipynb"
CEILINGS_PARAMETERS = {"device", "widths", "backend", "batch_size", "threads", "output"}


@dataclass(frozen=True)
class Job:
    """One notebook to execute for a study; ``sweep`` holds its parameters.

    ``timed_seconds`` are expected of its trials or measurements; they are ``guessed`` where no
    trial like them has been recorded on this machine.
    """

    name: str
    notebook: str
    sweep: SweepParameters
    study: Study
    timed_seconds: float = 0.0
    guessed: bool = False

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
        own = CEILINGS_PARAMETERS if self.notebook == CEILINGS else None
        return self.sweep.model_dump_json(include=own)

    @property
    def title(self) -> str:
        """What it is, with its change where the study has several variants of its settings."""
        what, settings = f"repeat {self.sweep.repeat}", self.sweep.settings
        if self.notebook == CEILINGS:
            what = "ceilings: copies, matrix products"
        elif len(self.study.changes) > 1:
            change = ablations.change_of(settings) or f"batches of {settings.batch_size}"
            what = f"{change}, {what}"
        device = self.device.upper()
        return f"{self.study.partition} {settings.protocol}, {device}, {what}".strip()

    @property
    def seconds(self) -> float:
        """Expected seconds of all of it."""
        return START_SECONDS + self.timed_seconds

    @property
    def most_minutes(self) -> int:
        """Minutes after which a scheduler may end it."""
        return START_MINUTES + math.ceil(SLOWER * self.timed_seconds / 60)

    def timed(self, estimate: Estimate) -> Self:
        """The same with what it is expected to take."""
        if self.notebook == CEILINGS:
            return replace(self, timed_seconds=ceilings_seconds(self.sweep, self.device))
        settings, widths = self.sweep.settings, self.sweep.widths
        seconds = sum(estimate.seconds(settings, self.device, width) for width in widths)
        guessed = not estimate.is_measured(settings, self.device)
        return replace(self, timed_seconds=seconds, guessed=guessed)


def jobs_of(
    study: Study, notebook: str, sweeps: Mapping[str, SweepParameters], records: Sequence[Record]
) -> list[Job]:
    """The jobs of sweeps by their names; ``records`` tell how long they take."""
    estimate = Estimate(records)
    return [Job(name, notebook, sweep, study).timed(estimate) for name, sweep in sweeps.items()]


def lacking(
    study: Study, own: list[Record], *, ceilings: bool = True, explained: bool = False
) -> list[Job]:
    """What a study lacks beside its ``own`` trials, as `Study.own` tells them, in order of worth.

    One repeat of every sweep, the devices' ``ceilings``, and the other repeats. One repeat of the
    ablations comes last, where the study is to be ``explained``, at those of their widths that it
    has.
    """
    sweeps = jobs_of(study, TRAIN, study.missing(own), own)
    jobs = [job for job in sweeps if job.sweep.repeat == 1]
    if ceilings:
        jobs += jobs_of(study, CEILINGS, study.missing_ceilings(), own)
    jobs += [job for job in sweeps if job.sweep.repeat > 1]
    if explained and (widths := [width for width in ablations.WIDTHS if width in study.widths]):
        explaining = {
            "protocols": ["published"],
            "widths": widths,
            "epochs": ablations.EPOCHS,
            "changes": [*ablations.changes_of(study.backend).values()],
            "repeats": 1,
        }
        changed = study.model_copy(update=explaining)
        names = {job.name for job in jobs}  # A study of as many epochs has the baseline itself.
        changes = jobs_of(changed, TRAIN, changed.missing(own), own)
        jobs += [job for job in changes if job.name not in names]
    return jobs


def plan_text(study: Study, jobs: Sequence[Job]) -> str:
    """The plan in a few lines: what is there, what will be run, how long it takes."""
    place = f"Study on {study.partition}" if study.partition else "Study"
    trials, sweeps, devices = _counts(jobs)
    whole = study.trial_count
    recorded = "its only trial is recorded" if whole == 1 else f"all {whole} trials are recorded"
    if not jobs:
        return f"{place}: {recorded}; nothing to train."
    to_train = f"{trials} of {counted(whole, 'trial')} to train in {counted(sweeps, 'sweep')}"
    parts = [to_train if trials else recorded]
    if devices:
        parts.append(f"the ceilings of {counted(devices, 'device')} to measure")
    seconds = sum(job.seconds for job in jobs)
    lines = [f"{place}: {', '.join(parts)}; about {clock_text(seconds)} (m:ss)."]
    if "gpu" not in study.devices:
        lines.append("No GPU sweep: no GPU was found, or DEVICES leaves it out.")
    return "\n".join(lines)


def left_text(jobs: Sequence[Job]) -> str:
    """What is not there yet, in words: trials, and ceilings; empty where all is."""
    trials, _, devices = _counts(jobs)
    parts = [counted(trials, "trial")] if trials else []
    parts += [f"the ceilings of {counted(devices, 'device')}"] if devices else []
    return " and ".join(parts)


def _counts(jobs: Sequence[Job]) -> tuple[int, int, int]:
    """Trials to train, sweeps that do, and devices whose ceilings are measured."""
    sweeps = [job.sweep for job in jobs if job.notebook == TRAIN]
    return sum(len(sweep.widths) for sweep in sweeps), len(sweeps), len(jobs) - len(sweeps)
