"""Each cell with its spread over the repeats and its flags."""

import pandas as pd

from crossover.analysis.merge import Merged
from crossover.analysis.modes import APART
from crossover.analysis.position import position_effects
from crossover.analysis.summary import FOREIGN_LIMIT, QUOTA_LIMIT, SPREAD_LIMIT, STEAL_LIMIT
from crossover.records.unusual import REMEDIES
from crossover.report import htmltable, text
from crossover.report.columns import DEVICE, PARAMETERS, PROTOCOL, Column, Row, limits
from crossover.report.htmltable import Strong
from crossover.report.results import Results
from crossover.report.text import three_digits
from crossover.words import counted


def show(results: Results) -> None:
    """Show this machine's cells, what is to be said against them, and what a flag means."""
    study, cells = results.study, results.cells
    text.show(noise_sentence(study, cells))
    text.show(two_speeds_sentence(study, cells))
    caption = "Medians; from two repeats their range, from five an interval by order statistics"
    htmltable.show(results.own_cells, caption, COLUMNS)
    text.show(flags_sentence())
    text.show(position_sentence(position_effects(results.own_trials)))


def _flags(row: Row) -> str:
    """What is to be said against a cell, or 'none'."""
    flags = "; ".join(filter(None, (row["learning"], row["noise"])))
    return Strong(f"⚑ {flags}") if flags else "none"


COLUMNS = [
    PROTOCOL, DEVICE, PARAMETERS, Column("repeats"),
    Column("cold s", limits("cold_seconds"), three_digits, to="–"),
    Column("steady s", limits("steady_seconds"), three_digits, to="–"),
    Column("accuracy", limits("accuracy"), ".3f", to="–"),
    Column("flags", _flags, text=True),
]  # fmt: skip


def noise_sentence(study: Merged, cells: pd.DataFrame) -> str:
    """How many cells of this machine are flagged, and how many repeats stand behind each."""
    rows = cells[cells["machine"] == study.own]
    repeats = sorted(set(rows["repeats"]))
    count = f"{repeats[0]} to {repeats[-1]}" if len(repeats) > 1 else f"{repeats[0]}"
    single = (
        " A single repeat shows no spread: run `make report REPEATS=5`." if 1 in repeats else ""
    )
    failed = int((rows["learning"] != "").sum())
    warning = (
        f" **Warning: the training failed in {failed} of {len(rows)} cells; the flags say how.**"
    )
    return (
        f"{len(study.of(study.own))} trials, {count} a cell; {int(rows['noisy'].sum())} of "
        f"{len(rows)} cells are flagged as noisy and {int(rows['outliers'].sum())} trials as "
        f"outliers (none is dropped).{single}{warning if failed else ''}"
    )


def two_speeds_sentence(study: Merged, cells: pd.DataFrame) -> str:
    """The cells of this machine whose repeats have two speeds, as Markdown; empty without any."""
    rows = cells[(cells["machine"] == study.own) & cells["two_speeds"].ne("")]
    if rows.empty:
        return ""
    told = "\n".join(
        f"- {row['protocol']}, {row['device'].upper()}, width {row['width']}: {row['two_speeds']}"
        for _, row in rows.iterrows()
    )
    return (
        f"**{counted(len(rows), 'cell')} with two speeds:** the repeats fall into two "
        f"groups with a gap between them. Read both speeds, not only the median:"
        f"\n\n{told}"
    )


def flags_sentence() -> str:
    """What each flag means, with its limit, and what to do where anything can be done."""
    remedies = "; ".join(f"{what}: {remedy}" for what, remedy in REMEDIES.items())
    return (
        f"⚑ A cell is flagged where the middle half of its repeats spreads over more than "
        f"{SPREAD_LIMIT:.0%} of their median (*spread*), the repeats fall into two groups "
        f"more than {APART:.1f} times apart (*two speeds*), the hypervisor took more than "
        f"{STEAL_LIMIT:.0%} of the machine's capacity (*steal*), other programs more than "
        f"{FOREIGN_LIMIT:.0%} (*foreign load*), a container's CPU quota held a training back in "
        f"more than {QUOTA_LIMIT:.0%} of the scheduler's periods (grant it more cores), something "
        f"held the CPU's clock down ({remedies}), or the GPU lowered its clock (*throttled*)."
    )


def position_sentence(effects: pd.DataFrame) -> str:
    """What a training's place in its sweep does to its time; why that is unknown where it is."""
    if effects.empty:
        return "What a training's place in its sweep does to its time is told from five repeats on."
    told = "; ".join(
        f"{row['protocol']} {row['device'].upper()} {row['effect']:+.1%} ({row['interval']} "
        f"{row['low']:+.1%} to {row['high']:+.1%})".replace("%", " %").replace("  ", " ")
        for _, row in effects.iterrows()
    )
    return f"The last training of a sweep, compared with the first, other things equal: {told}."
