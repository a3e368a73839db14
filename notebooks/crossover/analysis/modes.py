"""Cells whose repeats have two speeds: a median alone hides one of them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from crossover.analysis.order import Floats
from crossover.records.frame import groups

# Two groups: their middles this far apart, as a ratio, and each no wider than this share of the
# gap between them, in logarithms. Lognormal noise alone looks like that in 1 of 150 cells of five
# repeats where it spreads by 10%, and in 1 of 15 where it spreads by 25%.
APART, TIGHT = 1.3, 0.5
FEWEST = 2


class Modes(NamedTuple):
    """Median seconds of the fast and of the slow repeats, and how many there are of each."""

    fast: float
    slow: float
    fast_repeats: int
    slow_repeats: int


def modes_of(seconds: Floats) -> Modes | None:
    """The two speeds of one cell's repeats; None where they have one, or a single one strays.

    The repeats are parted at the widest gap between neighbours, as ratios.
    """
    ordered = np.sort(seconds[np.isfinite(seconds)])
    if len(ordered) < 2 * FEWEST:
        return None
    inner = np.arange(FEWEST, len(ordered) - FEWEST + 1)
    at = inner[np.argmax(ordered[inner] / ordered[inner - 1])]
    fast, slow = ordered[:at], ordered[at:]
    modes = Modes(float(np.median(fast)), float(np.median(slow)), len(fast), len(slow))
    widest = np.log(max(fast[-1] / fast[0], slow[-1] / slow[0]))
    tight = widest <= TIGHT * np.log(slow[0] / fast[-1])
    return modes if tight and modes.slow > APART * modes.fast else None


def two_speeds(trials: pd.DataFrame, column: str, by: list[str]) -> pd.DataFrame:
    """The fields of `Modes`, of a column of seconds, for each cell that has two speeds.

    ``by`` are the columns that name a cell: the index of what is returned.
    """
    cells = trials.groupby(by)[column]
    wide = cells.transform("max") > APART * cells.transform("min")
    rows = [
        (*key, *modes)
        for key, cell in groups(trials[wide], by)
        if (modes := modes_of(cell[column].to_numpy(dtype=np.float64)))
    ]
    return pd.DataFrame(rows, columns=[*by, *Modes._fields]).set_index(by)
