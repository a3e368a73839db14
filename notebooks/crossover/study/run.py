"""The front door: plan a study, let Snakemake run it, and report whatever there is."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossover.errors import CrossoverError
from crossover.files import check_folder
from crossover.hardware.announce import announce
from crossover.hardware.machine import describe_machine, installed_versions
from crossover.hardware.variables import recorded_environment
from crossover.paths import PROJECT
from crossover.records.ceilings import adopt_limits, read_ceilings
from crossover.records.jsontext import NEWER, Problem
from crossover.records.record import Measured, Record
from crossover.records.rounds import read_rounds
from crossover.records.storage import read_records, set_aside
from crossover.study.alike import check_alike, check_room
from crossover.study.configuration import configuration
from crossover.study.copies import copy_notebooks
from crossover.study.last import FILE, keep_settings, read_settings
from crossover.study.planner import TRAIN, Job, lacking, left_text, plan_text
from crossover.study.processes import Stopped, end_study, stoppable
from crossover.study.sites import executor_of, studies_of
from crossover.study.slurm import SlurmError, queued
from crossover.study.study import Study
from crossover.study.workflow import job_prefix, run_workflow, workflow_plan
from crossover.training.memory import check_memory
from crossover.words import counted

BUSY = 3  # The exit code where somebody else is at the same work.


def run(verb: str, words: list[str]) -> int:
    """Run a study as a verb and NAME=value settings say; return an exit code."""
    config = configuration(verb, words)
    studies = studies_of(config)
    if not any(next(study.sweeps(), None) for study in studies):
        raise CrossoverError("nothing to do")
    with alone():
        return _run(verb, studies, config)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the project's folder; a signal ends all that was started there, in one sentence.

    Raises `CrossoverError` where another study holds it.
    """
    try:
        with stoppable(), FileLock(PROJECT / ".study.lock").acquire(timeout=0):
            yield
    except Timeout:
        sentence = "another study runs in this folder: wait for it or stop it."
        raise CrossoverError(sentence, BUSY) from None
    except Stopped as stopped:
        end_study(str(PROJECT))
        sentence = "stopped; what is finished is kept: the same command goes on."
        raise CrossoverError(sentence, 128 + stopped.number) from None


def end_left_behind() -> None:
    """End what a killed run left behind, and say so."""
    if ended := end_study(str(PROJECT)):
        processes = counted(ended, "process", "processes")
        print(f"Ended {processes} that a killed run had left behind.", flush=True)


def _run(verb: str, studies: list[Study], config: dict[str, Any]) -> int:
    folder, profile = PROJECT / config["study"]["folder"], config["profile"]
    adopt_limits(folder)
    extra, on_slurm = verb in ("explain", "map"), executor_of(profile) == "slurm"
    if on_slurm:
        _check_slurm(folder, config)
    end_left_behind()
    jobs = _plan(folder, studies, config)
    if not extra and not config["partial"]:
        keep_settings(config)
    if jobs and on_slurm:
        logs = folder.relative_to(PROJECT) / "logs"
        print(f"Watch with 'squeue --me'; notebooks in {logs}, jobs' output in {logs / 'slurm'}.")
    code, left = 0, ""
    if jobs:
        code = run_workflow(folder, workflow_plan(studies, jobs, config), profile, "sweeps")
        # Whatever a step's exit code said.
        lists = [lacking(study, study.recorded(), config["wanted"]) for study in studies]
        left = "; ".join(left_text(lacked) for lacked in lists if lacked)
    if left:
        print("\nNot everything was trained; reporting what is recorded.", flush=True)
    # Changes are shown in the report of a study.
    reported = report_last(folder) if extra else _report(folder, studies, config)
    if left:
        sentence = f"still missing: {left}. The same command goes on when the cause is mended."
        raise CrossoverError(sentence, code or 1)
    return code or reported


def _check_slurm(folder: Path, config: dict[str, Any]) -> None:
    """Refuse what SLURM cannot start, and what still waits in its queue."""
    if " " in f"{PROJECT}{sys.executable}":
        raise SlurmError("SLURM's jobs start in no folder with a space: move the project.")
    if not config["partial"] and (waiting := queued(job_prefix(folder))):
        raise CrossoverError(
            f"SLURM's queue still holds {counted(len(waiting), 'job')} of this study: wait, or "
            f"cancel with 'scancel {' '.join(waiting[:20])}'.",
            BUSY,
        )


