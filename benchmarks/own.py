"""The published perceptron measured as anybody's own model, beside the study's own trials of it.

``python benchmarks/own.py [pairs] [backend]`` takes turns: a repeat of ``own.ipynb`` on
``examples/perceptron.py``, then a sweep of ``train.ipynb`` at its width that evaluates nothing
held out, each in processes of their own. It prints the seconds of a step of both, the median of
their ratios within a pair, and its limits.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crossover.analysis.order import kind_name, median_limits
from crossover.paths import NOTEBOOKS
from crossover.records.own import read_own
from crossover.records.storage import read_records

WIDTH, EPOCHS = 128, 6


def execute(notebook: str, parameters: dict[str, Any], folder: Path) -> None:
    """Execute a notebook with the CPU's kernel by papermill."""
    given = json.dumps(parameters | {"output": str(folder)})
    subprocess.run(
        [sys.executable, "-m", "papermill", notebook, str(folder.with_suffix(".ipynb")),
         "--kernel", "crossover-cpu", "--no-progress-bar", "--log-level", "ERROR",
         "--parameters_yaml", given],
        cwd=NOTEBOOKS, check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def own_step(folder: Path, backend: str, pair: int) -> float:
    """Seconds of a step of the example, of one repeat."""
    execute("own.ipynb", {"backend": backend, "repeats": 1, "seconds": 10.0}, folder / f"own{pair}")
    step = read_own(folder / f"own{pair}")[0][0].batches[0].step_seconds
    assert step is not None
    return step


def study_step(folder: Path, backend: str, pair: int) -> float:
    """Seconds of a published step at the example's width, of one trial: its median later epoch."""
    asked = {"backend": backend, "widths": [WIDTH], "epochs": EPOCHS, "validation": False}
    execute("train.ipynb", asked, folder / f"study{pair}")
    record = read_records(folder / f"study{pair}").records[0]
    return statistics.median(record.phases.epochs[1:]) / record.settings.steps


def main(pairs: int, backend: str) -> None:
    """Take turns, swapping places each time, and print what came of it."""
    ways: list[Callable[[Path, str, int], float]] = [own_step, study_step]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(1, pairs + 1):
            turn = ways if pair % 2 else ways[::-1]
            taken = {way.__name__: way(Path(folder), backend, pair) for way in turn}
            rows.append([taken["own_step"], taken["study_step"]])
            own, study = (1e6 * seconds for seconds in rows[-1])
            print(f"pair {pair}: own {own:,.0f} µs, study {study:,.0f} µs, ratio {own / study:.3f}",
                  flush=True)  # fmt: skip
    both = np.array(rows)
    ratios = both[:, 0] / both[:, 1]
    low, high = median_limits(ratios)
    for name, steps in zip(("own", "study"), both.T * 1e6, strict=True):
        print(
            f"{name}: median {np.median(steps):,.0f} µs, {steps.min():,.0f} to {steps.max():,.0f}"
        )
    print(f"own / study: {np.median(ratios):.3f}, {low:.3f} to {high:.3f} ({kind_name(pairs)})")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 5,
        sys.argv[2] if len(sys.argv) > 2 else "tensorflow",
    )
