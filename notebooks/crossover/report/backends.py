"""Backends side by side: this machine's same trainings, each backend a column."""

from __future__ import annotations

import pandas as pd

from crossover.analysis.merge import Merged
from crossover.report.tables import MISSING, number

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def side_by_side(merged: Merged, summary: pd.DataFrame, timing: str = "cold") -> pd.DataFrame:
    """Median seconds of each protocol, device and size, one column a backend.

    Parameters
    ----------
    merged : Merged
    summary : DataFrame
        What `crossover.analysis.summary.summarise` returns.
    timing : 'cold' or 'steady'

    Returns
    -------
    DataFrame
        Text; *fastest* names the backend where at least two were measured.
    """
    names = {machine: NAMES[backend] for backend, machine in merged.backends.items()}
    rows = summary[summary["machine"].isin(list(names))]
    rows = rows.assign(backend=rows["machine"].map(names))
    cells = ["protocol", "device", "parameters"]
    times = rows.pivot(index=cells, columns="backend", values=f"{timing}_seconds")
    times = times.reindex(columns=list(names.values()))
    both = times[times.notna().sum(axis=1) > 1]
    table = times.map(lambda value: number(value, ".2f"))
    table["fastest"] = both.idxmin(axis=1).reindex(times.index).fillna(MISSING)
    table = table.reset_index().rename_axis(columns=None)
    return table.assign(
        device=table["device"].str.upper(), parameters=table["parameters"].map("{:,}".format)
    )


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
    if len(here) < 2:
        return f"Only {here[0] if here else 'no backend'} was measured on this machine.{more}"
    return (
        f"The same trainings with {', '.join(here[:-1])} and {here[-1]}, each on its own: their "
        f"times are never mixed, and each has its own crossover.{more}"
    )
