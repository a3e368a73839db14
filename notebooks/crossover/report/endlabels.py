"""Names beside the ends of curves, moved apart where they would overlap."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from scipy.optimize import isotonic_regression

from crossover.analysis.order import Floats
from crossover.report.figure import clean
from crossover.report.looks import SOFT

LABEL_POINTS = 10
LABEL: Any = {
    "textcoords": "axes fraction",
    "va": "center",
    "weight": "bold",
    "fontsize": LABEL_POINTS,
    "annotation_clip": False,
}
CONNECTOR = {"arrowstyle": "-", "lw": 0.8, "shrinkA": 2, "shrinkB": 5, "relpos": (0, 0.5)}


class EndLabel(NamedTuple):
    """A curve's name, to stand right of its last point; smaller and not bold where ``faint``."""

    x: float
    y: float
    text: str
    colour: Any
    faint: bool = False


def end_labels(ax: Axes, labels: Sequence[EndLabel]) -> None:
    """Name curves in the right margin, moved apart where their names would overlap.

    Call it last: the places follow from the limits of the axis.
    """
    texts = [textwrap.fill(clean(label.text), 18) for label in labels]
    lines = np.array([text.count("\n") + 1 for text in texts])
    ax.autoscale_view()  # The limits are those of the data only from here on.
    axes_points = ax.get_window_extent().height / ax.figure.dpi * 72
    heights = lines * LABEL_POINTS * 1.3 / axes_points
    ends = ax.transData.transform([(label.x, label.y) for label in labels])
    wanted = ax.transAxes.inverted().transform(ends)[:, 1] if len(labels) else np.empty(0)
    for label, text, place in zip(labels, texts, spread_apart(wanted, heights), strict=True):
        at, line = (label.x, label.y), CONNECTOR | {"color": label.colour}
        look = LABEL | ({"weight": "normal", "fontsize": 8.5, "color": SOFT} if label.faint else {})
        ax.annotate(text, at, (1.03, place), arrowprops=line, **({"color": label.colour} | look))


def spread_apart(wanted: Floats, heights: Floats) -> Floats:
    """Centres between 0 and 1 nearest to the wanted ones at which bars do not overlap.

    Distances between neighbours are at least the mean of their heights, so that the centres less
    those distances must ascend: least squares under an order, which isotonic regression solves.
    Bars that have no room together rise over 1.
    """
    if len(wanted) < 2:
        return wanted
    order = np.argsort(wanted, kind="stable")
    bars = heights[order]
    below = np.concatenate([[0], np.cumsum((bars[1:] + bars[:-1]) / 2)])
    free = isotonic_regression(wanted[order] - below).x
    last = 1 - below[-1] - bars[-1] / 2
    placed = np.empty(len(wanted))
    placed[order] = np.maximum(np.minimum(free, last), bars[0] / 2) + below
    return placed
