"""What a study lacks: notebooks to execute, in the order of worth, and how long they take."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from crossover.problem import explained_widths
from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.records.settings import Device
from crossover.study.study import Study, sweep_device
from crossover.training.estimate import Estimate, ceilings_seconds, rounds_seconds
from crossover.training.progress import clock_text
from crossover.words import counted

# Starting papermill, a kernel and a framework, and the throw-away training.
START_SECONDS = 20.0
# A machine that is new to the study may be far slower than the estimate's source.
SLOWER, START_MINUTES = 4, 30
TRAIN, CEILINGS, EXPLAIN = "train.ipynb", "ceilings.ipynb", "explain.ipynb"
MEASURING = {"device", "widths", "backend", "batch_size", "threads", "output"}
# The parameters of a notebook that takes fewer than a sweep has.
PARAMETERS = {CEILINGS: MEASURING, EXPLAIN: MEASURING | {"seed"}}
TITLES = {CEILINGS: "ceilings: copies, matrix products", EXPLAIN: "trainings in turns"}


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
        return self.sweep.model_dump_json(include=PARAMETERS.get(self.notebook))

    @property
    def title(self) -> str:
        """What it is, with its batch size where the study has several."""
        device, what = self.device.upper(), TITLES.get(self.notebook)
        if what is None:
            repeat, size = f"repeat {self.sweep.repeat}", f"batches of {self.sweep.batch_size}"
            what = f"{size}, {repeat}" if len(self.study.changes) > 1 else repeat
            device = f"{self.sweep.protocol}, {device}"
        return f"{self.study.partition} {device}, {what}".strip()

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
        if self.notebook == EXPLAIN:
            seconds, measured = rounds_seconds(self.sweep, self.device)
            return replace(self, timed_seconds=seconds, guessed=not measured)
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
    study: Study, own: list[Record], wanted: Collection[str] = ("trials", "ceilings")
) -> list[Job]:
    """What a study lacks of what is ``wanted``, in order of worth.

    One repeat of every sweep of ``trials`` beside its ``own``, as `Study.own` tells them; the
    devices' ``ceilings``; the other repeats; and the trainings in turns, ``rounds``, beside trials
    at the widths at which the report takes a step apart.
    """
    jobs: list[Job] = []
    sweeps = jobs_of(study, TRAIN, study.missing(own), own) if "trials" in wanted else []
    jobs += [job for job in sweeps if job.sweep.repeat == 1]
    if "ceilings" in wanted:
        jobs += jobs_of(study, CEILINGS, study.missing_ceilings(), own)
    jobs += [job for job in sweeps if job.sweep.repeat > 1]
    if "rounds" in wanted:
        beside = explained_widths(study.widths)
        missing = study.missing_rounds(beside if "trials" in wanted else study.widths)
        jobs += jobs_of(study, EXPLAIN, missing, own)
    return jobs


def plan_text(study: Study, jobs: Sequence[Job], wanted: Collection[str] = ("trials",)) -> str:
    """The plan in a few lines: what is there, what will be run, how long it takes."""
    place = f"Study on {study.partition}" if study.partition else "Study"
    counts = _counts(jobs)
    whole = study.trial_count
    recorded = "its only trial is recorded" if whole == 1 else f"all {whole} trials are recorded"
    if "trials" not in wanted:
        recorded = "all is measured that explains it"
    if not jobs:
        return f"{place}: {recorded}; nothing to train."
    sweeps = sum(job.notebook == TRAIN for job in jobs)
    parts = [f"{counts[TRAIN]} of {counted(whole, 'trial')} to train in {counted(sweeps, 'sweep')}"]
    if not counts[TRAIN]:
        parts = [recorded] if "trials" in wanted else []
    if counts[CEILINGS]:
        parts.append(f"the ceilings of {counted(counts[CEILINGS], 'device')} to measure")
    if counts[EXPLAIN]:
        parts.append(f"{counted(counts[EXPLAIN], 'width')} to train in turns")
    seconds = sum(job.seconds for job in jobs)
    lines = [f"{place}: {', '.join(parts)}; about {clock_text(seconds)} (m:ss)."]
    if "gpu" not in study.devices:
        lines.append("No GPU sweep: no GPU was found, or DEVICES leaves it out.")
    return "\n".join(lines)


def left_text(jobs: Sequence[Job]) -> str:
    """What is not there yet, in words; empty where all is."""
    counts = _counts(jobs)
    parts = [counted(counts[TRAIN], "trial")] if counts[TRAIN] else []
    if counts[CEILINGS]:
        parts.append(f"the ceilings of {counted(counts[CEILINGS], 'device')}")
    if counts[EXPLAIN]:
        parts.append(f"the trainings in turns of {counted(counts[EXPLAIN], 'width')}")
    return " and ".join(parts)


def _counts(jobs: Sequence[Job]) -> Counter[str]:
    """What each kind of notebook has to do: trials, devices with ceilings, widths in turns."""
    counts: Counter[str] = Counter()
    for job in jobs:
        counts[job.notebook] += 1 if job.notebook == CEILINGS else len(job.sweep.widths)
    return counts
