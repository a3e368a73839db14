"""The report's sentences, each computed from the frames that it speaks of."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from crossover.analysis.merge import Merged
from crossover.analysis.modes import APART
from crossover.analysis.summary import FOREIGN_LIMIT, QUOTA_LIMIT, SPREAD_LIMIT, STEAL_LIMIT
from crossover.paths import COVERAGE, STATUSES
from crossover.records import published
from crossover.records.jsontext import Problem
from crossover.records.parameters import SummaryParameters
from crossover.records.unusual import REMEDIES, unusual_of
from crossover.report.hardware import cpu_name
from crossover.words import counted, printable

LISTED = 12
SENTENCE = 600  # Letters of a computed sentence at most, the names in it among them.
MOST_PROBLEMS = 50
MARKUP = re.compile(r"[^\w\s.,;%/]|_")


def literal(text: str, length: int = 200) -> str:
    """A stranger's text for Markdown: printable, bounded, and nothing but text."""
    return MARKUP.sub(_reference, printable(text, length))


def _reference(found: re.Match[str]) -> str:
    """A character by its number; in a span of its own where MathJax could take it for a formula."""
    number = f"&#{ord(found[0])};"
    return f"<span>{number}</span>" if found[0] in "$\\" else number


def answer(merged: Merged, crossings: pd.DataFrame) -> str:
    """The answer at the top of the report, as Markdown."""
    if not merged.records:
        return (
            "> **No trial of this machine is recorded yet.** Run `make report` to train; below "
            "stands the published study alone."
        )
    if "gpu" in merged.devices and "cpu" in merged.devices:
        return (
            f"> **{literal(_sentence(merged, crossings, merged.own, 'published'), SENTENCE)}**"
            + _tuned(merged, crossings)
        )
    if "gpu" in merged.devices:
        return (
            "> **Only the GPU was measured on this machine; there is nothing to compare it with.**"
        )
    if merged.gpu_machine == merged.own:
        return (
            "> **No GPU was measured on this machine, so its crossover is unknown,** and no "
            "reference was made with the same settings."
        )
    sentence = _sentence(merged, crossings, merged.gpu_machine, "published")
    return (
        f"> **No GPU was measured on this machine, so its own crossover is unknown.** Against the "
        f"GPU of {literal(merged.gpu_machine)}, this machine's CPU "
        f"({literal(merged.own)}) compares as follows: {literal(sentence, SENTENCE)}"
    )


def byline(merged: Merged) -> str:
    """What was measured, on what and when, and what is unusual about it; empty without trials."""
    if not merged.records:
        return ""
    last = merged.records[-1]
    days = [f"{record.started:%Y-%m-%d}" for record in merged.records]
    first, final = min(days), max(days)
    when = first if first == final else f"{first} to {final}"
    software, cores = last.software, last.machine.visible_cores or 0
    line = (
        f"{counted(len(merged.records), 'trial')} of {when} on {cpu_name(last.machine)}, "
        f"{counted(cores, 'core')}, {counted(software.threads or 0, 'thread')}, "
        f"{last.settings.backend} {software.backend}."
    )
    unusual = unusual_of(merged.records)
    found = f" **Unusual:** {literal('; '.join(unusual), SENTENCE)}." if unusual else ""
    return f"{literal(line, SENTENCE)}{found}"


def _tuned(merged: Merged, crossings: pd.DataFrame) -> str:
    sentence = _sentence(merged, crossings, merged.own, "tuned")
    return f"\n>\n> Tuned on both devices: {literal(sentence, SENTENCE)}" if sentence else ""


def crossing_row(
    crossings: pd.DataFrame, cpu: str, gpu: str, protocol: str, timing: str
) -> pd.Series[Any] | None:
    """The one comparison of two machines in a protocol and a timing, or None."""
    rows = crossings[
        (crossings["cpu_machine"] == cpu)
        & (crossings["gpu_machine"] == gpu)
        & (crossings["protocol"] == protocol)
        & (crossings["timing"] == timing)
    ]
    return rows.iloc[0] if len(rows) else None


def _sentence(merged: Merged, crossings: pd.DataFrame, gpu: str, protocol: str) -> str:
    row = crossing_row(crossings, merged.own, gpu, protocol, "cold")
    return "" if row is None else str(row["sentence"])


def against_published(merged: Merged, summary: pd.DataFrame) -> str:
    """How this machine's CPU compares with the published one, width by width."""
    if not merged.comparable(published.MACHINE):
        return (
            "The published study used other settings or another backend: its seconds do not "
            "compare with these."
        )
    key = (summary["protocol"] == "published") & (summary["device"] == "cpu")
    times = summary[key].set_index(["machine", "width"])["cold_seconds"]
    if merged.own not in times.index or merged.own == published.MACHINE:
        return "This machine's CPU was not measured in the published protocol."
    ratio = (times[published.MACHINE] / times[merged.own]).dropna()
    if ratio.empty:
        return "No width was measured both here and in the published study."
    low, high = ratio.idxmin(), ratio.idxmax()
    return (
        f"For the same training, the published Core i5 750 took between {ratio[low]:.2g} (width "
        f"{low}) and {ratio[high]:.2g} times (width {high}) as long as this machine's CPU."
    )


