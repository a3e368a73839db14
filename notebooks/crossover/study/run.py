"""The front door: plan a study, let Snakemake run it, and report whatever there is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossover.files import StorageError, check_folder
from crossover.hardware.announce import announce
from crossover.hardware.machine import describe_machine, installed_versions
from crossover.hardware.variables import recorded_environment
from crossover.paths import PROJECT
from crossover.records.jsontext import NEWER
from crossover.records.limits import read_limits
from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.records.storage import read_records, set_aside
from crossover.study.alike import UnlikeError, check_alike, check_room
from crossover.study.configuration import configuration, explain
from crossover.study.copies import CopyError, copy_notebooks
from crossover.study.jobs import START_SECONDS, limits_seconds_of
from crossover.study.last import FILE, keep_settings, read_settings
from crossover.study.processes import Stopped, end_study, stoppable
from crossover.study.sites import Site, executor_of, sites
from crossover.study.slurm import SlurmError, queued
from crossover.study.state import report_state
from crossover.study.study import SeedError, Study, plan_text, sweep_device, sweep_seconds
from crossover.study.workflow import job_prefix, run_workflow
from crossover.training.memory import MemoryLimitError, check_memory
from crossover.words import counted


def main(words: list[str]) -> int:
    """Run a verb of ``PRESETS`` with NAME=value settings; return an exit code."""
    verb, *given = words or ["report"]
    try:
        config = configuration(verb, given)
        found = sites(config["study"], config["profile"], config["partitions"])
        planned = [next(site.study.sweeps(), None) for site in found]
    except ValueError as error:
        return _refuse(explain(error), 2)
    try:
        with stoppable(), FileLock(PROJECT / ".study.lock").acquire(timeout=0):
            return _run(verb, found, config) if any(planned) else _refuse("nothing to do", 2)
    except Stopped as stopped:
        end_study(str(PROJECT))
        return _refuse(
            "stopped; finished trials are kept: the same command goes on.", 128 + stopped.number
        )
    except (SeedError, MemoryLimitError, UnlikeError) as error:
        return _refuse(str(error), 2)
    except SlurmError as error:
        return _refuse(str(error), 5)
    except Timeout:
        return _refuse("another study runs in this folder: wait for it or stop it.", 3)
    except (StorageError, CopyError) as error:
        return _refuse(str(error), 4)
    except OSError as error:
        return _refuse(
            f"{error.strerror}: check the folder's permissions and the free space, "
            "then run the same command again.",
            4,
        )


def _refuse(sentence: str, code: int) -> int:
    print(f"crossover: {sentence}", file=sys.stderr)
    return code


def _run(verb: str, found: list[Site], config: dict[str, Any]) -> int:
    folder, profile = PROJECT / config["study"]["folder"], config["profile"]
    on_slurm, extra = executor_of(profile) == "slurm", verb in ("explain", "map")
    if on_slurm and " " in f"{PROJECT}{sys.executable}":
        return _refuse("SLURM's jobs start in no folder with a space: move the project.", 5)
    if on_slurm and not config["partial"] and (left := queued(job_prefix(folder))):
        return _refuse(
            f"SLURM's queue still holds {counted(len(left), 'job')} of this study: wait, or cancel "
            f"with 'scancel {' '.join(left[:20])}'.",
            3,
        )
    if ended := end_study(str(PROJECT)):
        processes = counted(ended, "process", "processes")
        print(f"Ended {processes} that a killed run had left behind.", flush=True)
    jobs = _jobs(folder, found, config)
    if not extra and not config["partial"]:
        keep_settings(config)
    if jobs and on_slurm:
        logs = folder.relative_to(PROJECT) / "logs"
        print(f"Watch with 'squeue --me'; notebooks in {logs}, jobs' output in {logs / 'slurm'}.")
    code = (
        run_workflow(folder, _workflow_plan(found, jobs, config), profile, "sweeps") if jobs else 0
    )
    left = _left(found, config) if jobs else []
    if left:
        print("\nNot everything was trained; reporting what is recorded.", flush=True)
    if extra:  # Changes are shown in the report of a study.
        found, config = _last_study(folder)
    reported = run_workflow(folder, _workflow_plan(found, {}, config), "local", "report")
    if config["notebooks"] and not config["partial"]:
        count = copy_notebooks(folder / "notebooks", config["notebooks"])
        print(f"Copied {counted(count, 'executed notebook')} to {config['notebooks']}.")
    if not reported:
        print(f"Report: {Path(config['figures']) / 'report.html'}", flush=True)
    if left:
        return _refuse(
            f"still missing: {'; '.join(left)}. The same command goes on when the cause is mended.",
            code or 1,
        )
    return code or reported


def _left(found: list[Site], config: dict[str, Any]) -> list[str]:
    """What was planned and is not there, in words; whatever a step's exit code said."""
    left = (site.left(read_records(site.study.trials).records, config["limits"]) for site in found)
    return [words for words in left if words]


