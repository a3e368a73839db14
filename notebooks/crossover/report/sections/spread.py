"""Each cell with its spread over the repeats and its flags."""

from collections.abc import Sequence

import pandas as pd

from crossover.analysis.modes import APART
from crossover.analysis.order import FEWEST_REPEATS
from crossover.analysis.position import position_effects
from crossover.analysis.summary import (
    FOREIGN_LIMIT,
    QUOTA_LIMIT,
    SPREAD_LIMIT,
    STEAL_LIMIT,
    TIMES,
)
from crossover.records.record import Record
from crossover.records.unusual import REMEDIES
from crossover.report import htmltable, text
from crossover.report.columns import DEVICE, PARAMETERS, PROTOCOL, Column, Row, limits
from crossover.report.results import Results
from crossover.words import counted


def show(results: Results) -> None:
    """Show this machine's cells, what is to be said against them, and what a flag means."""
    trials, cells = results.own_trials, results.own_cells
    text.show(noise_sentence(cells, len(trials)))
    text.show(two_speeds_sentence(cells))
    text.show(processes_sentence(results.merged.records))
    caption = "Medians; from two repeats their range, from five an interval by order statistics"
    htmltable.show(cells, caption, COLUMNS)
    text.show(flags_sentence())
    text.show(position_sentence(position_effects(trials)))


def _flags(row: Row) -> str:
    """What is to be said against a cell, 'none', or that one training tells no spread."""
    if row["flags"]:
        return htmltable.Strong(text.flagged(row["flags"]))
    return "none" if row["repeats"] > 1 else "spread not assessable"


COLUMNS = [
    PROTOCOL, DEVICE, PARAMETERS, Column("repeats"),
    Column("cold s", limits("cold_seconds"), text.three_digits),
    Column("steady s", limits("steady_seconds"), text.three_digits),
    Column("accuracy", limits("accuracy"), ".3f"),
    Column("flags", _flags, text=True),
]  # fmt: skip


def noise_sentence(cells: pd.DataFrame, trials: int) -> str:
    """How many cells of a machine are flagged, and how many repeats stand behind each."""
    fewest, most = cells["repeats"].min(), cells["repeats"].max()
    outside = int(cells["outliers"].sum())
    outliers = (
        f"{counted(outside, 'trial')} outside the usual range of their cells (none is dropped)"
    )
    if most < FEWEST_REPEATS:
        outliers = f"outliers are assessable from {FEWEST_REPEATS} repeats on"
    flagged = (cells["flags"] != "").sum()
    told = (
        f"{counted(trials, 'trial')}, {text.span(fewest, most)} a cell; {flagged} of "
        f"{counted(len(cells), 'cell')} are flagged; {outliers}."
    )
    if fewest == 1:
        told += (
            " Spread and two speeds are not assessable from a single training: "
            "`make report REPEATS=5`."
        )
    if failed := (cells["accuracy_flags"] != "").sum():
        whole = f"{failed} of {len(cells)}"
        told += f" **Warning: the training failed in {whole} cells; the flags say how.**"
    return told


def two_speeds_sentence(cells: pd.DataFrame) -> str:
    """The cells of a machine whose repeats have two speeds, as Markdown; empty without any."""
    names = [f"{name}_two_speeds" for name in TIMES]
    rows = cells[(cells[names] != "").any(axis=1)]
    if rows.empty:
        return ""
    told = "\n".join(
        f"- {row['protocol']}, {row['device'].upper()}, width {row['width']}: "
        + "; ".join(filter(None, row[names]))
        for _, row in rows.iterrows()
    )
    return (
        f"**{counted(len(rows), 'cell')} with two speeds:** the repeats fall into two groups with "
        f"a gap between them. Read both speeds, not only the median:\n\n{told}"
    )


def processes_sentence(records: Sequence[Record]) -> str:
    """The repeats whose widths were trained in several processes, as Markdown; empty without any.

    Trials of one process share the seconds that its framework took to start.
    """
    processes: dict[tuple[str, str, int], dict[float, list[int]]] = {}
    for one in records:
        sweep = processes.setdefault((one.settings.protocol, one.device, one.repeat), {})
        sweep.setdefault(one.phases.runtime_start, []).append(one.width)
    several = [
        f"{protocol}, {device.upper()}, repeat {repeat}: widths "
        + "; ".join(", ".join(map(str, sorted(widths))) for widths in parts.values())
        for (protocol, device, repeat), parts in processes.items()
        if len(parts) > 1
    ]
    if not several:
        return ""
    return (
        f"**{counted(len(several), 'curve')} trained in parts:** processes differ in speed, so "
        "that a step between widths of two processes may be theirs and not the widths':\n\n"
        + "\n".join(f"- {one}" for one in text.first(several))
    )


def flags_sentence() -> str:
    """What each flag means, with its limit, and what to do where anything can be done."""
    remedies = "; ".join(f"{what}: {remedy}" for what, remedy in REMEDIES.items())
    return (
        f"⚑ A cell is flagged where the middle half of its repeats spreads over more than "
        f"{SPREAD_LIMIT:.0%} of their median (*spread*), the repeats fall into two groups whose "
        f"medians are more than {APART:.1f} times apart (*two speeds*), the hypervisor took more "
        f"than {STEAL_LIMIT:.0%} of the machine's capacity (*steal*), other programs more than "
        f"{FOREIGN_LIMIT:.0%} (*foreign load*), a container's CPU quota held a training back in "
        f"more than {QUOTA_LIMIT:.0%} of the scheduler's periods (grant it more cores), something "
        f"held the CPU's clock down ({remedies}), the GPU lowered its clock (*throttled*), "
        f"the throw-away training before its sweep had the same width, so that its cold time "
        f"leaves out some of what a training costs once (*warmed up*; in trials of earlier "
        f"versions), or a training failed (*loss not finite*, *learned nothing*). The mark stands "
        f"at what the reason touches: cold or steady times, both, or the accuracy."
    )


def position_sentence(effects: pd.DataFrame) -> str:
    """What a training's place in its sweep does to its time; why that is unknown where it is."""
    if effects.empty:
        return "What a training's place in its sweep does to its time is told from five repeats on."
    told = "; ".join(
        f"{row['protocol']} {row['device'].upper()} {text.signed_share(row['effect'])} "
        f"({row['interval']} "
        f"{text.signed_share(row['low'])} to {text.signed_share(row['high'])})"
        for _, row in effects.iterrows()
    )
    return f"The last training of a sweep, compared with the first, other things equal: {told}."
