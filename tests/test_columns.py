"""Columns: what is missing is called so, limits stand in brackets, and words stay words."""

import math

import pandas as pd
import pytest

from crossover.report.columns import DEVICE, Column, limits, words, written
from crossover.report.htmltable import Strong


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Column("count"), "3"),
        (Column("parameters", "count", ","), "3"),
        (Column("µs", "seconds", ",.0f", 1e6), "1,500"),
        (Column("none", "unknown", ".2f"), "missing"),
        (Column("machine"), "a <b>"),
        (DEVICE, "GPU"),
        (Column("twice", lambda row: 2 * row["count"], ".1f"), "6.0"),
        (Column("s", limits("seconds"), ".4f"), "0.0015 (0.0010 to 0.0020)"),
        (Column("s", limits("seconds"), ".1f", 1e3, to="–"), "1.5 (1.0–2.0)"),
        (Column("s", ("seconds", "unknown", "unknown"), ".4f"), "0.0015"),
        (Column("s", ("unknown", "seconds", "seconds"), ".4f"), "missing"),
        (Column("rate", ("endless", "count", "endless"), ".0f"), "3 or more"),
        (Column("rate", ("count", "seconds", "endless"), ".1g"), "3 (0.002 or more)"),
    ],
)
def test_a_cell_reads_as_its_column_says(column, text):
    row = {"count": 3, "seconds": 1.5e-3, "seconds_low": 1e-3, "seconds_high": 2e-3,
           "unknown": math.nan, "endless": math.inf, "machine": "a <b>",
           "device": "gpu"}  # fmt: skip
    assert column.cell(row) == text


def test_a_frame_is_written_in_its_own_order_and_types():
    frame = pd.DataFrame({"width": [8, 4], "share": [0.5, math.nan]}, index=[1, 0])
    columns = [Column("width"), Column("%", "share", ".0%"), Column("who", lambda row: Strong("x"))]
    table = written(frame, columns)
    assert table.to_dict("list") == {"width": ["8", "4"], "%": ["50%", "missing"], "who": ["x"] * 2}
    assert list(table.index) == [1, 0]
    assert isinstance(table.loc[0, "who"], Strong)


def test_a_frame_without_rows_keeps_its_columns():
    table = written(pd.DataFrame(), [Column("width"), *words("claim")])
    assert (list(table), len(table)) == (["width", "claim"], 0)
