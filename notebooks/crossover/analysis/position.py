"""Whether a training's place in its sweep changes its time: warming up, or slowing down."""

import numpy as np
import pandas as pd

from crossover.analysis.order import FEWEST_REPEATS, Floats, kind_name, median_limits
from crossover.analysis.summary import CURVE
from crossover.records.frame import groups

FEWEST_WIDTHS = 3


def position_effects(trials: pd.DataFrame) -> pd.DataFrame:
    """How much longer the last training of a sweep takes (cold) than the first, all else equal.

    Width and repeat each have a factor of their own, which is taken out of log times and positions
    alike (a two-way layout); what is left gives each repeat a slope, and the slopes, as sweeps are
    independent, an interval of their median by order statistics.

    One row for each curve of at least five whole repeats and three widths: machine, backend,
    protocol, device, ``effect``, ``low`` and ``high`` (shares of the time: 0.01 is 1% longer) and
    ``interval`` (its name).
    """
    rows = []
    for key, curve in groups(trials, CURVE):
        seconds, places = (
            curve.pivot_table(index="width", columns="repeat", values=name)
            for name in ("cold_seconds", "position")
        )
        whole = (seconds + places).dropna(axis="columns").columns
        logs, at = np.log(seconds[whole].to_numpy()), places[whole].to_numpy()
        widths, repeats = logs.shape
        if widths >= FEWEST_WIDTHS and repeats >= FEWEST_REPEATS:
            slopes = _slopes(logs, at) * (widths - 1)
            middle = np.median(slopes)
            # The widths' means, taken out, held this share of the slopes' variance.
            limits = (np.array(median_limits(slopes)) - middle) / np.sqrt(1 - 1 / repeats)
            effect = [middle, *(middle + limits)]
            rows.append((*key, *np.expm1(effect), kind_name(repeats)))
    return pd.DataFrame(rows, columns=[*CURVE, "effect", "low", "high", "interval"])


def _slopes(logs: Floats, places: Floats) -> Floats:
    """Change of log time a place, one for each repeat, from (widths, repeats) of both."""
    logs, places = _centred(logs), _centred(places)
    squares = (places**2).sum(axis=0)
    return np.asarray((logs * places).sum(axis=0) / np.where(squares > 0, squares, np.inf))


def _centred(table: Floats) -> Floats:
    """A table less its rows' and its columns' means."""
    by_row = table - table.mean(axis=1, keepdims=True)
    return np.asarray(by_row - by_row.mean(axis=0, keepdims=True))
