"""Accuracy: whether both devices learn the same."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from crossover.records import published
from crossover.report import curve, figure, text
from crossover.report.results import Results

TICKS = [0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995]


def show(results: Results) -> None:
    """Show whether the devices differ, and this machine's curves beside the published ones."""
    merged = results.merged
    text.show(parity_sentence(results.parity, merged.own))
    machines = [merged.own, *([published.MACHINE] if merged.comparable(published.MACHINE) else [])]
    trials, cells = (
        frame[frame["machine"].isin(machines)] for frame in (merged.trials, results.cells)
    )
    figure.show(results.figures, "accuracy", accuracy_plot, trials, cells, merged.own)


def parity_sentence(parity: pd.DataFrame, machine: str) -> str:
    """Whether both devices learn the same on one machine."""
    rows = parity[(parity["machine"] == machine) & (parity["method"] != "missing")]
    if rows.empty:
        return (
            "Only one device was measured here: whether both learn the same is not known. Its "
            "accuracy stands beside the published study's where that is of the same learning "
            "problem."
        )
    worst = rows.iloc[int(rows["difference"].abs().to_numpy().argmax())]
    difference, low, high = (text.signed_points(worst[n]) for n in ("difference", "low", "high"))
    largest = (
        f"The largest difference in test accuracy between the devices is "
        f"{difference} points (GPU − CPU) at width {worst['width']}, {worst['protocol']} (95% "
        f"interval {low} to {high})."
    )
    differing = rows[rows["differs"]]["width"].tolist()
    if not differing:
        return (
            f"{largest} That is the interval of one width alone; with Holm's correction for "
            "several, none differs by more than chance."
        )
    widths = ", ".join(map(str, differing))
    told = f"**Warning: the devices differ at width {widths}.** {largest}"
    if (rows["method"] == "binomial").any():
        told += (
            " These are single trainings: the interval knows nothing of how much repeats differ."
        )
    return told


def parity_warning(parity: pd.DataFrame, machine: str) -> str:
    """The warning for the top of the report; empty where both devices learn the same."""
    differs = parity.loc[parity["machine"] == machine, "differs"].any()
    told = differs and machine != published.MACHINE
    return f"> {parity_sentence(parity, machine)}" if told else ""


def accuracy_plot(ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, own: str) -> str:
    """Draw test accuracy on an axis that spreads out the values near 100% (logit)."""
    ax.set_yscale("logit")
    ax.yaxis.set_major_locator(FixedLocator(TICKS))
    ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    ax.yaxis.minorticks_off()
    alt = curve.curves_plot(ax, trials, cells, own, "accuracy", "test accuracy")
    measured = cells.dropna(subset=["accuracy"])
    largest = measured[measured["parameters"] == measured["parameters"].max()]["accuracy"]
    low, high = f"{largest.min():.2%}", f"{largest.max():.2%}"
    finding = f"At the largest model the {len(largest)} curves lie between {low} and {high}."
    return f"{finding if len(largest) > 1 else ''} {alt}"
