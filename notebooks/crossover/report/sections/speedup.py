"""Speed-up: CPU time over GPU time, and every comparison's crossover."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from crossover.analysis.crossing import capitals
from crossover.analysis.speedup import pair_speedups
from crossover.records import published
from crossover.records.frame import groups
from crossover.report import axes, endlabels, figure, htmltable, looks
from crossover.report.columns import Column, words
from crossover.report.curve import ends, hollow
from crossover.report.results import Results

RATIO = "cold_speedup"
NAMED = 0.25  # Of the axis, that the names of the line's two sides take.
COLUMNS = [
    Column("CPU of", "cpu_machine", text=True),
    Column("GPU of", "gpu_machine", text=True),
    *words("protocol", "timing"),
    Column("status", form=capitals, text=True),
    Column("result", "sentence", text=True),
]


def show(results: Results) -> None:
    """Draw the ratios of the answer's comparison, in every protocol, beside the published ones."""
    merged = results.merged
    curves = {published.MACHINE: pair_speedups(results.cells, *[published.MACHINE] * 2)}
    if merged.records:
        named = f"{merged.processor('cpu')} / {merged.processor('gpu')}"
        own = pair_speedups(results.cells, merged.own, merged.gpu_machine)
        for protocol, rows in groups(own, "protocol"):
            if rows[RATIO].notna().any():
                curves[f"{named}, {protocol}"] = rows
    figure.show(results.figures, "speedup", speedup_plot, curves)


def show_crossovers(results: Results) -> None:
    """Show every comparison of which both devices were measured."""
    compared = results.crossings[results.crossings["status"] != "missing device"]
    same = compared["cpu_machine"] == compared["gpu_machine"]
    gpu = compared["gpu_machine"].mask(same, "the same machine")
    htmltable.show(compared.assign(gpu_machine=gpu), "Crossovers", COLUMNS)


def speedup_plot(ax: Axes, curves: dict[str, pd.DataFrame]) -> str:
    """Draw CPU time / GPU time against parameters, with the line where both are equal.

    ``curves`` holds rows of `crossover.analysis.speedup.speedups` by their label.
    """
    axes.parameter_axis(ax, pd.concat([curve["parameters"] for curve in curves.values()]))
    axes.log_axis(ax)
    labels, told, drawn = [], [], []
    for (label, rows), look in zip(curves.items(), looks.RATIO_LOOKS, strict=False):
        name, curve = figure.clean(label), rows.dropna(subset=[RATIO]).sort_values("parameters")
        drawn.append(curve)
        ax.plot(curve["parameters"], curve[RATIO], c=look.colour, marker=look.marker,
                ls=look.dashes)  # fmt: skip
        hollow(ax, curve["parameters"], curve[RATIO], curve[f"{RATIO}_flags"], look)
        size, ratio = curve[["parameters", RATIO]].iloc[-1]
        labels.append(endlabels.EndLabel(size, ratio, f"{ratio:.3g}×, {name}", look.colour))
        told.append(_finding(name, curve))
    ax.set_ylabel("speed-up: CPU time / GPU time (cold)")
    _equal_line(ax, drawn)
    endlabels.end_labels(ax, labels)
    return "Speed-up of the GPU over the CPU against parameters. " + " ".join(told)


def _equal_line(ax: Axes, curves: Sequence[pd.DataFrame]) -> None:
    """The line where both devices are equally fast, named at the end that curves keep away from."""
    bottom, top = ax.get_ylim()
    ax.set_ylim(min(bottom, 0.6), max(top, 1.6))
    ax.axhline(1, color=looks.INK, lw=1.2, ls="--", zorder=1)
    points = pd.concat(curves)[["parameters", RATIO]].to_numpy(dtype=np.float64)
    places = ax.transAxes.inverted().transform(ax.transData.transform(points))[:, 0]
    away = np.abs(np.log(points[:, 1]))
    ends = {"right": places > 1 - NAMED, "left": places < NAMED}
    side = max(ends, key=lambda end: away[ends[end]].min(initial=np.inf))
    look: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": side,
                 "color": looks.SOFT, "fontsize": 10,
                 "path_effects": [withStroke(linewidth=3, foreground="white")]}  # fmt: skip
    place = {"right": 0.995, "left": 0.005}[side]
    ax.annotate("GPU faster ↑", (place, 1), (0, 4), va="bottom", **look)
    ax.annotate("CPU faster ↓", (place, 1), (0, -4), va="top", **look)


def _finding(name: str, curve: pd.DataFrame) -> str:
    """Where the GPU wins on a curve, and by how much at its ends."""
    wins = curve.loc[curve[RATIO] > 1, "parameters"]
    sizes = f"{len(wins)} of {len(curve)} sizes"
    since = f"{sizes}, the smallest of {wins.iloc[0]:,} parameters" if len(wins) else sizes
    return f"On {name}, the GPU is faster at {since}. {ends('Ratio', curve, RATIO)}"
