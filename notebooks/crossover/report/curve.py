"""Measured curves on an axis: their names, medians, every repeat, and their ends in words."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from crossover.analysis.modes import two_speeds
from crossover.records import published
from crossover.report.axes import parameter_axis
from crossover.report.endlabels import EndLabel, end_labels
from crossover.report.looks import EARLIER, Look, look_of


def name_curves(frame: pd.DataFrame, own: str) -> pd.DataFrame:
    """Add ``curve``: device and protocol, and the year where it is the published machine's."""
    earlier = (frame["machine"] == published.MACHINE) & (own != published.MACHINE)
    device = frame["device"].str.upper()
    return frame.assign(
        curve=(device + ", " + frame["protocol"]).mask(earlier, f"{EARLIER} " + device)
    )


def curves_plot(
    ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, own: str, column: str, label: str
) -> str:
    """Draw one column of this machine (``own``), and of others, one line for each curve."""
    parameter_axis(ax, cells["parameters"])
    trials, cells = name_curves(trials, own), name_curves(cells, own)
    labels, told = draw_curves(ax, trials, cells, column)
    ax.set_ylabel(label)
    end_labels(ax, labels)
    return f"{label[0].upper()}{label[1:]} against parameters. {told}"


def draw_curves(
    ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, column: str, unit: str = ""
) -> tuple[list[EndLabel], str]:
    """Draw each ``curve`` of both frames; return names for its end, and its ends in words.

    Medians stand with their interval and every repeat, flagged cells are hollow, and where
    the repeats have two speeds, a bar joins a cross-line at each of them.
    """
    labels, told = [], []
    for name, rows in cells.dropna(subset=[column]).groupby("curve", sort=False):
        curve, look = rows.sort_values("parameters"), look_of(rows.iloc[0])
        repeats = trials[trials["curve"] == name].dropna(subset=[column])
        _draw_curve(ax, repeats, curve, column, look)
        size, value = curve[["parameters", column]].iloc[-1]
        labels.append(EndLabel(size, value, str(name), look.colour))
        told.append(ends(str(name), curve, column, unit))
    return labels, " ".join(told)


def _draw_curve(
    ax: Axes, repeats: pd.DataFrame, curve: pd.DataFrame, column: str, look: Look
) -> None:
    colour, sizes = look.colour, curve["parameters"]
    if column != "accuracy":  # Six bands on one another would hide the curves.
        low, high = (curve[f"{column}_{end}"].fillna(curve[column]) for end in ("low", "high"))
        ax.fill_between(sizes, low, high, color=colour, alpha=0.15, lw=0)
    ax.plot(sizes, curve[column], color=colour, ls=look.dashes, zorder=2)
    ax.plot(sizes, curve[column], look.marker, c=colour, zorder=3)
    hollow(ax, sizes, curve[column], curve[f"{column}_flags"], look)
    places = repeats["parameters"] * math.exp(look.beside)
    ax.plot(places, repeats[column], ".", c=colour, ms=5, alpha=0.6, mew=0)
    if column != "accuracy":
        _two_speeds(ax, repeats, column, colour)


def hollow(
    ax: Axes, x: ArrayLike, y: ArrayLike, flags: "pd.Series[str]", look: Look, marker: str = ""
) -> None:
    """Draw the flagged points of a curve hollow, with another marker than its look's if given."""
    drawn = flags.ne("").to_numpy()
    if drawn.any():
        places = np.asarray(x)[drawn], np.asarray(y)[drawn]
        ax.plot(*places, marker or look.marker, c=look.colour, mfc="white", zorder=3)


def _two_speeds(ax: Axes, repeats: pd.DataFrame, column: str, colour: str) -> None:
    modes = two_speeds(repeats, column, ["parameters"])
    at = modes.index.get_level_values(0)
    ax.vlines(at, modes["fast"], modes["slow"], color=colour, lw=1, zorder=2)
    for speed in ("fast", "slow") if len(modes) else ():
        ax.plot(at, modes[speed], "_", c=colour, ms=13, mew=1.8, zorder=3)


def ends(name: str, curve: pd.DataFrame, column: str, unit: str = "") -> str:
    """A curve's first and last value in words, what is hollow, and where times have two speeds."""
    first, last = curve.iloc[0], curve.iloc[-1]
    told = (
        f"{name}: {first[column]:.3g}{unit} at {first['parameters']:,} parameters, "
        f"{last[column]:.3g}{unit} at {last['parameters']:,}."
    )
    if sizes := [f"{size:,}" for size in curve.loc[curve[f"{column}_flags"] != "", "parameters"]]:
        told += f" Hollow, for flagged: {', '.join(sizes)}."
    if unit:
        speeds = curve.set_index("parameters")[f"{column}_two_speeds"]
        for size, both in speeds[speeds != ""].items():
            told += f" Two speeds at {size:,}: {both}."
    return told