def _report(folder: Path, studies: list[Study], config: dict[str, Any]) -> int:
    """Make the report, copy executed notebooks where they are wanted; Snakemake's exit code."""
    code = run_workflow(folder, workflow_plan(studies, [], config), "local", "report")
    if config["notebooks"] and not config["partial"]:
        count = copy_notebooks(folder / "notebooks", config["notebooks"])
        print(f"Copied {counted(count, 'executed notebook')} to {config['notebooks']}.")
    if not code:
        print(f"Report: {Path(config['figures']) / 'report.html'}", flush=True)
    return code


def last_study(folder: Path) -> tuple[list[Study], dict[str, Any]]:
    """The study that was last reported from a folder; the default one where no settings tell."""
    if config := read_settings(folder / FILE):
        with suppress(CrossoverError):
            return studies_of(config), config
    config = configuration("report", [])
    return studies_of(config), config


def _plan(folder: Path, studies: list[Study], config: dict[str, Any]) -> list[Job]:
    """What all studies lack, in turns: none waits while the queue is full of another's jobs."""
    turns = zip_longest(*(_plan_one(study, config) for study in studies))
    jobs = [job for turn in turns for job in turn if job]
    for job in jobs:  # A notebook without its records is no finished sweep.
        (folder / "notebooks" / job.executed).unlink(missing_ok=True)
    return jobs


def _plan_one(study: Study, config: dict[str, Any]) -> list[Job]:
    """Print what one study lacks and return its jobs; read its records once."""
    records = _sound_records(study)
    study.check_seed(records)
    own = study.own(records)
    jobs = lacking(study, own, config["wanted"])
    if config["partial"]:
        state = f"{left_text(jobs)} missing" if jobs else "all trials recorded"
        print(f"Study in {study.folder}: {state}; nothing is trained.", flush=True)
        return []
    # Elsewhere each job looks at its own machine.
    here = executor_of(config["profile"]) == "local" and bool(jobs)
    unusual = _look_here(study, own, jobs) if here else []
    check_room(study, own, [job.sweep for job in jobs if job.notebook == TRAIN])
    print(plan_text(study, jobs, config["wanted"]), *unusual, sep="\n", flush=True)
    return jobs


def _sound_records(study: Study) -> list[Record]:
    """The trials in a folder that can be written; files that are no records are set aside.

    Those of ceilings and of trainings in turns are, too, so that they are measured anew.
    """
    check_folder(study.trials)
    loaded = read_records(study.trials)
    set_aside_unreadable(study.trials, loaded.problems)
    for folder, read in ((study.ceilings, read_ceilings), (study.rounds, read_rounds)):
        set_aside_unreadable(folder, read(folder)[1])
    return loaded.records


def report_last(folder: Path) -> int:
    """Make the report of the study that was last reported from a folder anew; an exit code."""
    return _report(folder, *last_study(folder))


def set_aside_unreadable(folder: Path, problems: Sequence[Problem]) -> None:
    """Name the files that are no records, and set aside those that no newer version wrote."""
    for problem in problems:
        done = "Not read" if problem.reason == NEWER else f"Set aside into {folder.name}/rejected"
        print(f"{done}: {problem}")
    set_aside(folder, [problem for problem in problems if problem.reason != NEWER])


def _look_here(study: Study, records: list[Record], jobs: Sequence[Job]) -> list[str]:
    """Refuse what this machine cannot train, or may not add to; what is unusual about it."""
    for job in jobs:
        if job.notebook == TRAIN:
            check_memory(job.sweep, job.device)
    machine, heeded = describe_machine("cpu", "CPU:0"), recorded_environment()
    own = {sweep.settings.digest for sweep in study.sweeps()}
    trials = [record for record in records if record.settings.digest in own]
    kind = study.backend, study.threads
    ceilings, rounds = read_ceilings(study.ceilings)[0], read_rounds(study.rounds)[0]
    measured: list[Measured] = [*ceilings, *rounds]
    alike = [one for one in measured if (one.backend, one.threads) == kind]
    versions = installed_versions(study.backend)
    check_alike(study, [*trials, *alike], machine, heeded, versions)
    return announce(machine, study.threads)
