"""The crossover that the time models imply, beside the measured one."""

import numpy as np
import pandas as pd

from crossover.analysis.crossing import capitals, outwards, rounded
from crossover.analysis.derived import crosses, derived_crossovers
from crossover.report import htmltable, text
from crossover.report.columns import Column, Row
from crossover.report.results import Results

MEANING = (
    "Two lines cross where the GPU's greater overhead is made up for by its faster arithmetic: at "
    "(the GPU's overhead − the CPU's) / (the CPU's seconds for each parameter − the GPU's) "
    "parameters. The *derived* crossover is that of the lines; the measured one is that of the "
    "medians, and needs no line."
)


def show(results: Results) -> None:
    """Show the crossover of the lines of every comparison that has both, and why it is off."""
    table = derived_crossovers(results.merged.trials, results.crossings)
    if len(table):
        text.show(f"{MEANING}\n\n{derived_sentences(table)}")
        htmltable.show(table, "Crossovers by the time models, in parameters", COLUMNS)


def derived_sentences(table: pd.DataFrame) -> str:
    """What the lines say of each row of `derived_crossovers`, as a Markdown list."""
    return "\n".join(
        f"- {text.literal(_compared(row))}, {row['protocol']} ({_times(row)}): {_derived(row)}; "
        f"measured: {_measured(row)}.{_difference(row)}"
        for row in table.to_dict("records")
    )


def _compared(row: Row) -> str:
    if row["cpu_machine"] == row["gpu_machine"]:
        return f"CPU and GPU of {row['cpu_machine']}"
    return f"CPU of {row['cpu_machine']} and GPU of {row['gpu_machine']}"


def _times(row: Row) -> str:
    """Which times are compared, and that a line was fitted anew for that."""
    if not row["refitted"]:
        return f"{row['timing']} times"
    other = {"CPU": "GPU", "GPU": "CPU"}[row["refitted"]]
    return (
        f"{row['timing']} times: the {other} has no others, so the {row['refitted']}'s line is "
        f"fitted to its {row['timing']} times here, not to its steady ones as above"
    )


def _derived(row: Row) -> str:
    if not crosses(row["derived"]):
        return f"by the lines {_everywhere(row['derived'])}"
    return (
        f"the lines cross at {rounded(row['derived'])} parameters ({_span(row)} where times "
        f"may lie as far from a line as the median that is farthest from it: "
        f"{row['cpu_miss']:.0%} on the CPU, {row['gpu_miss']:.0%} on the GPU)"
    )


def _everywhere(derived: float) -> str:
    """What lines say that do not cross from the CPU's side to the GPU's."""
    if np.isnan(derived):
        return "the GPU is not the faster one for large models"
    return f"the {'GPU' if derived == 0 else 'CPU'} is faster at every size"


def _span(row: Row) -> str:
    ends = row["derived_low"], row["derived_high"]
    crossing = [end if crosses(end) else np.nan for end in ends]
    return " to ".join(map(_size, ends, outwards(*crossing)))


def _size(parameters: float, shown: float) -> str:
    """From how many parameters on the GPU is faster, where the lines may not cross at all."""
    if np.isnan(parameters):
        return "small models only"
    if not crosses(parameters):
        return "any size" if parameters == 0 else "no size"
    return f"{shown:,.0f}"


def _measured(row: Row) -> str:
    if row["status"] == "crossed":
        return f"{rounded(row['estimate'])} ({row['spread']})"
    return f"{_status(row)} ({row['reason']})"


def _status(row: Row) -> str:
    return capitals(row["status"])


def _difference(row: Row) -> str:
    """How far both are apart, and why; where nothing crossed, where the derived one lies."""
    if row["status"] != "crossed":
        return _place(row)
    if not crosses(row["derived"]):
        return _misses(row)
    told = f" The derived one is {row['factor']:.2f} times the measured one{_inside(row)}"
    if max(row["factor"], 1 / row["factor"]) - 1 <= row["interpolation"]:
        most = f"{100 * row['interpolation']:.2g}%"
        return f"{told}: no more than straight lines between sizes may misplace that (±{most})."
    apart = f"{abs(row['apart']):.0%} {'above' if row['apart'] > 0 else 'below'} the GPU's"
    return (
        f"{told}{_cause(row)}.{_misses(row)} So at the measured crossover the "
        f"CPU's line lies {apart}, and where the lines cross, 1% of either time moves the derived "
        f"one by {row['leverage']:.2g}%."
    )


def _misses(row: Row) -> str:
    """How far the medians lie from their lines, next to the measured crossover."""
    return (
        f" At {row['bracket_low']:,.0f} parameters the CPU's median lies {_side(row['cpu_before'])}"
        f" its line and the GPU's {_side(row['gpu_before'])} it; at {row['bracket_high']:,.0f} the "
        f"CPU's {_side(row['cpu_after'])} it and the GPU's {_side(row['gpu_after'])} it."
    )


def _inside(row: Row) -> str:
    """Where the derived crossover lies by the measured one's interval, if it has any."""
    if not text.finite(row["low"]):
        return ""
    inside = row["low"] <= row["derived"] <= row["high"]
    return f", {'inside' if inside else 'outside'} the measured one's interval"


def _cause(row: Row) -> str:
    """Whether a difference is more than noise, as far as the measured one's interval tells."""
    if not text.finite(row["low"]):
        return "; whether noise or a line that is not exact sets them apart is not known"
    if row["low"] <= row["derived"] <= row["high"]:
        return ": noise alone may set them apart"
    return ": a straight line is not exact"


def _side(miss: float) -> str:
    if abs(miss) < 0.005:
        return "on"
    return f"{abs(miss):.0%} {'above' if miss > 0 else 'below'}"


def _place(row: Row) -> str:
    """Where a derived crossover lies that was not measured."""
    if not crosses(row["derived"]) or not text.finite(row["smallest"]):
        return ""
    if row["derived"] < row["smallest"]:
        return f" That is below the smallest size timed on both, {row['smallest']:,.0f}."
    if row["derived"] > row["largest"]:
        return f" That is above the largest size timed on both, {row['largest']:,.0f}."
    return " That is among the sizes timed on both."


def _line(device: str) -> Column:
    """A device's line, as its overhead and what each parameter adds."""
    return Column(
        f"{device.upper()}'s line",
        lambda row: (
            f"{row[f'{device}_overhead_us']:,.0f} µs + "
            f"{text.three_digits(row[f'{device}_parameter_ns'])} ns × parameters"
        ),
        text=True,
    )


def _derived_cell(row: Row) -> str:
    if crosses(row["derived"]):
        return f"{rounded(row['derived'])} ({_span(row)})"
    return text.MISSING if np.isnan(row["derived"]) else _everywhere(row["derived"])


def _estimate_cell(row: Row) -> str:
    return rounded(row["estimate"]) if row["status"] == "crossed" else _status(row)


def _limits_cell(row: Row) -> str:
    return str(row["spread"]) if row["status"] == "crossed" else text.MISSING


COLUMNS = [
    Column("comparison", _compared, text=True),
    Column("times", lambda row: f"{row['protocol']}, {row['timing']}", text=True),
    _line("cpu"),
    _line("gpu"),
    Column("derived", _derived_cell),
    Column("measured", _estimate_cell),
    Column("its interval", _limits_cell, text=True),
    Column("derived / measured", "factor", ".2f"),
]
