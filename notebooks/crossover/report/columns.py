"""A table told by its columns: where a cell's value stands, and how it reads."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import pandas as pd

from crossover.report.text import MISSING, finite

Row = dict[Any, Any]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    ``source`` names the frame's column (that of the title without it) or three, a value and its
    limits, which are joined by ``to`` (*or more* where the upper one is infinite); or it is a
    function of a row. Numbers are multiplied by ``scale`` and read as ``form`` says. ``text``
    columns are set to the left and wrapped.
    """

    title: str
    source: str | tuple[str, str, str] | Callable[[Row], object] = ""
    form: str | Callable[[Any], str] = ""
    scale: float = 1
    to: str = " to "
    text: bool = False

    def cell(self, row: Row) -> str:
        """What stands in a row; MISSING where it was not measured."""
        if isinstance(self.source, tuple):
            value, low, high = (row[name] for name in self.source)
            if pd.isna(value):
                return MISSING
            if high == inf:
                least = f"{self._told(low)} or more"
                return least if value == inf else f"{self._told(value)} ({least})"
            bounded = not pd.isna([low, high]).any()
            limits = f" ({self._told(low)}{self.to}{self._told(high)})" if bounded else ""
            return f"{self._told(value)}{limits}"
        value = self.source(row) if callable(self.source) else row[self.source or self.title]
        return self._told(value) if isinstance(value, str) or finite(value) else MISSING

    def _told(self, value: Any) -> str:
        if callable(self.form):
            return self.form(value)
        return value if isinstance(value, str) else format(value * self.scale, self.form)


PROTOCOL = Column("protocol", text=True)
DEVICE = Column("device", form=str.upper, text=True)
WIDTH = Column("width")
PARAMETERS = Column("parameters", form=",")


def limits(name: str) -> tuple[str, str, str]:
    """A median's column and its limits', as `crossover.analysis.summary` names them."""
    return name, f"{name}_low", f"{name}_high"


def words(*titles: str) -> list[Column]:
    """Columns of words, each named as in its frame."""
    return [Column(title, text=True) for title in titles]


def numbers(titles: Iterable[str], form: str | Callable[[Any], str]) -> list[Column]:
    """Columns of numbers, each named as in its frame."""
    return [Column(title, form=form) for title in titles]


def written(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """A frame as it shall read: texts under the columns' titles, in the frame's order."""
    rows = frame.to_dict("records")
    cells = {column.title: [column.cell(row) for row in rows] for column in columns}
    return pd.DataFrame(cells, index=frame.index, dtype=object)
