"""A published step under the framework's own profiler: what its wall clock was spent on."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.profile import SAVED, profile_table
from crossover.analysis.stepmodel import step_seconds
from crossover.problem import explained_widths
from crossover.records.backends import BACKENDS
from crossover.records.ceilings import KINDS, Kind
from crossover.records.changes import WHOLE_EPOCH
from crossover.records.frame import groups
from crossover.records.settings import Backend
from crossover.report import figure, htmltable, looks, text
from crossover.report.columns import DEVICE, WIDTH, Column, numbers
from crossover.report.results import Results

# Where the time of operations stands that a profiler does not trace.
UNTRACED: Kind = "starting operations"


def show(results: Results) -> None:
    """Show what the profiler saw, or how to let it look."""
    profile, backend = profile_table(results.ceilings, results.rounds), results.asked.backend
    told = profile[profile["width"].isin(explained_widths(profile["width"]))]
    if told.empty:
        text.not_measured(nothing_profiled(backend))
    else:
        text.show(profile_sentences(told))
        phone = {"figsize": (figure.NARROW_INCHES[0], 2.3 + 0.45 * len(told))}
        figure.show(results.figures, "profile", profile_plot, told, backend, phone=phone)
        text.show(overlap_sentences(told, backend))
        text.show(path_sentences(told) or beside_trials(told, results.own_trials))
        columns = [
            DEVICE, WIDTH, Column("on the path", "path_us", ",.0f"),
            Column("step without the profiler", "untraced_us", ",.0f"),
            Column("step under the profiler", "profiled_us", ",.0f"),
            *numbers(_seen(profile), ",.0f"),
        ]  # fmt: skip
        caption = "A published training step, microseconds"
        htmltable.show(profile, caption, columns)


def profile_plot(ax: Axes, table: pd.DataFrame, backend: Backend) -> str:
    """Draw the steps of `crossover.analysis.profile.profile_table` as bars of what was seen."""
    narrow = figure.on_a_phone(ax)
    apart = "\n" if narrow else " "
    labels = [
        f"{row['device'].upper()}, width {row['width']}{apart}({row['profiled_us']:,.0f} µs)"
        for row in table.to_dict("records")
    ]
    seen, hidden = _seen(table), _unseen(table, backend)
    shares = table[seen].div(table["profiled_us"], axis=0)
    left = np.zeros(len(table))
    for kind in seen:
        name = f"{kind},\nand {hidden}" if hidden and kind == UNTRACED else kind
        share = shares[kind].to_numpy()
        ax.barh(labels, share, left=left, label=name, **looks.bar_look(kind))
        left += share
    order = "while several threads are busy, the leftmost of their kinds counts"
    order = order.replace("busy, ", "busy,\n") if narrow else order
    ax.set_xlabel(f"share of a published step under the profiler\n({order})",
                  fontsize=9 if narrow else None)  # fmt: skip
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.grid(axis="y", visible=False)
    ax.figure.legend(loc="outside upper center", ncols=2 if narrow else 3, fontsize=9)
    told = "; ".join(
        f"{' '.join(label.split())}: "
        + ", ".join(f"{share:.0%} {kind}" for kind, share in row.items())
        for label, (_, row) in zip(labels, shares.iterrows(), strict=True)
    )
    return f"What the profiler saw in a published step, as shares of its time. {told}."


def profile_sentences(profile: pd.DataFrame) -> str:
    """What the profiler costs, and what it saw in each device's smallest and largest model."""
    lines = []
    for device, rows in groups(profile, "device"):
        ends = rows.sort_values("width").iloc[[0, -1]].drop_duplicates("width")
        seen = "; ".join(_shares(row) for _, row in ends.iterrows())
        lines.append(f"- {device.upper()}: {slowdown(rows)}; {seen}.")
    return "\n".join(lines)


def nothing_profiled(backend: Backend) -> str:
    """Why there is no profile."""
    if not BACKENDS[backend].profiled:
        return f"The profiler's split of a step: {BACKENDS[backend].name}'s are not profiled."
    return "The profiler's split of a step: `make report` measures it once."


def slowdown(profile: pd.DataFrame) -> str:
    """How many times as long a step takes under the profiler, over all rows."""
    times = (profile["profiled_us"] / profile["untraced_us"]).dropna()
    if times.empty:
        return "how long the step takes without the profiler was not measured"
    told = text.span(f"{times.min():.2f}", f"{times.max():.2f}")
    noise = ": what is below 1 is noise" if times.min() < 1 else ""
    return f"under the profiler a step takes {told} times as long as without{noise}"


