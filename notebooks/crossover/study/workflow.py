"""Hand a plan to Snakemake: which notebooks it executes, and what the report is made of."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from crossover.errors import tell
from crossover.files import write_text
from crossover.paths import NOTEBOOKS, OWN_MODELS, PROJECT, REFERENCES, RUNS
from crossover.records.storage import trial_folders
from crossover.study.failures import failures, unexplained
from crossover.study.planner import Job
from crossover.study.processes import MARK, end_study
from crossover.study.sites import executor_of
from crossover.study.study import SHARED, Study

# What a report is made of beside records.
CODE = ("crossover/**/*.py", "crossover/**/*.mplstyle", "summary.ipynb", "template/*")


def workflow_plan(
    studies: Sequence[Study], jobs: Sequence[Job], config: Mapping[str, Any]
) -> dict[str, Any]:
    """What the Snakefile reads: all that it says of a job or of the report stands here."""
    folder, figures, tables = studies[0].folder, config["figures"], config["tables"]
    return {
        "folder": folder,
        "jobs": {job.name: _entry(job, number, len(jobs)) for number, job in enumerate(jobs, 1)},
        "report": {
            "mark": f"{folder}/notebooks/report-of-{Path(figures).name}.txt",
            "page": f"{figures}/report.html",
            "tables": [f"{tables}/{name}.csv" for name in ("summary", "crossover", "chart")],
            "parameters": json.dumps(summary_parameters(studies, config)),
            "studies": json.dumps([study.model_dump() for study in studies]),
            "state": _state(PROJECT / folder),
        },
    }


def _entry(job: Job, number: int, count: int) -> dict[str, Any]:
    return {
        "title": f"Job {number} of {count}: {job.title}",
        "notebook": f"notebooks/{job.notebook}",
        "executed": f"notebooks/{job.executed}",
        "kernel": job.kernel,
        "parameters": job.parameters,
        "priority": count - number + 1,
        "minutes": job.most_minutes,
        "cores": job.study.cores,
        "partition": job.study.partition or None,
    }


def summary_parameters(studies: Sequence[Study], config: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the summary notebook, which speaks of the machine with most trials."""
    study, most = studies[0], max(studies, key=lambda one: one.trial_count)
    return study.model_dump(include=SHARED | {"widths", "protocols", "repeats"}) | {
        "records": str(PROJECT / study.folder / "trials"),
        "ceilings": str(most.ceilings.resolve()),
        "rounds": str(most.rounds.resolve()),
        "own": str(OWN_MODELS),
        "devices": sorted({device for one in studies for device in one.devices}),
        "figure_folder": str(PROJECT / config["figures"]),
        "table_folder": str(PROJECT / config["tables"]),
        "quick": config["quick"],
        **{name: config.get(name) or None for name in ("cpu_price", "gpu_price")},
    }


def _state(folder: Path) -> str:
    """Digest of what a report is made of: it is made anew where that has changed."""
    text = "".join(f"{part}\n" for part in _parts(folder))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parts(folder: Path) -> Iterator[str]:
    """A study's records, the references and the report's own code.

    Records count by name, size and time of change, whichever way that moves; code by its text,
    which a checkout gives other times.
    """
    kinds = ("trials", "ceilings", "rounds")
    records = [place for kind in kinds for place in trial_folders(folder / kind)]
    records += trial_folders(OWN_MODELS)
    for place in [*records, *trial_folders(REFERENCES)]:
        for path in sorted(place.iterdir()):
            if not path.is_dir() and not path.name.startswith("."):
                about = path.lstat()
                yield f"{path} {about.st_size} {about.st_mtime_ns}"
        yield f"{place}/rejected {sorted(path.name for path in place.glob('rejected/*'))}"
    for path in sorted(path for pattern in CODE for path in NOTEBOOKS.glob(pattern)):
        yield f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def job_prefix(folder: Path) -> str:
    """Names of a study's jobs in SLURM's queue start with this."""
    return f"crossover-{folder.name}"


def run_workflow(folder: Path, plan: dict[str, Any], profile: str, target: str) -> int:
    """Run a plan up to a target as a profile says and return Snakemake's exit code.

    Messages go to ``messages-<target>.log`` in the study's folder; what failed is told in
    sentences.
    """
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
    if executor_of(profile) == "slurm":
        command += ["--slurm-logdir", str(folder / "logs" / "slurm")]
        command += ["--slurm-jobname-prefix", job_prefix(folder)]
    command += ["--", target]
    log, before = folder / f"messages-{target}.log", _job_logs(folder)
    with log.open("w", encoding="utf-8") as messages:
        code = execute(command, messages)
    if code:
        jobs = [path for path, about in _job_logs(folder).items() if before.get(path) != about]
        texts = [
            path.read_text(encoding="utf-8", errors="replace")
            for path in [log, *jobs]
            if path.exists()  # A network disk's may vanish.
        ]
        tell_failures("\n".join(texts), log)
    return code


def tell_failures(messages: str, log: Path) -> None:
    """Tell what failed, by its messages in sentences, and where all of them are."""
    for line in failures(messages) or [unexplained(log.parent)]:
        tell(line)
    tell(f"all messages: {os.path.relpath(log, PROJECT)}")


def execute(command: list[str], messages: TextIO) -> int:
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


def _job_logs(folder: Path) -> dict[Path, tuple[int, int]]:
    """The logs of a cluster's jobs, with what changes when one is written to."""
    stats = {path: path.stat() for path in folder.glob("logs/slurm/**/*.log")}
    return {path: (status.st_size, status.st_mtime_ns) for path, status in stats.items()}
