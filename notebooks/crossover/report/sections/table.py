"""The table: this machine's seconds and accuracy, in the published table's shape beside it."""

from functools import partial

import pandas as pd

from crossover.analysis.compared import compare
from crossover.analysis.interpolate import measured_curves
from crossover.analysis.merge import Merged
from crossover.analysis.speedup import pair_speedups
from crossover.records import published
from crossover.report import htmltable, text
from crossover.report.columns import Column, Row, written
from crossover.report.results import Results
from crossover.words import counted


def show(results: Results) -> None:
    """Show both tables side by side, and how the CPUs compare."""
    length = counted(results.asked.epochs, "epoch")
    caption = f"Seconds of a training (cold, {length}) and test accuracy, published protocol"
    htmltable.show(beside_published(results), caption)
    text.show(against_published(results.merged, results.cells))


def beside_published(results: Results) -> pd.DataFrame:
    """The devices that are compared, and the published study to their right."""
    merged = results.merged
    pairs = (
        {}
        if merged.own == published.MACHINE
        else {_heading(merged): (merged.own, merged.gpu_machine)}
    )
    pairs["published study, 2018"] = (published.MACHINE, published.MACHINE)
    parts = {name: written(_both_devices(results, *pair), COLUMNS) for name, pair in pairs.items()}
    beside = pd.concat(parts, axis=1).sort_index().fillna(text.MISSING)
    beside.insert(0, ("", "parameters"), [f"{size:,}" for size in beside.index])
    return beside


def _heading(merged: Merged) -> str:
    """Both devices by their own names, where the machine has both or is compared with another."""
    measured = {device: name for device, name in merged.compared.items()
                if len(merged.of(name).query("device == @device"))}  # fmt: skip
    return ", ".join(merged.processor(device) for device in measured)


def _both_devices(results: Results, cpu: str, gpu: str) -> pd.DataFrame:
    """What is known of a CPU and of a GPU by parameters, with the verdict; NaN if not measured."""
    rows = pair_speedups(results.cells, cpu, gpu).query("protocol == 'published'")
    # A machine of another backend or other settings stands in no form; its own devices compare.
    curves = results.curves
    if not results.merged.comparable(cpu):
        curves = measured_curves(results.merged.of(cpu), results.cells)
    comparison = compare(curves, results.crossings, (cpu, gpu), "published", "cold")
    told = [comparison.at(size)[2] for size in rows["parameters"]]
    return rows.assign(verdict=pd.Series(told, rows.index, dtype=object)).set_index("parameters")


def _verdict(row: Row) -> str:
    told = text.faster(row["verdict"])
    return htmltable.Strong(told) if row["verdict"].winner in text.SYMBOLS else told


def _seconds(device: str, row: Row) -> str:
    """A device's seconds; the faster device's are strong."""
    shown = _marked(f"{device}_cold_seconds", ".2f", row)
    return htmltable.Strong(shown) if row["verdict"].winner == device.upper() else shown


def _marked(name: str, form: str, row: Row) -> str:
    """A value as it is shown, with the mark where it is flagged."""
    return text.marked(Column(name, form=form).cell(row), row[f"{name}_flags"])


COLUMNS = [
    Column("faster", _verdict),
    Column("CPU s", partial(_seconds, "cpu")),
    Column("CPU accuracy", partial(_marked, "cpu_accuracy", ".4f")),
    Column("GPU s", partial(_seconds, "gpu")),
    Column("GPU accuracy", partial(_marked, "gpu_accuracy", ".4f")),
]


def against_published(merged: Merged, cells: pd.DataFrame) -> str:
    """How this machine's CPU compares with the published one, width by width."""
    if not merged.comparable(published.MACHINE):
        return (
            "The published study used other settings or another backend: its seconds do not "
            "compare with these."
        )
    measured = cells.query("protocol == 'published' and device == 'cpu'")
    own = measured.set_index(["machine", "width"])
    times = own["cold_seconds"]
    if merged.own not in times.index or merged.own == published.MACHINE:
        return "This machine's CPU was not measured in the published protocol."
    ratio = (times[published.MACHINE] / times[merged.own]).dropna()
    if ratio.empty:
        return "No width was measured both here and in the published study."
    low, high = ratio.idxmin(), ratio.idxmax()
    flags = own["cold_seconds_flags"].xs(merged.own, level="machine")
    least, most = (text.marked(f"{ratio[width]:.2g}", flags[width]) for width in (low, high))
    return (
        f"For the same training, the published Core i5 750 took between {least} (width {low}) and "
        f"{most} times (width {high}) as long as this machine's CPU."
    )
