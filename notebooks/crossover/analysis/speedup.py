"""Speed-ups: the summary with both devices side by side."""

import pandas as pd

COMPARISON = ["machine", "backend", "protocol", "width"]


def speedups(summary: pd.DataFrame) -> pd.DataFrame:
    """Put CPU and GPU of each width of a summary in one row; a missing device stays NaN.

    One row for each machine, backend, protocol and width: ``parameters``,
    ``{cpu,gpu}_{cold,steady}_seconds`` (median seconds), ``{cold,steady}_speedup`` (CPU time / GPU
    time) and ``{cpu,gpu}_accuracy`` (median fraction).
    """
    rows = summary.set_index([*COMPARISON, "device"])
    table = summary.groupby(COMPARISON)[["parameters"]].first()
    for name in ["cold_seconds", "steady_seconds", "accuracy"]:
        table[[f"cpu_{name}", f"gpu_{name}"]] = (
            rows[name].unstack("device").reindex(columns=["cpu", "gpu"])
        )
    for timing in ["cold", "steady"]:
        table[f"{timing}_speedup"] = table[f"cpu_{timing}_seconds"] / table[f"gpu_{timing}_seconds"]
    return table.reset_index()


def pair_speedups(summary: pd.DataFrame, cpu: str, gpu: str) -> pd.DataFrame:
    """`speedups` of one machine's CPU over one machine's GPU, under the CPU's machine's name."""
    wanted = summary["device"].map({"cpu": cpu, "gpu": gpu})
    return speedups(summary[summary["machine"] == wanted].assign(machine=cpu))