def tuning_gain(merged: Merged, summary: pd.DataFrame, timing: str = "steady") -> str:
    """How much faster the tuned protocol is than the published one, on each device."""
    rows = summary[summary["machine"] == merged.own].dropna(subset=[f"{timing}_seconds"])
    times = rows.set_index(["device", "protocol", "width"])[f"{timing}_seconds"].sort_index()
    sentences = []
    for device in ("cpu", "gpu"):
        if not {(device, "published"), (device, "tuned")} <= set(
            zip(rows["device"], rows["protocol"], strict=True)
        ):
            continue
        gain = (times[device, "published"] / times[device, "tuned"]).dropna()
        if len(gain):
            sentences.append(
                f"On the {device.upper()}, the tuned protocol is {gain.iloc[0]:.2g} times as fast "
                f"at width {gain.index[0]} and {gain.iloc[-1]:.2g} times at width "
                f"{gain.index[-1]} ({timing} times)."
            )
    return " ".join(sentences) or "Both protocols were not measured on one device."


def model_sentences(models: pd.DataFrame, machine: str) -> str:
    """What the time model says of each curve of one machine, as a Markdown list."""
    rows = models[(models["machine"] == machine) & models["overhead_seconds"].notna()]
    lines = [
        f"- {row['device'].upper()}, {row['protocol']} ({row['timing']} times): a step costs "
        f"{row['overhead_seconds'] * 1e6:,.0f} µs whatever the model's size, and the rest runs "
        f"at {three_digits(row['flops_per_second'] / 1e9)} GFLOP/s; the model misses the measured "
        f"medians by {row['relative_error']:.0%}. {_start(row)}"
        for _, row in rows.iterrows()
    ]
    return "\n".join(lines) or "- Too few sizes were measured for a time model."


def _start(row: pd.Series[Any]) -> str:
    """What a training costs once, in words."""
    if not finite(row["start_low"]):
        return "What a training costs once is part of these times."
    return (
        f"What a training costs once (tracing, compiling: its first epoch's excess), "
        f"{row['start_low']:.2g} to {row['start_high']:.2g} s, is no part of it."
    )


def three_digits(value: float) -> str:
    """A number with three significant digits and no exponent: 25.5, 1,720."""
    return f"{float(f'{value:.3g}'):,g}"


def parity_sentence(parity: pd.DataFrame, machine: str) -> str:
    """Whether both devices learn the same on one machine."""
    rows = parity[(parity["machine"] == machine) & (parity["method"] != "missing")]
    if rows.empty:
        return "Only one device was measured here, so there is no accuracy to compare."
    worst = rows.iloc[int(rows["difference"].abs().to_numpy().argmax())]
    found = (
        f"The largest difference in test accuracy between the devices is "
        f"{worst['difference'] * 100:+.2f} points (GPU − CPU) at width {worst['width']} "
        f"(95 % interval {worst['low'] * 100:+.2f} to {worst['high'] * 100:+.2f})."
    )
    differing = rows[rows["differs"]]["width"].tolist()
    if not differing:
        return f"{found} No width differs by more than chance."
    caution = (
        " These are single trainings: the interval knows nothing of how much repeats differ."
        if (rows["method"] == "binomial").any()
        else ""
    )
    named = ", ".join(map(str, differing))
    return f"**Warning: the devices differ at width {named}.** {found}{caution}"


def parity_warning(parity: pd.DataFrame, machine: str) -> str:
    """The warning for the top of the report; empty where both devices learn the same."""
    rows = parity[parity["machine"] == machine]
    if not rows["differs"].any() or machine == published.MACHINE:
        return ""
    return f"> {parity_sentence(parity, machine)}"


def noise_sentence(merged: Merged, summary: pd.DataFrame) -> str:
    """How many cells of this machine are flagged, and how many repeats stand behind each."""
    rows = summary[summary["machine"] == merged.own]
    repeats = sorted(set(rows["repeats"]))
    count = f"{repeats[0]} to {repeats[-1]}" if len(repeats) > 1 else f"{repeats[0]}"
    single = (
        " A single repeat shows no spread: run `make report REPEATS=5`." if 1 in repeats else ""
    )
    return (
        f"{len(merged.of(merged.own))} trials, {count} a cell; {int(rows['noisy'].sum())} of "
        f"{len(rows)} cells are flagged as noisy and {int(rows['outliers'].sum())} trials as "
        f"outliers (none is dropped).{single}{_failed(rows)}"
    )


