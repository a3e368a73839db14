"""The front door: plan a study, let Snakemake run it, and report whatever there is."""

from __future__ import annotations

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossover.files import StorageError, check_folder, write_text
from crossover.paths import PROJECT
from crossover.records.storage import NEWER, read_records, set_aside
from crossover.study.configuration import configuration, explain
from crossover.study.copies import CopyError, copy_notebooks
from crossover.study.processes import Stopped, end_study, stoppable
from crossover.study.sites import Site, executor_of, sites
from crossover.study.slurm import SlurmError, queued
from crossover.study.study import SeedError, plan_text, sweep_seconds
from crossover.study.workflow import job_prefix, run_workflow


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
    except SeedError as error:
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
    if on_slurm and (left := queued(job_prefix(folder))):
        return _refuse(
            f"{len(left)} jobs of this study are still in SLURM's queue: wait for them, or cancel "
            f"them with 'scancel {' '.join(left[:20])}'.",
            3,
        )
    if ended := end_study(str(PROJECT)):
        print(f"Ended {ended} processes that a killed run had left behind.", flush=True)
    jobs = _jobs(folder, found, config)
    last = folder / "settings.json"
    if not extra:
        write_text(last, json.dumps(config | {"partial": False}, indent=1))
    if jobs and on_slurm:
        logs = folder.relative_to(PROJECT) / "logs"
        print(f"Watch with 'squeue --me'; notebooks in {logs}, jobs' output in {logs / 'slurm'}.")
    plan = _workflow_plan(found, jobs, config)
    code = run_workflow(folder, plan, profile, "sweeps" if extra else "report")
    if code and jobs:
        print("\nNot everything was trained; reporting what is recorded.", flush=True)
    if extra:  # Changes are shown in the report of a study.
        found, config = _last_study(last)
    if extra or (code and jobs):
        run_workflow(folder, _workflow_plan(found, {}, config), "local", "report")
    return _finish(folder, config, code)


def _jobs(folder: Path, found: list[Site], config: dict[str, Any]) -> dict[str, Any]:
    """What is missing on all sites, by name.

    Sites take turns, so that none waits while the queue is full of another's jobs.
    """
    turns = zip_longest(*(_plan(site, config).items() for site in found))
    jobs = dict(item for turn in turns for item in turn if item)
    for name in jobs:  # A notebook without its records is no finished sweep.
        (folder / "notebooks" / f"{name}.ipynb").unlink(missing_ok=True)
    return jobs


def _last_study(last: Path) -> tuple[list[Site], dict[str, Any]]:
    """The study that was reported last; the default one where no settings tell."""
    try:
        config = json.loads(last.read_text(encoding="utf-8"))
        return sites(config["study"], config["profile"], config["partitions"]), config
    except (OSError, ValueError, KeyError, TypeError):
        config = configuration("report", [])
        return sites(config["study"], config["profile"], config["partitions"]), config


def _finish(folder: Path, config: dict[str, Any], code: int) -> int:
    """Copy the executed notebooks if they are wanted elsewhere, and say where the report is."""
    if config["notebooks"]:
        count = copy_notebooks(folder / "notebooks", config["notebooks"])
        print(f"Copied {count} executed notebooks to {config['notebooks']}.")
    if not code:
        print(f"Report: {Path(config['figures']) / 'report.html'}")
    return code


def _workflow_plan(
    found: list[Site], jobs: dict[str, Any], config: dict[str, Any]
) -> dict[str, Any]:
    """What the Snakefile reads."""
    plan = {"studies": [site.study.model_dump() for site in found], "jobs": jobs}
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
    missing = site.study.missing(loaded.records)
    seconds = sweep_seconds(missing.values(), loaded.records)
    lacking = sum(len(sweep.widths) for sweep in missing.values())
    plan = f"{lacking} trials are missing; nothing is trained."
    print(plan if config["partial"] else plan_text(site.study, missing, sum(seconds)), flush=True)
    if config["partial"]:
        return {}
    return site.jobs(missing, seconds) | (site.limits_jobs() if config["limits"] else {})