def _jobs(folder: Path, found: list[Site], config: dict[str, Any]) -> dict[str, Any]:
    """What is missing on all sites, by name.

    Sites take turns, so that none waits while the queue is full of another's jobs.
    """
    turns = zip_longest(*(_plan(site, config).items() for site in found))
    jobs = dict(item for turn in turns for item in turn if item)
    for name in jobs:  # A notebook without its records is no finished sweep.
        (folder / "notebooks" / f"{name}.ipynb").unlink(missing_ok=True)
    return jobs


def _last_study(folder: Path) -> tuple[list[Site], dict[str, Any]]:
    """The study that was last reported from a folder; the default one where no settings tell."""
    if config := read_settings(folder / FILE):
        with suppress(ValueError):
            return sites(config["study"], config["profile"], config["partitions"]), config
    config = configuration("report", [])
    return sites(config["study"], config["profile"], config["partitions"]), config


def _workflow_plan(
    found: list[Site], jobs: dict[str, Any], config: dict[str, Any]
) -> dict[str, Any]:
    """What the Snakefile reads."""
    folder = PROJECT / config["study"]["folder"]
    plan = {
        "studies": [site.study.model_dump() for site in found],
        "jobs": jobs,
        "state": report_state(folder),
    }
    return plan | {name: config[name] for name in ("figures", "tables", "quick")}


def _plan(site: Site, config: dict[str, Any]) -> dict[str, Any]:
    """Print what is missing on one site and return its jobs; read its records once."""
    trials = site.study.trials
    check_folder(trials)
    loaded = read_records(trials)
    for problem in loaded.problems:
        print(f"{'Not read' if problem.reason == NEWER else 'Set aside'}: {problem}")
    set_aside(trials, [each for each in loaded.problems if each.reason != NEWER])
    site.study.check_seed(loaded.records)
    if config["partial"]:
        left, place = site.left(loaded.records, config["limits"]), config["study"]["folder"]
        state = f"{left} missing" if left else "all trials recorded"
        print(f"Study in {place}: {state}; nothing is trained.", flush=True)
        return {}
    own = site.study.own(loaded.records)
    missing = site.study.missing(own)
    limits = site.study.missing_limits() if config["limits"] else {}
    # Elsewhere each job looks at its own machine.
    here = executor_of(config["profile"]) == "local" and bool(missing or limits)
    unusual = _look_here(site.study, own, missing) if here else []
    check_room(site.study, own, missing, loaded.records)
    seconds = sweep_seconds(missing.values(), own)
    measuring = sum(map(limits_seconds_of, limits.values()))
    total = sum(seconds) + measuring + START_SECONDS * (len(missing) + len(limits))
    print(plan_text(site.study, missing, len(limits), total), flush=True)
    for line in unusual:
        print(line, flush=True)
    return site.jobs(missing, seconds) | site.limits_jobs(limits)


def _look_here(
    study: Study, records: list[Record], missing: Mapping[str, SweepParameters]
) -> list[str]:
    """Refuse what this machine cannot train, or may not add to; what is unusual about it."""
    for sweep in missing.values():
        check_memory(sweep, sweep_device(sweep))
    machine, heeded = describe_machine("cpu", "CPU:0"), recorded_environment()
    own = {sweep.settings.digest for sweep in study.sweeps()}
    trials = [record for record in records if record.settings.digest in own]
    kind = study.backend, study.threads
    limits = [each for each in read_limits(study.limits)[0] if (each.backend, each.threads) == kind]
    versions = installed_versions(study.backend)
    check_alike(study, [*trials, *limits], machine, heeded, versions)
    return announce(machine, study.threads)
