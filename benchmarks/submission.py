"""Seconds that handing one more sweep to SLURM takes; after ``tests/slurm/cluster.sh start``.

A stand-in for papermill sleeps, so that nothing trains: only Snakemake and sbatch work.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crossover.paths import PROJECT
from crossover.study.planner import lacking
from crossover.study.slurm import queued
from crossover.study.study import Study
from crossover.study.workflow import workflow_plan

NAME, SWEEPS, PATIENCE_SECONDS = "crossover-submission", 100, 200


def main() -> None:
    """Submit many sweeps, print the seconds of each, and cancel them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stand_in = folder / "papermill"
        stand_in.write_text("#!/bin/sh\nsleep 600\n")
        stand_in.chmod(0o755)
        study = Study(
            folder=name, widths=[4], devices=["cpu"], protocols=["published"], repeats=SWEEPS
        )
        config = {"quick": False, "figures": name, "tables": name}
        plan = workflow_plan([study], lacking(study, [], ["trials"]), config)
        (folder / "settings.json").write_text(json.dumps(plan))
        command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"]
        command += ["--workflow-profile", "workflow/profiles/slurm", "--nolock"]
        command += ["--slurm-jobname-prefix", NAME]
        command += ["--scheduler", "greedy", "--configfile", str(folder / "settings.json")]
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        with subprocess.Popen(
            command, cwd=PROJECT, env=os.environ | {"PATH": path}, stderr=subprocess.DEVNULL
        ) as running:
            marks: dict[int, float] = {}
            until = time.perf_counter() + PATIENCE_SECONDS
            while max(marks, default=0) < SWEEPS and time.perf_counter() < until:
                marks.setdefault(len(queued(NAME)), time.perf_counter())
                time.sleep(0.05)
            running.send_signal(signal.SIGINT)  # Snakemake cancels its jobs on no other.
    first, last = min(count for count in marks if count), max(marks)
    each = (marks[last] - marks[first]) / (last - first)
    print(f"{last} sweeps queued, {each:.3f} s each")


if __name__ == "__main__":
    main()
