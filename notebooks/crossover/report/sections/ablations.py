"""What each single change of the published protocol buys."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.ablations import BASELINE, ablation_table, noise_factors
from crossover.records.backends import BACKENDS
from crossover.records.frame import groups
from crossover.report import figure, htmltable, looks, text
from crossover.report.columns import DEVICE, WIDTH, Column, words
from crossover.report.results import Results

PANELS = {"figsize": (7.6, 4.2), "sharey": True, "squeeze": False}
COLUMNS = [
    DEVICE, WIDTH, *words("change"),
    Column("epoch s", "epoch_seconds", ".2f"),
    Column("times as fast", ("ratio", "low", "high"), ".2f"),
    Column("saved µs a step", "saved_us", ",.0f"),
]  # fmt: skip


def show(results: Results) -> None:
    """Show a figure for each device, or how to train the ablations."""
    changes = ablation_table(results.merged.recorded)
    noise = noise_factors(results.own_trials)
    text.show(ablation_sentences(changes))
    text.show(ablation_caution(changes, noise))
    if changes.empty:
        return
    text.show(BACKENDS[results.asked.backend].steps_meaning)
    for device, rows in groups(changes[changes["change"] != BASELINE], "device"):
        name, panels = f"ablations-{device}", PANELS | {"ncols": rows["width"].nunique()}
        figure.show(results.figures, name, ablation_plot, rows, device, noise, **panels)
    repeated = changes["low"] != changes["high"]
    shown = changes.assign(low=changes["low"].where(repeated))
    htmltable.show(shown, "Seconds of an epoch after the first, one change at a time", COLUMNS)


def ablation_plot(
    axes: npt.NDArray[Any], table: pd.DataFrame, device: str, noise: dict[tuple[str, int], float]
) -> str:
    """Draw how many times as fast each change makes an epoch, one panel a width.

    ``axes`` has shape (1, widths), ``table`` is the device's part of `ablation_table`, and
    ``noise``, drawn as a band, what `noise_factors` returns.
    """
    name, (panels,) = device.upper(), axes
    changes = list(dict.fromkeys(table["change"]))
    told = []
    for axis, (width, part) in zip(panels, groups(table, "width"), strict=True):
        factor = noise.get((device, width), 1.0)
        axis.axvspan(1 / factor, factor, color="#777777", alpha=0.18, lw=0)
        look = looks.LOOKS[device, "published"]
        _panel(axis, part, look, list(map(changes.index, part["change"])))
        axis.set_title(f"width {width}")
        best = part.sort_values("ratio").iloc[-1]
        told.append(f"width {width}: most from {best['change']}, {best['ratio']:.2f} times")
    panels[0].set_yticks(range(len(changes)), changes)
    panels[0].invert_yaxis()
    panels[0].set_ylim(len(changes) - 0.5, -0.7)
    panels[0].figure.supxlabel(f"{name}: times as fast as the published protocol", fontsize=11)
    effect = f"How many times as fast each single change makes an epoch on the {name}."
    return f"{effect} {'; '.join(told)}."


def _panel(axis: Axes, part: pd.DataFrame, look: looks.Look, places: list[int]) -> None:
    """Draw the changes at one width, each at its place from the top."""
    ratios = part["ratio"]
    spread = np.clip([ratios - part["low"], part["high"] - ratios], 0, None)
    axis.axvline(1, color=looks.MARK, lw=1.2, ls="--")
    axis.hlines(places, 1, ratios, color=look.colour, lw=4, alpha=0.35)
    axis.errorbar(ratios, places, xerr=spread, fmt=look.marker, color=look.colour,
                  ecolor="#555555", elinewidth=1)  # fmt: skip
    for ratio, place in zip(ratios, places, strict=True):
        axis.annotate(f"{ratio:.2f}×", (ratio, place), (0, 7), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axis.margins(x=0.18)


def ablation_sentences(table: pd.DataFrame) -> str:
    """Which single change helps most on each device, small model and large."""
    lines = []
    for device, rows in groups(table[table["change"] != BASELINE], "device"):
        told = []
        for width, part in groups(rows, "width"):
            ranked = part.sort_values("ratio")
            best, worst = ranked.iloc[-1], ranked.iloc[0]
            told.append(
                f"at width {width} *{best['change']}* buys most ({best['ratio']:.2f} times as "
                f"fast) and *{worst['change']}* least ({worst['ratio']:.2f})"
            )
        lines.append(f"- {device.upper()}: {'; '.join(told)}.")
    return "\n".join(lines) or (
        "The ablations are not trained yet: `make explain` trains them, one change at a time."
    )


def ablation_caution(table: pd.DataFrame, noise: dict[tuple[str, int], float]) -> str:
    """What differences mean nothing; empty where every change was repeated or nothing is known."""
    cells = zip(table["device"], table["width"], strict=True)
    factors = [noise[cell] for cell in cells if cell in noise]
    if (table["low"] != table["high"]).any() or not factors:
        return ""
    return (
        f"Each change was trained once, while repeats of the published protocol itself differ by a "
        f"factor of up to {max(factors):.2f} at these widths on this machine (the grey bands). "
        "Differences inside a band say nothing: `make explain REPEATS=5` narrows them."
    )
