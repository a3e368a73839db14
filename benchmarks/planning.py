"""Seconds to plan a study of 100,000 trials: reading records, finding what is missing, the DAG."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from merge import record

from crossover.paths import PROJECT
from crossover.problem import WIDTHS
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records, record_name
from crossover.study.planner import Job, lacking
from crossover.study.study import Study
from crossover.study.workflow import workflow_plan

PROTOCOLS, DEVICES = ["published", "tuned"], ["cpu", "gpu"]
A_REPEAT = len(WIDTHS) * len(PROTOCOLS) * len(DEVICES)


def write_trials(study: Study) -> None:
    """Write every second repeat's records: half of the study is trained."""
    rng = np.random.default_rng(0)
    study.trials.mkdir(parents=True)
    for protocol in PROTOCOLS:
        settings = protocol_settings(protocol)
        for device in DEVICES:
            for width in WIDTHS:
                for repeat in range(1, study.repeats + 1, 2):
                    made = record(0, device, width, repeat, float(rng.lognormal(1, 0.1)))
                    made = made.model_copy(update={"settings": settings})
                    (study.trials / record_name(made)).write_text(made.model_dump_json())


def dry_run(folder: Path, study: Study, jobs: list[Job]) -> None:
    """Let Snakemake build the graph of the plan, as ``make report`` does, and run nothing."""
    places = {name: str(folder / name) for name in ("figures", "tables")}
    settings = folder / "workflow.json"
    settings.write_text(json.dumps(workflow_plan([study], jobs, places | {"quick": False})))
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile"]
    command += ["--cores", "1", "--dry-run", "--quiet", "all", "--nolock"]
    command += ["--rerun-triggers", "mtime", "params", "--configfile", str(settings)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)


def measure(folder: Path, trials: int) -> dict[str, float]:
    """Time each stage of planning a half-trained study."""
    repeats = trials // A_REPEAT
    study = Study(
        folder=str(folder), widths=[*WIDTHS], devices=DEVICES, protocols=PROTOCOLS, repeats=repeats
    )
    write_trials(study)
    marks = [time.perf_counter()]
    records = read_records(study.trials).records
    marks.append(time.perf_counter())
    jobs = lacking(study, study.own(records), ["trials"])
    marks.append(time.perf_counter())
    dry_run(folder, study, jobs)
    marks.append(time.perf_counter())
    stages = dict(zip(["read s", "plan s", "DAG s"], np.diff(marks), strict=True))
    total = {"total s": marks[-1] - marks[0]}
    return {"trials": study.trial_count, "sweeps": len(jobs), **stages, **total}


def main() -> None:
    """Print the table for 1,000, 10,000 and 100,000 trials."""
    rows = []
    for trials in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as name:
            rows.append(measure(Path(name), trials))
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
