"""Speed-ups: the summary with both devices side by side."""

import math
from typing import NamedTuple

import pandas as pd

from crossover.analysis.summary import MEASURES, together

COMPARISON = ["machine", "backend", "protocol", "width"]


def speedups(summary: pd.DataFrame) -> pd.DataFrame:
    """Put CPU and GPU of each width of a summary in one row; a missing device stays NaN.

    One row for each machine, backend, protocol and width: ``parameters``,
    ``{cpu,gpu}_{cold,steady}_seconds`` (median seconds), ``{cold,steady}_speedup`` (CPU time / GPU
    time) and ``{cpu,gpu}_accuracy`` (median fraction); each with ``_flags``, what is to be said
    against it.
    """
    rows = summary.set_index([*COMPARISON, "device"])
    table = summary.groupby(COMPARISON)[["parameters"]].first()
    for name in MEASURES:
        for column, absent in ((name, float("nan")), (f"{name}_flags", "")):
            both = rows[column].unstack("device").reindex(columns=["cpu", "gpu"])
            table[[f"cpu_{column}", f"gpu_{column}"]] = both.where(both.notna(), absent)
    for timing in ["cold", "steady"]:
        name = f"{timing}_seconds"
        table[f"{timing}_speedup"] = table[f"cpu_{name}"] / table[f"gpu_{name}"]
        flags = zip(table[f"cpu_{name}_flags"], table[f"gpu_{name}_flags"], strict=True)
        table[f"{timing}_speedup_flags"] = list(map(together, flags))
    return table.reset_index()


def pair_speedups(summary: pd.DataFrame, cpu: str, gpu: str) -> pd.DataFrame:
    """`speedups` of one machine's CPU over one machine's GPU, under the CPU's machine's name."""
    wanted = summary["device"].map({"cpu": cpu, "gpu": gpu})
    return speedups(summary[summary["machine"] == wanted].assign(machine=cpu))


class Once(NamedTuple):
    """What the trainings of a comparison cost once, and how many epochs make up for it.

    ``cpu`` and ``gpu`` are the least and the most seconds over the sizes of which that is known.
    At the largest of them, ``parameters``, ``share`` is that of the GPU's whole training,
    ``speedup`` the CPU's time an epoch / the GPU's, and from ``epochs`` on, at least 1, the GPU is
    faster: None where it is no faster an epoch.
    """

    cpu: tuple[float, float]
    gpu: tuple[float, float]
    parameters: int
    share: float
    speedup: float
    epochs: int | None


def paid_once(trials: pd.DataFrame) -> Once | None:
    """What one CPU's and one GPU's trainings in one protocol cost once; None where unknown."""
    names = ["start_seconds", "cold_seconds", "epoch"]
    timed = trials.assign(epoch=trials["steady_seconds"] / trials["epochs"]).dropna(subset=names)
    if timed["device"].nunique() < 2:
        return None
    medians = timed.groupby(["parameters", "device"])[names].median()
    both = medians.unstack("device").dropna()
    if both.empty:
        return None
    starts = both["start_seconds"]
    once, an_epoch, whole = (
        {device: float(both[name, device].iloc[-1]) for device in ("cpu", "gpu")}
        for name in ("start_seconds", "epoch", "cold_seconds")
    )
    later, gained = once["gpu"] - once["cpu"], an_epoch["cpu"] - an_epoch["gpu"]
    cpu, gpu = ((float(starts[name].min()), float(starts[name].max())) for name in ("cpu", "gpu"))
    return Once(
        cpu=cpu,
        gpu=gpu,
        parameters=int(both.index[-1]),
        share=once["gpu"] / whole["gpu"],
        speedup=an_epoch["cpu"] / an_epoch["gpu"],
        epochs=max(1, math.floor(later / gained) + 1) if gained > 0 else None,
    )
