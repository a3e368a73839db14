"""The answer: one computed sentence, what stands against it, and what it rests on."""

import itertools

import pandas as pd

from crossover.analysis.merge import Merged
from crossover.records.parameters import SummaryParameters
from crossover.records.unusual import unusual_of
from crossover.report import text
from crossover.report.results import Results, crossing_row
from crossover.report.sections.accuracy import parity_warning
from crossover.report.sections.machine import cpu_name
from crossover.words import counted

LISTED = 12


def show(results: Results) -> None:
    """Show the answer, and warnings where there are any."""
    if results.asked.quick:
        text.show("*A quick look: few widths, one epoch; no basis for a decision.*")
    text.show(answer(results.merged, results.crossings))
    text.show(parity_warning(results.parity, results.merged.own))
    text.show(missing_sentence(results.merged, results.asked))


def show_byline(results: Results) -> None:
    """Show what was measured, where a trial is recorded."""
    text.show(byline(results.merged))


def answer(merged: Merged, crossings: pd.DataFrame) -> str:
    """The answer at the top of the report, as Markdown."""
    if not merged.records:
        return (
            "> **No trial of this machine is recorded yet.** Run `make report` to train; below "
            "stands the published study alone."
        )
    published = _sentence(merged, crossings, "published")
    if {"cpu", "gpu"} <= set(merged.devices):
        tuned = _sentence(merged, crossings, "tuned")
        return f"> **{published}**" + (f"\n>\n> Tuned on both devices: {tuned}" if tuned else "")
    if "gpu" in merged.devices:
        return (
            "> **Only the GPU was measured on this machine; there is nothing to compare it with.**"
        )
    if merged.gpu_machine == merged.own:
        return (
            "> **No GPU was measured on this machine, so its crossover is unknown,** and no "
            "reference was made with the same settings."
        )
    return (
        f"> **No GPU was measured on this machine, so its own crossover is unknown.** Against the "
        f"GPU of {text.literal(merged.gpu_machine)}, this machine's CPU "
        f"({text.literal(merged.own)}) compares as follows: {published}"
    )


def _sentence(merged: Merged, crossings: pd.DataFrame, protocol: str) -> str:
    """What the comparison with the study's GPU says; empty where there is none."""
    row = crossing_row(crossings, merged.own, merged.gpu_machine, protocol)
    return "" if row is None else text.literal(str(row["sentence"]), text.SENTENCE)


def missing_sentence(merged: Merged, asked: SummaryParameters) -> str:
    """Which of the trials that were asked for this machine lacks; empty if none."""
    done = {(r.settings.protocol, r.device, r.repeat, r.width) for r in merged.records}
    protocols = asked.protocols or sorted({protocol for protocol, *_ in done})
    devices = asked.devices or sorted({device for _, device, *_ in done})
    lacking = []
    for key in itertools.product(protocols, devices, range(1, asked.repeats + 1)):
        absent = [str(width) for width in asked.widths if (*key, width) not in done]
        if absent:
            protocol, device, repeat = key
            lacking.append(f"{protocol} {device.upper()}, repeat {repeat}: {', '.join(absent)}")
    more = f"; and {len(lacking) - LISTED} more" if len(lacking) > LISTED else ""
    listed = "; ".join(lacking[:LISTED]) + more
    return f"**Unfinished study.** Widths without a trial: {listed}." if lacking else ""


def byline(merged: Merged) -> str:
    """What was measured, on what and when, and what is unusual about it; empty without trials."""
    if not merged.records:
        return ""
    last = merged.records[-1]
    days = [f"{record.started:%Y-%m-%d}" for record in merged.records]
    software, cores = last.software, last.machine.visible_cores or 0
    line = (
        f"{counted(len(merged.records), 'trial')} of {text.span(min(days), max(days))} on "
        f"{cpu_name(last.machine)}, {counted(cores, 'core')}, "
        f"{counted(software.threads or 0, 'thread')}, {last.settings.backend} {software.backend}."
    )
    unusual = "; ".join(unusual_of(merged.records))
    told = f" **Unusual:** {text.literal(unusual, text.SENTENCE)}." if unusual else ""
    return f"{text.literal(line, text.SENTENCE)}{told}"
