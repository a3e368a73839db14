"""One measured curve on an axis: its look, its medians, every repeat, its ends in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.modes import two_speeds
from crossover.records import published
from crossover.report.endlabels import EndLabel
from crossover.report.figure import COLOURS, MARKERS

DASHES: dict[str, Any] = {"published": "-", "tuned": (0, (5, 1.5))}
EARLIER: Any = (0, (1, 1.2))
# Single trainings stand beside their median: the CPU's left of it, the GPU's right.
SHIFTS = {"o": -0.13, "s": 0.13}


class Look(NamedTuple):
    """How a curve is told apart: by colour, marker and dashes alike."""

    colour: str
    marker: str
    dashes: Any = "-"


def name_curves(frame: pd.DataFrame, own: str) -> pd.DataFrame:
    """Add ``curve``: device and protocol, and the year where it is the published machine's."""
    year = frame["machine"].map(lambda name: "2018 " if name == published.MACHINE != own else "")
    protocol = frame["protocol"].where(year == "", "")
    name = year + frame["device"].str.upper() + (", " + protocol).where(protocol != "", "")
    return frame.assign(curve=name)


def look_of(row: pd.Series[Any]) -> Look:
    """The look of the curve that a named row belongs to; the published machine's is dotted."""
    dashes = EARLIER if str(row["curve"]).startswith("2018") else DASHES[row["protocol"]]
    return Look(COLOURS[row["device"]], MARKERS[row["device"]], dashes)


def measured_points(
    summary: pd.DataFrame, column: str, by: str
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The measured cells of each curve, in order of size."""
    for name, curve in summary.dropna(subset=[column]).groupby(by, sort=False):
        yield str(name), curve.sort_values("parameters")


def draw_curve(
    ax: Axes, name: str, trials: pd.DataFrame, curve: pd.DataFrame, column: str, look: Look
) -> EndLabel:
    """Draw medians with their interval, and every repeat; noisy cells are hollow.

    Where the repeats have two speeds, a bar joins a cross-line at each of them.

    Parameters
    ----------
    trials, curve : DataFrame
        The curve's trials, and its cells in order of size.
    """
    colour, marker, dashes = look
    sizes = curve["parameters"]
    if column != "accuracy":  # Six bands on one another would hide the curves.
        low, high = (curve[f"{column}_{end}"].fillna(curve[column]) for end in ("low", "high"))
        ax.fill_between(sizes, low, high, color=colour, alpha=0.15, lw=0)
    ax.plot(sizes, curve[column], color=colour, ls=dashes, zorder=2)
    for noisy, points in curve.groupby("noisy"):
        face = "white" if noisy else colour
        ax.plot(points["parameters"], points[column], marker, c=colour, mfc=face, zorder=3)
    beside = math.exp(SHIFTS[marker] * (1 if dashes == "-" else 1.7))
    repeats = trials.dropna(subset=[column])
    ax.plot(repeats["parameters"] * beside, repeats[column], ".", c=colour, ms=5, alpha=0.6, mew=0)
    if column != "accuracy":
        modes = two_speeds(repeats, column, ["parameters"])
        at = modes.index.get_level_values(0)
        ax.vlines(at, modes["fast"], modes["slow"], color=colour, lw=1, zorder=2)
        for speed in ("fast", "slow") if len(modes) else ():
            ax.plot(at, modes[speed], "_", c=colour, ms=13, mew=1.8, zorder=3)
    return EndLabel(sizes.iloc[-1], curve[column].iloc[-1], name, colour)


def ends(name: str, curve: pd.DataFrame, column: str, unit: str = "") -> str:
    """A curve's first and last value in words."""
    first, last = curve.iloc[0], curve.iloc[-1]
    told = (
        f"{name}: {first[column]:.3g}{unit and ' '}{unit} at {first['parameters']:,} parameters, "
        f"{last[column]:.3g}{unit and ' '}{unit} at {last['parameters']:,}."
    )
    two = curve[curve["two_speeds"] != ""] if "two_speeds" in curve and unit else curve[:0]
    speeds = (
        f" Two speeds at {row['parameters']:,}: {row['two_speeds']}." for _, row in two.iterrows()
    )
    return told + "".join(speeds)
