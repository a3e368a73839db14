"""What each single change of the published protocol buys, and other batch sizes."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from crossover.analysis.changes import NO_VALIDATION, batch_table, change_table
from crossover.records.frame import groups
from crossover.report import axes, figure, htmltable, looks, text
from crossover.report.columns import DEVICE, WIDTH, Column, words
from crossover.report.results import Results

ROW_INCHES = 0.21
TICKS = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20, 30, 50]
# A device has the colour of all figures, a width its marker.
MARKERS = ["o", "s", "^", "D", "v", "P"]
# Words on a row of the figure.
BESIDE: Any = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 8}
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1}
RATIO = ("ratio", "low", "high")
COLUMNS = [
    *words("change"), DEVICE, WIDTH,
    Column("published µs", "base_us", ",.0f"), Column("changed µs", "step_us", ",.0f"),
    Column("times as fast", RATIO, ".2f"),
]  # fmt: skip
BATCHES = [
    DEVICE, WIDTH, Column("batch size", "batch_size"),
    Column("epoch s", "epoch_seconds", ".3g"),
    Column("times as fast", RATIO, ".2f"),
    Column("test accuracy", "accuracy", ".4f"),
    Column("after", lambda row: f"{row['passes']} × {row['images']:,} images"),
]  # fmt: skip


def show(results: Results) -> None:
    """Show what each change buys in one figure, where any was trained."""
    table = change_table(results.rounds)
    if table.empty:
        text.not_measured("Single changes: `make explain` trains them.")
    else:
        rows = len(table) + table["change"].nunique()
        height = 1.3 + ROW_INCHES * rows
        phone = {"figsize": (figure.NARROW_INCHES[0], height)}
        figure.show(results.figures, "changes", change_plot, table, phone=phone,
                    figsize=(8.6, height))  # fmt: skip
        text.show(change_sentences(table))
        htmltable.show(table, "One change at a time, microseconds of a step", COLUMNS)


def show_batches(results: Results) -> None:
    """Show other batch sizes with what they cost in accuracy, where any was trained."""
    table = batch_table(results.rounds)
    if table.empty:
        text.not_measured("Other batch sizes, in turns: `make explain` trains them.")
    else:
        text.show(batch_sentences(table))
        htmltable.show(table, "Other batch sizes: another learning problem", BATCHES)


def change_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw rows of `change_table` as dots on one logarithmic axis, their numbers beside them."""
    narrow, widths, place = figure.on_a_phone(ax), sorted(table["width"].unique()), 0
    ticks: dict[int, str] = {}
    told = []
    for change, rows in table.groupby("change", sort=False):
        if narrow:
            ax.annotate(str(change), (0, place - 1), weight="bold", bbox=PAPER, **BESIDE)
        for row in rows.sort_values(["width", "device"]).to_dict("records"):
            look = looks.LOOKS[row["device"], "published"]
            ax.hlines(place, row["low"], row["high"], color=look.colour, lw=2, alpha=0.45)
            marker = MARKERS[widths.index(row["width"]) % len(MARKERS)]
            ax.plot(row["ratio"], place, marker, color=look.colour, ms=5.5)
            whose = f"{row['device'].upper()}, width {row['width']}"
            told.append(f"{change}, {whose}: {row['ratio']:.2f}")
            ticks[place] = whose if narrow else f"{change}, {whose}"
            numbers = f"{row['ratio']:.2f}×"
            if not narrow:
                numbers = f"{row['base_us']:,.0f} → {row['step_us']:,.0f} µs   {numbers}"
            ax.annotate(numbers, (1.01, place), annotation_clip=False, **BESIDE)
            place += 1
        place += 1
    ax.axvline(1, color=looks.MARK, lw=1.2, ls="--")
    ax.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    ax.set_ylim(place - 1.4, -1.8 if narrow else -0.8)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.plain_numbers(ax.xaxis)
    ax.set_xlabel("times as fast as the published protocol")
    ax.grid(axis="y", visible=False)
    whole = "How many times as fast a step is with one change of the published protocol"
    return f"{whole}. {'; '.join(told)}."


def change_sentences(table: pd.DataFrame) -> str:
    """Which changes help most on each device at each width, which help at all, and which do not."""
    lines = []
    for (device, width), rows in groups(table, ["device", "width"]):
        part = rows[rows["change"] != NO_VALIDATION].sort_values("ratio", ascending=False)
        first = part[~part["behind"]]
        helps, slower = part["low"] > 1, part["high"] < 1
        told = [
            _most(first) if helps.any() else "Nothing helps in every round",
            _listed("Less, but in every round: {}", part[helps & part["behind"]], "and"),
            _listed("Slower in every round: {}", part[slower], "and"),
            _listed("Whether {} helps cannot be told", part[~helps & ~slower], "or"),
        ]
        lines.append(f"- {device.upper()}, width {width}: {'. '.join(filter(None, told))}.")
    return "\n".join(lines)


def _most(first: pd.DataFrame) -> str:
    """The change that helps most, or those that the rounds do not tell apart from it."""
    times = [f"*{row['change']}* ({row['ratio']:.2f} times as fast)" for _, row in first.iterrows()]
    if len(times) == 1:
        return f"{times[0]} buys most"
    return f"{', '.join(times[:-1])} or {times[-1]} buys most: the rounds do not tell which"


def _listed(words: str, rows: pd.DataFrame, last_word: str) -> str:
    """Words with the names of some changes; nothing where there are none."""
    return words.format(text.listed(rows["change"], last_word)) if len(rows) else ""


def batch_sentences(table: pd.DataFrame) -> str:
    """What the largest batches save, and what they cost in accuracy."""
    lines = []
    for device, rows in groups(table, "device"):
        told = []
        for width, part in groups(rows, "width"):
            own, largest = part[part["own"]].iloc[0], part[~part["own"]].iloc[-1]
            told.append(
                f"at width {width} an epoch in batches of {largest['batch_size']} is "
                f"{largest['ratio']:.2f} times as fast, and after {own['passes']} passes over "
                f"{own['images']:,} images {largest['accuracy']:.4f} of the test images are right "
                f"instead of {own['accuracy']:.4f}"
            )
        lines.append(f"- {device.upper()}: {'; '.join(told)}.")
    return "\n".join(lines)
