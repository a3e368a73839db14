"""Hand a plan to Snakemake, and tell in sentences what failed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TextIO

from crossover.files import LEAST_FREE_BYTES, write_text
from crossover.paths import PROJECT, RUNS
from crossover.study.processes import MARK, end_study
from crossover.study.sites import executor_of
from crossover.words import printable

DIED = "a training's process was killed, by someone or for want of memory: run it again."
DIED_WITH_FLAGS = (
    "a training's process was killed, by someone, for want of memory, or by a flag in XLA_FLAGS "
    "that this XLA does not know: unset that, then run it again."
)
END = "At least one job did not complete"
FULL = "the disk is full: make room, then run the same command again."


def job_prefix(folder: Path) -> str:
    """Names of a study's jobs in SLURM's queue start with this."""
    return f"crossover-{folder.name}"


def run_workflow(folder: Path, plan: dict[str, Any], profile: str, *targets: str) -> int:
    """Run a plan up to its targets as a profile says and return Snakemake's exit code.

    Messages go to ``messages-<target>.log`` in the study's folder; what failed
    is told in sentences.
    """
    executor = executor_of(profile)
    settings = folder / "workflow.json"
    write_text(settings, json.dumps(plan, indent=1))
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"),
        *("--workflow-profile", f"workflow/profiles/{profile}"),
        *("--nolock", "--rerun-incomplete", "--keep-going", "--scheduler", "greedy"),
        *("--rerun-triggers", "mtime", "params"),
        *("--quiet", "rules", "progress", "host", "reason"),
        *("--configfile", str(settings)),
    ]
    if executor == "slurm":
        command += ["--slurm-logdir", str(folder / "logs" / "slurm")]
        command += ["--slurm-jobname-prefix", job_prefix(folder)]
    command += ["--", *targets]
    log, before = folder / f"messages-{targets[-1]}.log", _job_logs(folder)
    with log.open("w", encoding="utf-8") as messages:
        code = _execute(command, messages)
    if code:
        jobs = [path for path, about in _job_logs(folder).items() if before.get(path) != about]
        texts = [
            path.read_text(encoding="utf-8", errors="replace")
            for path in [log, *jobs]
            if path.exists()
        ]
        for line in failures("\n".join(texts)) or [_unexplained(folder)]:
            print(f"crossover: {line}", file=sys.stderr)
        print(f"crossover: all messages: {os.path.relpath(log, PROJECT)}", file=sys.stderr)
    return code


def _execute(command: list[str], messages: TextIO) -> int:
    """Run a command apart from this terminal's Ctrl-C, and leave no process of it behind."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, MARK: str(PROJECT)}
    environment.setdefault("XDG_CACHE_HOME", str(RUNS / "cache"))
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stderr=messages, start_new_session=True
    )
    code = process.wait()
    end_study(str(PROJECT))
    return code if code >= 0 else 1


def _unexplained(folder: Path) -> str:
    """Why a step may have ended without a sentence; a full disk swallows messages too."""
    if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        return FULL
    return "a step was ended without a message: run the same command again."


def _job_logs(folder: Path) -> dict[Path, tuple[int, int]]:
    """The logs of a cluster's jobs, with what changes when one is written to."""
    found = {path: path.stat() for path in folder.glob("logs/slurm/**/*.log")}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in found.items()}


def failures(messages: str) -> list[str]:
    """The sentences of the errors in a log, each once, at most five."""
    found = re.findall(
        r"^(?:crossover|SystemExit|(?:[\w.]+\.)?\w+Error): (.+)$", messages, re.MULTILINE
    )
    if not found:  # What Snakemake says of its own troubles: a heading, then the matter.
        told = re.findall(r"^\w*(?:Error|Exception)\b.*:\n(.+)$", messages, re.MULTILINE)
        found = [f"a step failed: {line.strip()}" for line in told if not line.startswith(END)]
    return list(dict.fromkeys(map(_told, found)))[:5]


def _told(line: str) -> str:
    """A log's sentence with the one thing to do, where the library that wrote it gives none."""
    if "No space left on device" in line:
        return FULL
    if line == "Kernel died":
        return DIED_WITH_FLAGS if os.environ.get("XLA_FLAGS") else DIED
    return printable(line, 400)
