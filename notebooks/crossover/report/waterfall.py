"""A step's way from its first stage to its last as a waterfall: what each stage takes away."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.records.changes import ONE_PROGRAM, OWN_LAYERS, WHOLE_EPOCH
from crossover.report import looks, text

# A training step as a whole, of which the stages tell the parts.
TRAINING: dict[str, Any] = {"facecolor": looks.SOFT, "edgecolor": "white", "linewidth": 0.5}
# What each stage takes away, as it looks in all figures.
PART_OF = {
    WHOLE_EPOCH: "dispatch",
    "XLA": "XLA",
    "data on the device": "data on the device",
    OWN_LAYERS: "matrix products",
    "TF32": "matrix products",
    ONE_PROGRAM: "other",
}
HEIGHT, THIN = 0.62, 0.25
BELOW = 0.41  # Where a whisker lies, between its bar and the next, clear of the numbers.
# The axis reaches so far beyond the largest step, for the numbers' sake.
REACH = 1.28


def draw(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw one width's rows of `crossover.analysis.path.path_table`.

    Whiskers, below their bars, reach from the least to the greatest difference within a round; a
    point at an end says that the axis cuts it off there.
    """
    first, last, most = rows.iloc[0], rows.iloc[-1], rows["step_us"].max()
    for place, row in ((0, first), (len(rows), last)):
        _bar(axis, place, (0, row["train_us"]), TRAINING)
        _bar(axis, place, (row["train_us"], row["step_us"]), looks.bar_look("validation"))
        _number(axis, place, row["step_us"], f"{row['step_us']:,.0f}")
    start = first["step_us"]
    for place, stage in enumerate(rows.iloc[1:].to_dict("records"), 1):
        trained, end = start - stage["saved_train_us"], stage["step_us"]
        # Thin where the validation takes back what the training saves, or the other way round.
        height = HEIGHT if (trained - start) * (end - trained) >= 0 else THIN
        _bar(axis, place, (start, trained), looks.bar_look(PART_OF[stage["stage"]]))
        _bar(axis, place, (trained, end), looks.bar_look("validation"), height)
        _whisker(axis, place + BELOW, (start - stage["high"], start - stage["low"]), REACH * most)
        _number(axis, place, max(start, end), text.signed(-stage["saved_us"], "+"))
        start = end
    axis.set_yticks(range(len(rows) + 1), [*rows["stage"], end_name(last)])
    axis.set_xlim(0, REACH * most)
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.grid(axis="y", visible=False)


def end_name(last: "pd.Series[Any]") -> str:
    """What the end of the path is called: *tuned*, where a backend gets so far."""
    return "tuned" if last["stage"] == ONE_PROGRAM else "the rest"


def _bar(
    axis: Axes,
    place: int,
    ends: tuple[float, float],
    look: dict[str, Any],
    height: float = HEIGHT,
) -> None:
    axis.barh(place, ends[1] - ends[0], left=ends[0], height=height, **look)


def _whisker(axis: Axes, place: float, ends: tuple[float, float], most: float) -> None:
    shown = np.clip(ends, 0, most)
    axis.hlines(place, *shown, color=looks.INK, lw=1.2)
    for end, drawn, marker in zip(ends, shown, "<>", strict=True):
        if end != drawn:
            axis.plot(drawn, place, marker, color=looks.INK, ms=4, clip_on=False)


def _number(axis: Axes, place: int, x: float, words: str) -> None:
    axis.annotate(words, (x, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
