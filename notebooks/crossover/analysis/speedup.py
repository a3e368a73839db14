"""Speed-ups: the summary with both devices side by side."""

from __future__ import annotations

import pandas as pd

COMPARISON = ["machine", "backend", "protocol", "width"]
DEVICES = ["cpu", "gpu"]


def speedups(summary: pd.DataFrame) -> pd.DataFrame:
    """Put CPU and GPU of each width in one row; a missing device stays NaN.

    Parameters
    ----------
    summary : DataFrame
        What `crossover.analysis.summary.summarise` returns.

    Returns
    -------
    DataFrame
        One row for each machine, backend, protocol and width: ``parameters``,
        ``{cpu,gpu}_{cold,steady}_seconds`` (median seconds),
        ``{cold,steady}_speedup`` (CPU time / GPU time) and
        ``{cpu,gpu}_accuracy`` (median fraction).
    """
    rows = summary.set_index([*COMPARISON, "device"])
    table = summary.groupby(COMPARISON)[["parameters"]].first()
    for timing in ["cold", "steady"]:
        name = f"{timing}_seconds"
        times = rows[name].unstack("device").reindex(columns=DEVICES)
        table[f"cpu_{name}"], table[f"gpu_{name}"] = times["cpu"], times["gpu"]
        table[f"{timing}_speedup"] = times["cpu"] / times["gpu"]
    accuracy = rows["accuracy"].unstack("device").reindex(columns=DEVICES)
    table["cpu_accuracy"], table["gpu_accuracy"] = accuracy["cpu"], accuracy["gpu"]
    return table.reset_index()
