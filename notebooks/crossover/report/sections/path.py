"""From a published step to a tuned one: what each change takes away, in parts that add up."""

from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from crossover.analysis.path import level, path_table
from crossover.problem import trained_images
from crossover.records.backends import BACKENDS
from crossover.records.changes import ONE_PROGRAM, OWN_LAYERS, WHOLE_EPOCH
from crossover.records.frame import groups
from crossover.records.rounds import Rounds
from crossover.report import figure, htmltable, looks, text
from crossover.report.columns import DEVICE, WIDTH, Column, words
from crossover.report.results import Results

PANELS = {"figsize": (8.6, 3.4), "sharey": True, "squeeze": False}
# A training step as a whole, of which the path tells the parts.
TRAINING: dict[str, Any] = {"facecolor": looks.SOFT, "edgecolor": "white", "linewidth": 0.5}
# What each stage takes away, as it looks in all figures.
PART_OF = {
    WHOLE_EPOCH: "dispatch",
    "XLA": "XLA",
    "data on the device": "data on the device",
    OWN_LAYERS: "other arithmetic",
    "TF32": "matrix products",
    ONE_PROGRAM: "other",
}
# The first stage saves nothing.
SAVED = Column("", ("saved_us", "low", "high"), ",.0f")
SHARE = Column("", "share", ".0%")
COLUMNS = [
    DEVICE, WIDTH, *words("stage"),
    Column("step µs", "step_us", ",.0f"),
    Column("of it validation", "validation_us", ",.0f"),
    Column("saved µs", lambda row: SAVED.cell(row) if text.finite(row["share"]) else ""),
    Column("share", lambda row: SHARE.cell(row) if text.finite(row["share"]) else ""),
    Column("test accuracy", "accuracy", ".4f"),
]  # fmt: skip


def show(results: Results) -> None:
    """Show a waterfall of each device, or how to train what it is made of."""
    table = path_table(results.rounds)
    if table.empty:
        text.show(
            "The path from *published* to *tuned* is not trained yet: `make explain` trains it."
        )
        return
    text.show(BACKENDS[results.asked.backend].steps_meaning)
    for device, rows in groups(table, "device"):
        panels = PANELS | {"ncols": rows["width"].nunique()}
        figure.show(results.figures, f"path-{device}", path_plot, rows, device, **panels)
    text.show(path_sentences(table))
    text.show(rounds_sentence(results.rounds))
    caption = (
        "A step on the path, microseconds; what is saved adds up to the first step less the last"
    )
    htmltable.show(with_shares(table), caption, COLUMNS)


def with_shares(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the ``share`` of each saving in all that the path saves."""
    steps = table.groupby(["device", "width"])["step_us"]
    return table.assign(
        share=table["saved_us"] / (steps.transform("first") - steps.transform("last"))
    )


def path_plot(axes: npt.NDArray[Any], table: pd.DataFrame, device: str) -> str:
    """Draw one device's rows of `path_table` as waterfalls, one panel a width.

    ``axes`` has shape (1, widths).
    """
    told = []
    for axis, (width, rows) in zip(axes[0], groups(table, "width"), strict=True):
        _waterfall(axis, rows)
        axis.set_title(f"width {width}")
        first, last = rows.iloc[0], rows.iloc[-1]
        most = rows.iloc[1:].sort_values("saved_us").iloc[-1]
        told.append(
            f"width {width}: {first['step_us']:,.0f} to {last['step_us']:,.0f} µs, most by "
            f"{most['stage']}, {most['saved_us']:,.0f} µs"
        )
    axes[0][0].invert_yaxis()
    handles = [Patch(**TRAINING), Patch(**looks.bar_look("validation"))]
    axes[0][0].figure.legend(handles, ["training step", "validation"],
                             loc="outside upper right", ncols=2, fontsize=9)  # fmt: skip
    axes[0][0].figure.supxlabel(f"{device.upper()}: microseconds a step", fontsize=11)
    return (
        f"Waterfalls from a published to a tuned step on the {device.upper()}. {'; '.join(told)}."
    )


def _waterfall(axis: Axes, rows: pd.DataFrame) -> None:
    """Draw a first step, what each stage takes away from where the last ended, and the rest."""
    first, last = rows.iloc[0], rows.iloc[-1]
    names = [*rows["stage"], end_name(last)]
    for place, row in ((0, first), (len(rows), last)):
        _segment(axis, place, (0, row["train_us"]), TRAINING)
        _segment(axis, place, (row["train_us"], row["step_us"]), looks.bar_look("validation"))
        _number(axis, place, row["step_us"], f"{row['step_us']:,.0f}")
    start = first["step_us"]
    for place, stage in enumerate(rows.iloc[1:].to_dict("records"), 1):
        trained, end = start - stage["saved_train_us"], stage["step_us"]
        _segment(axis, place, (start, trained), looks.bar_look(PART_OF[stage["stage"]]))
        _segment(axis, place, (trained, end), looks.bar_look("validation"))
        limits = start - stage["high"], start - stage["low"]
        axis.hlines(place, *limits, color=looks.INK, lw=1.2)
        _number(
            axis, place, max(start, end, limits[1]), f"{-stage['saved_us']:+,.0f}".replace("-", "−")
        )
        start = end
    axis.set_yticks(range(len(names)), names)
    axis.set_xlim(0, 1.28 * rows["step_us"].max())
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.grid(axis="y", visible=False)


def end_name(last: "pd.Series[Any]") -> str:
    """What the end of the path is called: *tuned*, where a backend gets so far."""
    return "tuned" if last["stage"] == ONE_PROGRAM else "the rest"


def _segment(axis: Axes, place: int, ends: tuple[float, float], look: dict[str, Any]) -> None:
    axis.barh(place, ends[1] - ends[0], left=ends[0], height=0.62, **look)


def _number(axis: Axes, place: int, x: float, words: str) -> None:
    axis.annotate(words, (x, place), (3, 0), textcoords="offset points", va="center", fontsize=8)


def path_sentences(table: pd.DataFrame) -> str:
    """What lies between both ends at each width, its parts in the order of their size."""
    lines = []
    for (device, width), rows in groups(with_shares(table), ["device", "width"]):
        first, last = rows.iloc[0], rows.iloc[-1]
        ranked = rows.iloc[1:].sort_values("saved_us", ascending=False).to_dict("records")
        parts = ", ".join(
            f"*{row['stage']}* {row['saved_us']:,.0f} ({row['share']:.0%})" for row in ranked
        )
        whole = first["step_us"] - last["step_us"]
        lines.append(
            f"- {device.upper()}, width {width}: from {first['step_us']:,.0f} µs to "
            f"{last['step_us']:,.0f} µs a step, {first['step_us'] / last['step_us']:.1f} times as "
            f"fast. Of the {whole:,.0f} µs saved: {parts}."
        )
    return "\n".join(lines)


def rounds_sentence(rounds: list[Rounds]) -> str:
    """How the stages were trained: rounds, images, and how sure their differences are."""
    counts = sorted({one.count for one in rounds})
    seen = [one.images / trained_images() for one in rounds]
    least, most = min(seen), max(seen)
    share = "a whole epoch" if least == 1 else f"{least:.0%} to {most:.0%} of an epoch"
    return (
        f"Every stage trained in {text.span(counts[0], counts[-1])} rounds, in turns inside one "
        f"process, on {share} a round; numbers are medians. In brackets stand the least and the "
        f"greatest difference within a round, which enclose the median at a level of "
        f"{level(counts[0]):.1%}. The test accuracy is that after the last round; all begin with "
        "one seed, but XLA and *tuned's layers* draw other numbers for dropout from it."
    )
