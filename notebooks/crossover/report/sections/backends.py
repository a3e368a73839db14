"""Backends side by side: this machine's same trainings, each backend a column."""

import pandas as pd

from crossover.analysis.merge import Merged
from crossover.records.backends import BACKENDS
from crossover.report import htmltable, text
from crossover.report.columns import DEVICE, PARAMETERS, PROTOCOL, Column, numbers, words
from crossover.report.results import Results

NAMES = {backend: facts.name for backend, facts in BACKENDS.items()}
CELL = ["protocol", "device", "parameters"]


def show(results: Results) -> None:
    """Show which backends were measured and, from two on, their times and crossovers."""
    merged = results.merged
    if len(merged.backends) < 2:
        text.not_measured(measured(merged))
    else:
        text.show(measured(merged))
        for timing in ("cold", "steady"):
            times = side_by_side(merged, results.cells, timing)
            htmltable.show(times, f"Seconds, {timing}", columns_of(merged))
        text.show(crossing_lines(merged, results.crossings))


def side_by_side(merged: Merged, cells: pd.DataFrame, timing: str) -> pd.DataFrame:
    """Median seconds of each protocol, device and size, one column a backend, and the fastest."""
    names = {machine: NAMES[backend] for backend, machine in merged.backends.items()}
    rows = cells[cells["machine"].isin(list(names))]
    times = rows.pivot(index=CELL, columns="machine", values=f"{timing}_seconds")
    times = times.reindex(columns=list(names)).rename(columns=names)
    fastest = times[times.notna().sum(axis=1) > 1].idxmin(axis=1)
    return times.assign(fastest=fastest).reset_index()


def columns_of(merged: Merged) -> list[Column]:
    """The columns of what stands side by side."""
    names = [NAMES[backend] for backend in merged.backends]
    return [PROTOCOL, DEVICE, PARAMETERS, *numbers(names, ".2f"), *words("fastest")]


def crossing_lines(merged: Merged, crossings: pd.DataFrame) -> str:
    """Each backend's own crossovers on this machine, as a Markdown list; empty without any."""
    lines = []
    for backend, machine in merged.backends.items():
        own = (crossings[["cpu_machine", "gpu_machine"]] == machine).all(axis=1)
        for _, row in crossings[own & (crossings["status"] != "missing device")].iterrows():
            what = f"{NAMES[backend]}, {row['protocol']}, {row['timing']}"
            lines.append(f"- {what}: {row['sentence']}")
    return "\n".join(lines)


def measured(merged: Merged) -> str:
    """Which backends were measured here, and how to add one."""
    here = [NAMES[backend] for backend in merged.backends]
    lacking = [backend for backend in NAMES if backend not in merged.backends]
    more = f" `make report BACKEND={lacking[0]}` adds {NAMES[lacking[0]]}." if lacking else ""
    if not here:
        return "Any backend: `make report` trains with TensorFlow."
    if len(here) == 1:
        return f"Other backends than {here[0]}:{more}"
    return (
        f"The same trainings with {', '.join(here[:-1])} and {here[-1]}, each on its own: their "
        f"times are never mixed, and each has its own crossover.{more}"
    )
