"""The map of batch sizes: which device is faster by parameters and batch size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.batch_map import (
    APART_LIMIT,
    COUNTED_EPOCHS,
    MAP_EPOCHS,
    batch_map,
    beside_study,
)
from crossover.records.changes import BATCH_SIZES
from crossover.records.frame import groups
from crossover.report import axes, figure, htmltable, squares, text
from crossover.report.columns import DEVICE, PARAMETERS, Column, Row
from crossover.report.results import Results

EPOCHS = f"{COUNTED_EPOCHS} counted epochs"


def show(results: Results) -> None:
    """Draw the map, tell its trainings and compare it with the study, or say how to train it."""
    sizes = batch_map(results.merged.recorded)
    if sizes.empty:
        text.not_measured("The map of batch sizes: `make map` trains it.")
        return
    figure.show(results.figures, "map", map_plot, sizes)
    text.show(trainings_sentence(sizes))
    beside, told = compared(results, sizes)
    text.show(told)
    caption = (
        "Seconds of an epoch after the first (range of the trainings), the number n of trainings, "
        f"and test accuracy after {MAP_EPOCHS} epochs"
    )
    htmltable.show(with_study(sizes, beside), caption, COLUMNS)


def compared(results: Results, sizes: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A map beside the study, as `beside_study` returns it, and what that says, as Markdown."""
    asked = results.asked
    same = asked.epochs == MAP_EPOCHS and asked.batch_size in BATCH_SIZES
    # Without trials of the study its cells are the published machine's.
    own = results.own_cells if results.merged.records and not same else results.cells[:0]
    beside = beside_study(sizes, own, asked.batch_size, asked.epochs)
    if same:
        return beside, f"At batches of {asked.batch_size} the map's trainings are the study's own."
    return beside, study_sentences(beside)


def map_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw `crossover.analysis.batch_map.batch_map`: the speed-up of both devices, else seconds."""
    columns = ["device", "parameters"]
    seconds = table.pivot(index="batch_size", columns=columns, values="epoch_seconds")
    ratios = _ratios(seconds)
    device = str(table["device"].iloc[0])
    shown = pd.DataFrame(seconds[device]) if ratios.empty else ratios
    _label(ax, shown)
    values = shown.to_numpy(dtype=float)
    span = " to ".join(text.three_digits(end) for end in (np.nanmin(values), np.nanmax(values)))
    if ratios.empty:
        squares.draw_seconds(ax, values, device)
        title = f"seconds of an epoch, {device.upper()}, published protocol"
        told = f"Seconds of an epoch on the {device.upper()}"
        alt = f"{told} by parameters and batch size: from {span}."
    else:
        squares.draw_ratios(ax, values)
        title = (
            "speed-up of the GPU: orange, the GPU wins; blue, the CPU; black line, the crossover"
        )
        told = "Speed-up of the GPU over the CPU by parameters and batch size"
        alt = f"{told}: from {span} times. {wins_sentence(ratios)}"
    ax.set_title(f"{title}\n{_trainings(table)}")
    return alt


def _ratios(seconds: pd.DataFrame) -> pd.DataFrame:
    """CPU time / GPU time where one cell at least has both; empty where none has."""
    devices = seconds.columns.get_level_values("device")
    if set(devices) != {"cpu", "gpu"}:
        return pd.DataFrame()
    ratios = pd.DataFrame(seconds["cpu"] / seconds["gpu"])
    return ratios.dropna(how="all").dropna(how="all", axis="columns")


def _label(ax: Axes, shown: pd.DataFrame) -> None:
    """The axes of squares: parameters across, batch sizes down."""
    ax.set_xticks(range(shown.shape[1]), [axes.plain(float(count)) for count in shown.columns])
    ax.set_yticks(range(shown.shape[0]), list(map(str, shown.index.to_numpy())))
    ax.set_xlabel("trainable parameters")
    ax.set_ylabel("batch size")
    ax.grid(visible=False)


def wins_sentence(ratios: pd.DataFrame) -> str:
    """From how many parameters on the GPU wins, at each batch size; a column is a size."""
    told = []
    for batch_size, row in ratios.iterrows():
        measured = row.dropna().sort_index()
        sizes, wins = list(measured.index), list(measured.index[measured > 1])
        if not wins or wins == sizes:
            where = "at every size" if wins else "at no size"
        elif wins == sizes[-len(wins) :]:
            where = f"from {wins[0]:,} parameters on"
        else:
            where = f"at {' and '.join(f'{size:,}' for size in wins)} parameters only"
        told.append(f"at batches of {batch_size} {where}")
    return f"The GPU wins {', '.join(told)}."


def _trainings(table: pd.DataFrame) -> str:
    """How many trainings and counted epochs stand behind each cell."""
    fewest, most = table["trainings"].min(), table["trainings"].max()
    if most == 1:
        return f"each cell is 1 training with {EPOCHS}"
    return f"each cell is the median of {text.span(fewest, most)} trainings with {EPOCHS} each"


def trainings_sentence(table: pd.DataFrame) -> str:
    """What a cell of the map is, and how to add to it where it shows no spread."""
    told = f"On the map, {_trainings(table)}; the first epoch is never counted."
    if table["trainings"].min() == 1:
        told += " A single training shows no spread: `make map REPEATS=3` adds more."
    return told


def study_sentences(beside: pd.DataFrame) -> str:
    """How far the map's epochs are from the study's own, from `beside_study`'s rows, as Markdown.

    Cells that are further apart than `APART_LIMIT` are named.
    """
    both = beside.dropna(subset="ratio")
    if both.empty:
        return "The map and the study's own steady epochs have no cell in common."
    told = []
    for device, rows in groups(both, "device"):
        low, high = (f"{end:.2f}" for end in (rows["ratio"].min(), rows["ratio"].max()))
        times = f"{text.span(low, high)} times the study's own (steady)"
        told.append(f"{times} on the {device.upper()}")
    size = both["batch_size"].iloc[0]
    whole = f"At batches of {size} the map's epochs take {' and '.join(told)}"
    lines = [f"{whole}, which were measured at another time."]
    cells = [
        f"on the {row['device'].upper()} at {row['parameters']:,} parameters "
        f"{text.three_digits(row['epoch_seconds'])} s on the map and "
        f"{text.three_digits(row['study_seconds'])} s in the study"
        for _, row in both[both["apart"]].iterrows()
    ]
    if cells:
        lines.append(text.flagged(f"More than {APART_LIMIT:.0%} apart: {'; '.join(cells)}."))
    return "\n\n".join(lines)


def with_study(sizes: pd.DataFrame, beside: pd.DataFrame) -> pd.DataFrame:
    """A map's cells with the study's own where it has the batch size; see `beside_study`.

    A single training has no range.
    """
    place = ["device", "parameters", "batch_size"]
    own = beside.set_index(place)[["study_seconds", "apart"]]
    cells = sizes.assign(low=sizes["low"].where(sizes["trainings"] > 1)).join(own, on=place)
    return cells.sort_values(place, ignore_index=True)


def _own(row: Row) -> str:
    if pd.isna(row["apart"]):
        return ""  # Another batch size than the study's.
    shown = Column("", "study_seconds", text.three_digits).cell(row)
    return text.marked(shown, bool(row["apart"]))


COLUMNS = [
    DEVICE,
    PARAMETERS,
    Column("batch size", "batch_size"),
    Column("epoch s", ("epoch_seconds", "low", "high"), text.three_digits),
    Column("n", "trainings"),
    Column("study's own s", _own),
    Column("test accuracy", "accuracy", ".3f"),
]