def _shares(row: "pd.Series[Any]") -> str:
    share = row[list(KINDS)].astype(float) / row["profiled_us"]
    arithmetic = _arithmetic(row) / row["profiled_us"]
    copying = share["copying to the device"] + share["copying from the device"]
    rest = share["starting operations"] + share["Python"]
    return (
        f"at width {row['width']}, of {row['profiled_us']:,.0f} µs, {arithmetic:.0%} is "
        f"arithmetic, {copying:.0%} copying to and from the device, "
        f"{share['waiting for a batch']:.0%} waiting for a batch, and "
        f"{rest:.0%} starting operations and Python"
    )


def _arithmetic(row: "pd.Series[Any]") -> float:
    """Microseconds of arithmetic in a step under the profiler."""
    return float(row["matrix products"] + row["other arithmetic"])


def overlap_sentences(profile: pd.DataFrame, backend: Backend) -> str:
    """What the split cannot tell apart."""
    hidden = _unseen(profile, backend)
    untraced = (
        f" On a CPU the profiler of {BACKENDS[backend].name} does not trace {hidden}: their time "
        f"stands under *{UNTRACED}*."
    )
    return (
        "A moment when several threads were busy counts once, for the first of their kinds in the "
        f"order of the bars.{untraced if hidden else ''}"
    )


def beside_trials(profile: pd.DataFrame, trials: pd.DataFrame) -> str:
    """How the step here compares with that of the trials; empty where none was trained."""
    published = trials[trials["protocol"] == "published"].dropna(subset=["steady_seconds"])
    steps = step_seconds(published).groupby([published["device"], published["width"]]).median()
    beside = profile.join((steps * 1e6).rename("trial_us"), on=["device", "width"])
    longer = (beside["untraced_us"] / beside["trial_us"]).dropna()
    if longer.empty:
        return ""
    times = text.span(f"{longer.min():.2f}", f"{longer.max():.2f}")
    return (
        f"This step without the profiler takes {times} times as long as the published trials' "
        "steady step, which has its share of the validation besides: they were timed in other "
        "processes, at other times."
    )


def path_sentences(profile: pd.DataFrame) -> str:
    """How the step here compares with that of the path, as Markdown; empty where there is none."""
    longer = (profile["path_us"] / profile["untraced_us"]).dropna()
    if longer.empty:
        return ""
    times = text.span(f"{longer.min():.2f}", f"{longer.max():.2f}")
    told = (
        f"The published training step of the path took {times} times as long as this one without "
        "the profiler. They were timed at different times, on different images, and only the "
        "path's holds an epoch's beginning and end."
    )
    return "\n\n".join(filter(None, [told, _beside_the_path(profile)]))


def _beside_the_path(profile: pd.DataFrame) -> str:
    """What the path's first stage saves beside what the profiler sees that is not arithmetic."""
    decided = profile[(profile["train_low"] > 0) | (profile["train_high"] < 0)]
    lines = [
        f"- {row['device'].upper()}, width {row['width']}: it saves {_saved(row)} of a training "
        f"step of {row['path_us']:,.0f} µs; here {row['profiled_us'] - _arithmetic(row):,.0f} of "
        f"{row['profiled_us']:,.0f} µs are not arithmetic."
        for _, row in decided.iterrows()
    ]
    if not lines:
        return ""
    listed = "\n".join(lines)
    return (
        f"What *{WHOLE_EPOCH}* saves on the path stands beside what is not arithmetic here, where "
        f"the rounds agree that it saves or costs:\n\n{listed}\n\nBoth need not be alike: one "
        "call an epoch keeps what waits, copies and starts inside the graph, and may run the "
        "arithmetic faster, without pauses between steps; and the machine may be slower at one "
        "time than at another. That is not told apart."
    )


def _saved(row: "pd.Series[Any]") -> str:
    saved, low, high = (text.signed(row[name]) for name in SAVED)
    return f"{saved} µs ({low} to {high})"


def _seen(profile: pd.DataFrame) -> list[Kind]:
    """What the profiler saw in any step."""
    return [kind for kind in KINDS if profile[kind].any()]


def _unseen(profile: pd.DataFrame, backend: Backend) -> str:
    """What the profiler leaves out of these steps."""
    return BACKENDS[backend].unseen if (profile["device"] == "cpu").any() else ""
