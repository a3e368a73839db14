"""The answer: one computed sentence, what stands against it, and what it rests on."""

import itertools
from html import escape
from typing import Any

import pandas as pd
from IPython.display import display

from crossover.analysis.compared import crossing_of
from crossover.analysis.merge import Merged
from crossover.analysis.speedup import paid_once
from crossover.analysis.verdict import rule_of
from crossover.records.backends import BACKENDS
from crossover.records.parameters import SummaryParameters
from crossover.records.settings import PROTOCOLS
from crossover.records.unusual import unusual_of
from crossover.report import text
from crossover.report.results import Results
from crossover.report.rule import alike, evidence, rule_words
from crossover.report.sections.accuracy import parity_warning
from crossover.words import counted

NO_GPU = (
    "A GPU of this machine: `make report` measures one where its driver shows it; `make record` "
    "there and a copy of that file in `data/reference` here compare with another machine's."
)


def show(results: Results) -> None:
    """Show the answer, and warnings where there are any."""
    if results.asked.quick:
        text.show("*A quick look: few widths, one epoch; no basis for a decision.*")
    text.show(answer(results.merged, results.crossings))
    text.show(parity_warning(results.parity, results.merged.own))
    if "gpu" not in results.merged.devices:
        text.not_measured(NO_GPU)
    if "cpu" not in results.merged.devices:
        text.not_measured("This machine's CPU: `make report` measures it.")


def show_unfinished(results: Results) -> None:
    """Show what a study that was stopped lacks."""
    text.show(missing_sentence(results.merged, results.asked))


def show_byline(results: Results) -> None:
    """Show whose trials these are, of when, and what is unusual about them."""
    records = results.merged.records
    if records:
        line = byline(results.merged)
        display(
            {"text/html": f'<p class="byline">{escape(line)}</p>', "text/plain": line}, raw=True
        )
        unusual = "; ".join(unusual_of(records))
        text.show(unusual and f"**Unusual:** {text.literal(unusual, text.SENTENCE)}.")


def answer(merged: Merged, crossings: pd.DataFrame) -> str:
    """The answer at the top of the report, as Markdown."""
    if not merged.records:
        told = rule_words(_row(merged, crossings, "published"))
        return (
            "> **No trial of this machine is recorded yet.** Run `make report` to train. In the "
            f"published study alone: {told}."
        )
    if "cpu" not in merged.devices:
        return (
            "> **Only the GPU was measured on this machine; there is nothing to compare it with.**"
        )
    if merged.gpu_machine == merged.own and "gpu" not in merged.devices:
        return (
            "> **No GPU was measured on this machine, so its crossover is unknown,** and no "
            "reference was made with the same settings."
        )
    compared = [name for name in PROTOCOLS if _row(merged, crossings, name)]
    if not compared:
        return "> **No protocol was trained on both devices, so that there is nothing to compare.**"
    first, *others = compared
    told = _sentences(merged, crossings, first)
    if "gpu" not in merged.devices:
        told += (
            f" No GPU was measured on this machine, so that its CPU stands against the "
            f"{text.literal(merged.processor('gpu'))}."
        )
    paragraphs = [told, once_sentence(merged, crossings, first)]
    paragraphs += [
        f"With the protocol *{name}* on both: {_rule_within(_row(merged, crossings, name))}. "
        f"{once_sentence(merged, crossings, name)}"
        for name in others
    ]
    return "\n>\n".join(f"> {paragraph.strip()}" for paragraph in paragraphs if paragraph)


def once_sentence(merged: Merged, crossings: pd.DataFrame, protocol: str) -> str:
    """What a training costs once, and the rule without it; empty where that rule is the same."""
    cold, steady = (_row(merged, crossings, protocol, timing) for timing in ("cold", "steady"))
    trials = merged.trials.query("protocol == @protocol")
    own = trials[trials["machine"] == trials["device"].map(merged.compared)]
    once = paid_once(own)
    if not steady or once is None or alike(cold, steady):
        return ""
    compiled = BACKENDS[own["backend"].iloc[0]].xla != "never"
    cpu, gpu = (text.span(f"{low:.1f}", f"{high:.1f}") for low, high in (once.cpu, once.gpu))
    size = f"{once.parameters:,} parameters"
    told = (
        f"What a training costs once{' (tracing, compiling)' if compiled else ''} is "
        f"{cpu} s on the CPU and {gpu} s on the GPU, {once.share:.0%} of its training at {size}. "
        f"Without it (*steady* times): {_rule_within(steady)}."
    )
    decided, trained = rule_of(steady), own["epochs"].max()
    if once.epochs is None or once.epochs <= trained or decided is None:
        return told
    if decided.winner(once.parameters, once.speedup) != "GPU":
        return told
    about = "" if steady["interval_kind"] == "interval" else "about "
    return f"{told} At {size} the GPU is ahead from {about}{counted(once.epochs, 'epoch')} on."


def _rule_within(crossing: dict[str, Any]) -> str:
    """A comparison's rule as it goes on in a sentence."""
    rule = rule_words(crossing)
    return f"{rule[0].lower()}{rule[1:]}"


def _row(
    merged: Merged, crossings: pd.DataFrame, protocol: str, timing: str = "cold"
) -> dict[str, Any]:
    """What the comparison with the study's GPU found; empty where there is none."""
    row = crossing_of(crossings, (merged.own, merged.gpu_machine), protocol, timing)
    return {} if row is None or row["status"] == "missing device" else row


def _sentences(merged: Merged, crossings: pd.DataFrame, protocol: str) -> str:
    """The rule to decide by, and what it rests on."""
    row = _row(merged, crossings, protocol)
    names = (text.literal(merged.processor(device)) for device in ("cpu", "gpu"))
    sizes = merged.of(merged.own).query("protocol == @protocol")["parameters"]
    return (
        f"**{rule_words(row)}.** {evidence(row, *names)} Measured from {sizes.min():,} to "
        f"{sizes.max():,} parameters; beyond them times are extrapolated."
    )


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
    listed = "; ".join(text.first(lacking))
    return f"**Unfinished study.** Widths without a trial: {listed}." if lacking else ""


def byline(merged: Merged) -> str:
    """Machine, trials, days and versions in one line."""
    last = merged.records[-1]
    days = [f"{record.started:%Y-%m-%d}" for record in merged.records]
    versions = sorted({record.code.version for record in merged.records})
    backend = f"{BACKENDS[last.settings.backend].name} {last.software.backend}"
    parts = [
        merged.own, counted(len(merged.records), "trial"), text.span(min(days), max(days)), backend,
        f"crossover {', '.join(versions)}",
    ]  # fmt: skip
    return " · ".join(parts)