def two_speeds_sentence(merged: Merged, summary: pd.DataFrame) -> str:
    """The cells of this machine whose repeats have two speeds, as Markdown; empty without any."""
    rows = summary[(summary["machine"] == merged.own) & summary["two_speeds"].ne("")]
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


# Rows of the table that are no kind of noise within what the interval is made for.
SMOOTH, BEYOND = (
    "2 %, smooth curves",
    {
        "4 of 10 trainings twice as slow, one by one": "where 4 of 10 trainings of one device are "
        "twice as slow, each by itself",
        "sweeps that drift": "where a device's speed drifts by 10 % from repeat to repeat",
    },
)


def coverage_sentence() -> str:
    """How often the crossover's interval held in simulated studies, from their table."""
    table = pd.read_csv(COVERAGE)
    kept = table[~table["noise"].isin([SMOOTH, *BEYOND])]
    smooth = table[table["noise"] == SMOOTH]
    counts = ", ".join(map(str, sorted(set(table["repeats"]))))
    beyond = ", and ".join(
        f"{what} ({_shares(table[table['noise'] == name]['coverage'])})"
        for name, what in BEYOND.items()
    )
    return (
        f"In simulation (`benchmarks/coverage.py`: {kept['noise'].nunique()} kinds of noise, "
        f"slow processes and slow sweeps among them; {counts} repeats; "
        f"{table['studies'].iloc[0]:,} studies each) the crossover's interval held the truth in "
        f"{_shares(kept['coverage'])} of studies. It holds less often {beyond}. Where curves are "
        f"smooth and the noise is only 2 %, straight lines between widths bring it down to "
        f"{_shares(smooth['coverage'])}; with the error that is named beside the interval it is "
        f"{_shares(smooth['with interpolation'])}."
    )


def status_sentence() -> str:
    """How often a status was false in simulated studies, from their table."""
    table = pd.read_csv(STATUSES)
    falsely = table.groupby("repeats")["crossed"].max()
    return (
        "A GPU that is always faster, by 3 % at the smallest size, was called *crossed* in up to "
        f"{falsely[1]:.0%} of simulated studies of a single repeat, {falsely[2]:.0%} of two, "
        f"{falsely[3]:.0%} of three, and {falsely[falsely.index >= 5].max():.1%} of five or more."
    )


def _shares(values: pd.Series[float]) -> str:
    """The least and the greatest of some shares in words: '93.1 to 98.4 %'."""
    low, high = 100 * values.min(), 100 * values.max()
    return f"{low:.1f} %" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f} %"


def _failed(rows: pd.DataFrame) -> str:
    """The warning for cells whose training failed; empty where none did."""
    count = int((rows["learning"] != "").sum())
    found = "**Warning: the training failed in"
    return f" {found} {count} of {len(rows)} cells; the flags say how.**" if count else ""


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


def problems_sentence(merged: Merged, more: Sequence[Problem] = ()) -> str:
    """What was found beside valid trials, as Markdown; empty if nothing was."""
    named = {"set aside": [*merged.problems, *more], "not compared with": merged.apart}
    parts = []
    for what, problems in named.items():
        parts += [
            f"- {what}: {literal(problem.name)}: {literal(problem.reason, SENTENCE)}"
            for problem in problems[:MOST_PROBLEMS]
        ]
        if len(problems) > MOST_PROBLEMS:
            parts.append(f"- {what}: and {len(problems) - MOST_PROBLEMS:,} more.")
    if merged.left_out:
        parts.append(f"- {merged.left_out} trials with other settings are not in this report.")
    return "\n".join(parts)


def missing_sentence(merged: Merged, asked: SummaryParameters) -> str:
    """Which of the trials that were asked for this machine lacks; empty if none."""
    curves = {(record.settings.protocol, record.device) for record in merged.records}
    protocols = asked.protocols or sorted({protocol for protocol, _ in curves})
    devices = asked.devices or sorted({device for _, device in curves})
    done = {(r.settings.protocol, r.device, r.repeat, r.width) for r in merged.records}
    lacking = []
    for key in itertools.product(protocols, devices, range(1, asked.repeats + 1)):
        absent = [str(width) for width in asked.widths if (*key, width) not in done]
        if absent:
            protocol, device, repeat = key
            lacking.append(f"{protocol} {device.upper()}, repeat {repeat}: {', '.join(absent)}")
    more = f"; and {len(lacking) - LISTED} more" if len(lacking) > LISTED else ""
    listed = "; ".join(lacking[:LISTED]) + more
    return f"**Unfinished study.** Widths without a trial: {listed}." if lacking else ""


def finite(value: object) -> bool:
    """Whether a cell holds a number."""
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))
