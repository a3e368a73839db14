"""Where a step's time goes: its parts measured by themselves, and as a profiler sees it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.ablations import WIDTHS
from crossover.analysis.breakdown import PARTS, profile_table, step_breakdown
from crossover.records.ceilings import KINDS
from crossover.records.frame import groups
from crossover.report import figure, htmltable, looks, text
from crossover.report.columns import DEVICE, PROTOCOL, WIDTH, Column, numbers
from crossover.report.results import Results

# Okabe and Ito's colours and a hatch, the unexplained rest in grey; alike what both figures show.
LOOKS = {
    "matrix products": ("#0072B2", ""),
    "optimizer": ("#56B4E9", "//"),
    "other arithmetic": ("#56B4E9", "//"),
    "batch copy": ("#D55E00", "xx"),
    "copying to the device": ("#D55E00", "xx"),
    "copying from the device": ("#F0E442", "--"),
    "waiting for a batch": ("#009E73", "\\\\"),
    "dispatch": ("#E69F00", ".."),
    "starting operations": ("#E69F00", ".."),
    "validation": ("#009E73", "\\\\"),
    "metrics": ("#CC79A7", "++"),
    "Python": ("#CC79A7", "++"),
    "not attributed": ("#B8BDC4", ""),
}


def show(results: Results) -> None:
    """Show the parts of a step, where ceilings were measured at the ablations' widths."""
    parts = step_breakdown(results.own_trials, results.merged.recorded, results.ceilings)
    told = parts[parts["width"].isin(WIDTHS)]
    if len(told):
        figure.show(results.figures, "breakdown", breakdown_plot, told)
        text.show(breakdown_sentences(told))
        measured = [Column("step", "step_us", ",.0f"), *numbers(PARTS, ",.0f")]
        caption = "Parts of a steady step, microseconds"
        htmltable.show(parts, caption, [PROTOCOL, DEVICE, WIDTH, *measured])


def show_profile(results: Results) -> None:
    """Show what the profiler saw, or how to let it look."""
    profile = profile_table(results.own_trials, results.ceilings)
    told = profile[profile["width"].isin(WIDTHS)]
    text.show(profile_sentences(told))
    if len(told):
        figure.show(results.figures, "profile", profile_plot, told)
        columns = [
            DEVICE, WIDTH, Column("study's step", "step_us", ",.0f"),
            Column("profiled step", "profiled_us", ",.0f"), *numbers(_seen(profile), ",.0f"),
        ]  # fmt: skip
        caption = "A published step under the framework's profiler, microseconds"
        htmltable.show(profile, caption, columns)


def _seen(profile: pd.DataFrame) -> list[str]:
    """What the profiler saw in any step."""
    return [kind for kind in KINDS if profile[kind].any()]


def breakdown_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw the steps of `crossover.analysis.breakdown.step_breakdown` as bars of their parts."""
    ax.set_xlabel("share of a steady step\n(parts that overlap in time can pass 100 %)")
    largest = _share_bars(ax, table, PARTS, "step_us")
    return f"Parts of a training step as shares of its time. {largest}."


def profile_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw the steps of `crossover.analysis.breakdown.profile_table` as bars of what was seen."""
    ax.set_xlabel("share of a published step under the profiler")
    largest = _share_bars(ax, table, _seen(table), "profiled_us")
    return f"What the profiler saw in a published step, as shares of its time. {largest}."


def _share_bars(ax: Axes, table: pd.DataFrame, parts: Sequence[str], whole: str) -> str:
    """Draw one bar of shares a row; return each row's largest part in words."""
    labels = [
        f"{' '.join([row['device'].upper(), *([row['protocol']] if 'protocol' in row else [])])}, "
        f"width {row['width']} ({row[whole]:,.0f} µs)"
        for row in table.to_dict("records")
    ]
    shares = table[list(parts)].astype(float).div(table[whole], axis=0)
    left = np.zeros(len(table))
    for part in parts:
        share, (colour, hatch) = shares[part].clip(lower=0).fillna(0).to_numpy(), LOOKS[part]
        ax.barh(labels, share, left=left, color=colour, hatch=hatch, edgecolor="white",
                linewidth=0.5, label=part)  # fmt: skip
        left += share
    ax.axvline(1, color=looks.MARK, lw=1.2, ls="--")
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.grid(axis="y", visible=False)
    ax.figure.legend(loc="outside upper center", ncols=4, fontsize=9)
    largest = zip(labels, shares.idxmax(axis=1), shares.max(axis=1), strict=True)
    return "; ".join(f"{label}: most in {part}, {share:.0%}" for label, part, share in largest)


def breakdown_sentences(breakdown: pd.DataFrame) -> str:
    """The largest part of a step at the smallest and largest width of each curve."""

    def told(row: "pd.Series[Any]") -> str:
        parts = row[PARTS[:-1]].astype(float).dropna()
        rest, over = float(row["not attributed"]) / row["step_us"], "could not be attributed"
        return (
            f"at width {row['width']} the largest measured part is {parts.idxmax()} "
            f"({parts.max() / row['step_us']:.0%} of {row['step_us']:,.0f} µs; "
            f"{f'{rest:.0%} {over}' if rest >= 0 else f'parts overlap by {-rest:.0%}'})"
        )

    return _of_ends(breakdown, ["protocol", "device"], told)


def profile_sentences(profile: pd.DataFrame) -> str:
    """How much of a profiled step is arithmetic, smallest and largest model of each device."""

    def told(row: "pd.Series[Any]") -> str:
        share = row[list(KINDS)].astype(float) / row["profiled_us"]
        arithmetic = share["matrix products"] + share["other arithmetic"]
        copying = share["copying to the device"] + share["copying from the device"]
        rest = share["starting operations"] + share["Python"]
        return (
            f"at width {row['width']}, of {row['profiled_us']:,.0f} µs, {arithmetic:.0%} is "
            f"arithmetic, {copying:.0%} copying to and from the device, "
            f"{share['waiting for a batch']:.0%} waiting for a batch, and "
            f"{rest:.0%} starting operations and Python"
        )

    nothing = "No step was profiled here: `make report` does it once."
    return _of_ends(profile, ["device"], told) or nothing


def _of_ends(
    table: pd.DataFrame, curves: list[str], tell: Callable[["pd.Series[Any]"], str]
) -> str:
    """A line for each curve of what there is to tell of its smallest and its largest width."""
    lines = []
    for (*protocol, device), rows in groups(table, curves):
        small, large = (row for _, row in rows.sort_values("width").iloc[[0, -1]].iterrows())
        curve = ", ".join([device.upper(), *protocol])
        lines.append(f"- {curve}: {tell(small)}; {tell(large)}.")
    return "\n".join(lines)
