"""The batch-size map: seconds of an epoch by width and batch size, beside the study's own."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crossover.records.changes import BATCH_SIZES
from crossover.records.frame import to_frame
from crossover.records.record import Record
from crossover.records.settings import Settings, protocol_settings

MAP_EPOCHS, MAP_WIDTHS = 3, [4, 16, 64, 256, 1024]
# The first epoch, which traces and compiles, is never counted.
COUNTED_EPOCHS = MAP_EPOCHS - 1
# The longer of two times of the same cell may be longer by this share of the shorter.
APART_LIMIT = 0.20
CELL = ["device", "width", "parameters", "batch_size"]


def on_map(settings: Settings) -> bool:
    """Whether settings are the map's: the published ones but for epochs, batch size, threads."""
    given = settings.model_dump(include={"backend", "threads", "batch_size"})
    mapped = protocol_settings("published", epochs=MAP_EPOCHS, **given)
    return settings.batch_size in BATCH_SIZES and settings == mapped


def batch_map(records: Sequence[Record]) -> pd.DataFrame:
    """Seconds of an epoch by width and batch size.

    One row for each device, width and batch size: ``parameters``, ``epoch_seconds`` (the median
    counted epoch of a training; median over the trainings), ``low`` and ``high`` (the shortest and
    the longest of the trainings), ``trainings`` (their number), and ``accuracy`` (median share of
    the test images).

    Trials with the map's settings may come from other commands, which train some widths at one
    batch size only. So a width is on a device's map where at least two batch sizes were trained,
    and more than half of those that any width has: no column is half empty. What such a width still
    lacks, as where `make map` was stopped, has no row.
    """
    frame = to_frame([record for record in records if on_map(record.settings)], "")
    frame["epoch_seconds"] = frame["steady_seconds"] / frame["epochs"]
    cells = frame.groupby(CELL)
    seconds = cells["epoch_seconds"]
    table = seconds.agg(epoch_seconds="median", low="min", high="max", trainings="size")
    table = table.assign(accuracy=cells["accuracy"].median()).reset_index()
    trained = table.groupby(["device", "width"])["batch_size"].transform("size")
    most = trained.groupby(table["device"]).transform("max")
    return pd.DataFrame(table[(trained >= 2) & (trained > most / 2)]).reset_index(drop=True)


def beside_study(
    table: pd.DataFrame, cells: pd.DataFrame, batch_size: int, epochs: int
) -> pd.DataFrame:
    """A map's cells at the study's batch size beside the study's own steady epochs.

    ``table`` is `batch_map`'s, ``cells`` are one machine's of `crossover.analysis.summary`, of
    trainings of ``epochs`` epochs. One row for each device and width of the map: its columns,
    ``study_seconds`` (the study's steady time / its epochs, published protocol; NaN where it has
    none), ``ratio`` (the map's epoch / the study's) and ``apart`` (whether the longer of both is
    longer by more than `APART_LIMIT`).
    """
    own = cells[cells["protocol"] == "published"].set_index(["device", "width"])["steady_seconds"]
    beside = table[table["batch_size"] == batch_size].join(
        (own / epochs).rename("study_seconds"), on=["device", "width"]
    )
    beside["ratio"] = beside["epoch_seconds"] / beside["study_seconds"]
    beside["apart"] = np.abs(np.log(beside["ratio"])) > np.log1p(APART_LIMIT)
    return beside.reset_index(drop=True)
