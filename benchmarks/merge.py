"""Seconds and peak memory of loading, merging and summarising many machines' trials."""

import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from crossover.analysis.summary import summarise
from crossover.problem import parameter_count  # fmt: skip
from crossover.records.frame import to_frame
from crossover.records.record import (  # fmt: skip
    Code,
    Conditions,
    Machine,
    Phases,
    Record,
    Software,
)
from crossover.records.reference import read_reference
from crossover.records.settings import Settings  # fmt: skip

WIDTHS = [2**power for power in range(2, 12)]
REPEATS = 5
TRIALS = 2 * len(WIDTHS) * REPEATS


def record(machine: int, device: str, width: int, repeat: int, epoch: float) -> Record:
    """One made-up trial."""
    return Record.model_validate(
        {
            "settings": Settings(), "device": device, "device_name": f"{device} {machine}",
            "width": width, "parameters": parameter_count(width), "repeat": repeat,
            "seed": repeat, "position": 1, "started": datetime(2024, 1, 1, tzinfo=UTC),
            "phases": Phases(runtime_start=3.0, warm_up=2.0, data=1.0, build=0.1,
                             epochs=[epoch * 1.5] + [epoch] * 9, fit=epoch * 10.5, evaluate=0.3),
            "test_accuracy": 0.97, "test_loss": 0.1, "history": {"loss": [0.1] * 10},
            "machine": Machine(cpu_model=f"machine {machine:04}"), "software": Software(),
            "conditions": Conditions(steal_fraction=0.0), "code": Code(version="0", digest="0"),
        }
    )  # fmt: skip


def write(folder: Path, machines: int) -> None:
    """Write one file of JSON lines a machine."""
    rng = np.random.default_rng(0)
    for machine in range(machines):
        records = (
            record(machine, device, width, repeat, float(rng.lognormal(1, 0.1)))
            for device in ("cpu", "gpu")
            for width in WIDTHS
            for repeat in range(1, REPEATS + 1)
        )
        lines = "".join(f"{made.model_dump_json()}\n" for made in records)
        (folder / f"{machine:04}.jsonl").write_text(lines)


def measure(folder: Path, machines: int) -> dict[str, object]:
    """Time each stage for the first ``machines`` files."""
    marks = [time.perf_counter()]
    paths = sorted(folder.glob("*.jsonl"))[:machines]
    loaded = [(path.stem, read_reference(path).records) for path in paths]
    frames = [to_frame(records, name) for name, records in loaded]
    marks.append(time.perf_counter())
    trials = pd.concat(frames, ignore_index=True)
    marks.append(time.perf_counter())
    summary = summarise(trials)
    marks.append(time.perf_counter())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    stages = dict(zip(["load s", "merge s", "summarise s"], np.diff(marks).round(2), strict=True))
    return {"trials": len(trials), "cells": len(summary), **stages, "peak GiB": round(peak, 2)}


def main() -> None:
    """Print the table for 10,000 and 100,000 trials."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), 100_000 // TRIALS)
        rows = [measure(Path(name), trials // TRIALS) for trials in (10_000, 100_000)]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
