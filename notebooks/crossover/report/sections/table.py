"""The table: this machine's seconds and accuracy, in the published table's shape beside it."""

from functools import partial

import pandas as pd

from crossover.analysis.merge import Merged
from crossover.records import published
from crossover.report import htmltable, text
from crossover.report.columns import Column, Row, written
from crossover.report.results import Results
from crossover.words import counted


def show(results: Results) -> None:
    """Show both tables side by side, and how the CPUs compare."""
    merged = results.merged
    length = counted(results.asked.epochs, "epoch")
    caption = f"Seconds of a training (cold, {length}) and test accuracy, published protocol"
    htmltable.show(beside_published(results.ratios, merged.own, merged.gpu_machine), caption)
    text.show(against_published(merged, results.cells))


def beside_published(ratios: pd.DataFrame, cpu: str, gpu: str) -> pd.DataFrame:
    """The devices of two machines in `speedups`' ratios, and the published study to their right."""
    heading = cpu if cpu == gpu else f"CPU of {cpu}, GPU of {gpu}"
    machines = {heading: (cpu, gpu)} if cpu != published.MACHINE else {}
    machines["published study, 2018"] = (published.MACHINE, published.MACHINE)
    parts = {
        name: written(_both_devices(ratios, *pair), COLUMNS) for name, pair in machines.items()
    }
    beside = pd.concat(parts, axis=1).sort_index().fillna(text.MISSING)
    beside.insert(0, ("", "parameters"), [f"{size:,}" for size in beside.index])
    return beside


def _both_devices(ratios: pd.DataFrame, cpu: str, gpu: str) -> pd.DataFrame:
    """What is known of a CPU and of a GPU by parameters; NaN where not measured."""
    rows = ratios[ratios["protocol"] == "published"].set_index("parameters")
    of_cpu = rows[rows["machine"] == cpu].filter(like="cpu_")
    of_gpu = rows[rows["machine"] == gpu].filter(like="gpu_")
    return pd.concat([of_cpu, of_gpu], axis=1)


def _verdict(row: Row) -> str:
    verdict = text.faster(row["cpu_cold_seconds"], row["gpu_cold_seconds"])
    return verdict if verdict == text.MISSING else htmltable.Strong(verdict)


def _seconds(device: str, row: Row) -> str:
    """A device's seconds; the faster device's are strong."""
    shown = Column(device, f"{device}_cold_seconds", ".2f").cell(row)
    return htmltable.Strong(shown) if device.upper() in _verdict(row) else shown


COLUMNS = [
    Column("CPU s", partial(_seconds, "cpu")), Column("CPU accuracy", "cpu_accuracy", ".4f"),
    Column("GPU s", partial(_seconds, "gpu")), Column("GPU accuracy", "gpu_accuracy", ".4f"),
    Column("faster", _verdict),
]  # fmt: skip


def against_published(merged: Merged, cells: pd.DataFrame) -> str:
    """How this machine's CPU compares with the published one, width by width."""
    if not merged.comparable(published.MACHINE):
        return (
            "The published study used other settings or another backend: its seconds do not "
            "compare with these."
        )
    measured = cells.query("protocol == 'published' and device == 'cpu'")
    times = measured.set_index(["machine", "width"])["cold_seconds"]
    if merged.own not in times.index or merged.own == published.MACHINE:
        return "This machine's CPU was not measured in the published protocol."
    ratio = (times[published.MACHINE] / times[merged.own]).dropna()
    if ratio.empty:
        return "No width was measured both here and in the published study."
    low, high = ratio.idxmin(), ratio.idxmax()
    return (
        f"For the same training, the published Core i5 750 took between {ratio[low]:.2g} (width "
        f"{low}) and {ratio[high]:.2g} times (width {high}) as long as this machine's CPU."
    )
