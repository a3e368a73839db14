"""The figures: each draws a frame on an axis and returns the finding as its alt text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from crossover.analysis.crossing import rounded
from crossover.report.curve import DASHES, EARLIER, Look, draw_curve, ends, look_of, measured_points
from crossover.report.curve import name_curves as name_curves
from crossover.report.endlabels import EndLabel, end_labels
from crossover.report.figure import (
    COLOURS,
    INK,
    MARKERS,
    NAMES,
    SOFT,
    clean,
    log_axis,
    parameter_axis,
)
from crossover.report.figure import new_figure as new_figure
from crossover.report.figure import publish as publish

ACCURACIES = [0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995]


# Neither device's colour: these curves are ratios of both.
SPEEDUP_LOOKS = [
    Look(INK, "D", EARLIER),
    Look("#00704f", "^"),
    Look("#7b3294", "v", DASHES["tuned"]),
    Look("#8c6d00", "P", (0, (3, 1, 1, 1))),
]


def crossover_plot(
    ax: Axes,
    trials: pd.DataFrame,
    summary: pd.DataFrame,
    crossing: pd.Series[Any] | None = None,
    timing: str = "cold",
) -> str:
    """Draw seconds against parameters for each device, and where they cross.

    Parameters
    ----------
    trials, summary : DataFrame
        At most one CPU curve and one GPU curve, which may be of two machines.
    crossing : Series, optional
        A row of `crossover.analysis.comparison.crossovers`.
    timing : 'cold' or 'steady'
    """
    column = f"{timing}_seconds"
    parameter_axis(ax, summary["parameters"])
    log_axis(ax)
    labels, found = [], []
    for device, curve in measured_points(summary, column, "device"):
        dots = trials[trials["device"] == device]
        look = Look(COLOURS[device], MARKERS[device])
        labels.append(draw_curve(ax, NAMES[device], dots, curve, column, look))
        found.append(ends(NAMES[device], curve, column, "s"))
    ax.set_ylabel(f"training time, {timing} (seconds)")
    _name_machines(ax, summary)
    if crossing is not None and crossing["status"] == "crossed":
        _crossing_rule(ax, crossing)
    end_labels(ax, labels)
    finding = "" if crossing is None else f"{crossing['sentence']} "
    return f"{finding}Training time against parameters on logarithmic axes. {' '.join(found)}"


def _name_machines(ax: Axes, summary: pd.DataFrame) -> None:
    """Name the machine behind each curve above the axis; once where both are of one."""
    owners = summary.groupby("device")["machine"].first().map(clean)
    if owners.nunique() > 1:
        lines = [f"{NAMES[str(device)]} of {machine}" for device, machine in owners.items()]
    else:
        lines = list(owners[:1])
    ax.set_title("\n".join(lines))


def _crossing_rule(ax: Axes, crossing: pd.Series[Any]) -> None:
    """Mark the crossover with its interval, and say which device wins on either side."""
    estimate, low, high = (float(crossing[name]) for name in ("estimate", "low", "high"))
    known = np.isfinite(low) and np.isfinite(high)
    if known:
        ax.axvspan(low, high, color=SOFT, alpha=0.18, lw=0)
    ax.axvline(estimate, color=INK, lw=1.2, ls="--")
    spread = str(crossing["spread"])
    share = float(ax.transAxes.inverted().transform(ax.transData.transform((estimate, 1)))[0])
    side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    above: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    ax.annotate(f"crossover at about {rounded(estimate)} parameters\n({spread})",
                (estimate, 1), (0, 3), ha=side, va="bottom", fontsize=10, **above)  # fmt: skip
    ax.set_title(ax.get_title(loc="left"), pad=36)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (top / bottom) ** 0.1)
    if side == "center":
        ends = (low, high) if known else (estimate, estimate)
        sides = zip(ends, ("← CPU faster", "GPU faster →"), (-5, 5), ("right", "left"), strict=True)
        for x, text, to, place in sides:
            ax.annotate(text, (x, 1), (to, -5), ha=place, va="top", c=SOFT, fontsize=10, **above)


def speedup_plot(ax: Axes, curves: dict[str, pd.DataFrame]) -> str:
    """Draw CPU time / GPU time against parameters, with the line where both are equal.

    Parameters
    ----------
    curves : dict of DataFrame
        By label, frames with ``parameters`` and ``speedup``.
    """
    parameter_axis(ax, pd.concat([curve["parameters"] for curve in curves.values()]))
    log_axis(ax)
    labels, found = [], []
    for (name, curve), look in zip(curves.items(), SPEEDUP_LOOKS, strict=False):
        curve = curve.dropna(subset=["speedup"]).sort_values("parameters")
        ax.plot(curve["parameters"], curve["speedup"], c=look.colour, marker=look.marker,
                ls=look.dashes)  # fmt: skip
        last = curve.iloc[-1]
        text = f"{last['speedup']:.3g}×, {clean(name)}"
        labels.append(EndLabel(last["parameters"], last["speedup"], text, look.colour))
        found.append(_speedup_finding(clean(name), curve))
    ax.set_ylabel("speed-up: CPU time / GPU time")
    _equal_line(ax)
    end_labels(ax, labels)
    return "Speed-up of the GPU over the CPU against parameters. " + " ".join(found)


def _equal_line(ax: Axes) -> None:
    """The line where both devices are equally fast, named on either side."""
    bottom, top = ax.get_ylim()
    ax.set_ylim(min(bottom, 0.6), max(top, 1.6))
    ax.axhline(1, color=INK, lw=1.2, ls="--", zorder=1)
    left: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    for text, to, place in (("GPU faster ↑", 4, "bottom"), ("CPU faster ↓", -4, "top")):
        ax.annotate(text, (0.995, 1), (0, to), ha="right", va=place, color=SOFT, fontsize=10,
                    **left)  # fmt: skip


def _speedup_finding(name: str, curve: pd.DataFrame) -> str:
    """Where the GPU wins on a curve, and by how much at its ends."""
    wins = curve.loc[curve["speedup"] > 1, "parameters"]
    sizes = f"{len(wins)} of {len(curve)} sizes"
    since = f"{sizes}, the smallest of {wins.iloc[0]:,} parameters" if len(wins) else sizes
    return f"On {name}, the GPU is faster at {since}. {ends('Ratio', curve, 'speedup')}"


def curves_plot(
    ax: Axes, trials: pd.DataFrame, summary: pd.DataFrame, column: str, label: str
) -> str:
    """Draw one column against parameters, one line for each ``curve`` of both frames."""
    parameter_axis(ax, summary["parameters"])
    labels, found = [], []
    for name, curve in measured_points(summary, column, "curve"):
        dots = trials[trials["curve"] == name]
        labels.append(draw_curve(ax, name, dots, curve, column, look_of(curve.iloc[0])))
        found.append(ends(name, curve, column))
    ax.set_ylabel(label)
    end_labels(ax, labels)
    return f"{label[0].upper()}{label[1:]} against parameters. " + " ".join(found)


def seconds_plot(ax: Axes, trials: pd.DataFrame, summary: pd.DataFrame, timing: str) -> str:
    """Draw median seconds against parameters, one line for each ``curve``."""
    log_axis(ax)
    label = f"training time, {timing} (seconds)"
    return curves_plot(ax, trials, summary, f"{timing}_seconds", label)


def accuracy_plot(ax: Axes, trials: pd.DataFrame, summary: pd.DataFrame) -> str:
    """Draw test accuracy on an axis that spreads out the values near 100 % (logit)."""
    ax.set_yscale("logit")
    ax.yaxis.set_major_locator(FixedLocator(ACCURACIES))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    ax.yaxis.set_minor_locator(NullLocator())
    alt = curves_plot(ax, trials, summary, "accuracy", "test accuracy")
    return f"{_accuracy_finding(summary)} {alt}"


def _accuracy_finding(summary: pd.DataFrame) -> str:
    """How far the curves lie apart at the largest model."""
    known = summary.dropna(subset=["accuracy"])
    largest = known[known["parameters"] == known["parameters"].max()]["accuracy"]
    if len(largest) < 2:
        return ""
    return (
        f"At the largest model the {len(largest)} curves lie between {largest.min():.2%} and "
        f"{largest.max():.2%}."
    )
