"""The published guess, that copying costs small models their advantage, put to numbers."""

from collections.abc import Sequence
from math import isnan

import pandas as pd

from crossover.analysis.copying import SmallestStep, copying_of, smallest_step, unknown_overhead
from crossover.records import published
from crossover.records.ceilings import Ceilings
from crossover.records.published import MOST, Copying
from crossover.report import text
from crossover.report.disturbances import cautions
from crossover.report.results import Results

ONCE = "which hold a share of what a training costs once"


def show(results: Results) -> None:
    """Show what the guess means here and for the published GPU."""
    text.show(ceilings_caution(results.ceilings))
    lines = [published_guess(copying_of(published.MACHINE, results.models, []))]
    if results.merged.records:
        own = results.models[results.models["machine"] == results.merged.own]
        copying = copying_of(results.merged.own, own, results.ceilings)
        step = smallest_step(results.own_trials, "gpu")
        lines = [gpu_guess(copying, step), cpu_guess(own), *lines]
    text.show("\n".join(filter(None, lines)))


def ceilings_caution(ceilings: Sequence[Ceilings]) -> str:
    """What disturbed the measuring of each device's ceilings; empty where nothing is known of."""
    told = ((f"the ceilings of the {one.device.upper()} were measured", one) for one in ceilings)
    return cautions(told, " They are rough.")


def gpu_guess(copying: Copying, step: SmallestStep | None) -> str:
    """What copying is of a step on the GPU here."""
    if isnan(copying.seconds) or step is None:
        return f"- **GPU:** {copying.reason}"
    took = (
        f"- **GPU:** copying one batch of {copying.batch:,} bytes takes {_us(copying.seconds)} "
        f"from ordinary memory, as Keras's `fit` copies it{copying.block} (from pinned memory, "
        f"which a card reads by itself: {copying.pinned}). That is "
        f"{copying.seconds / step.seconds:.1%} of a published step at width {step.width} "
        f"({_us(step.seconds)}, the {step.timing} median, validation included)"
    )
    if copying.explains is None:
        return f"{took}. {copying.reason}"
    verdict = f"is {'most' if copying.explains else 'the smaller part'} of that overhead"
    return (
        f"{took} and {copying.share:.1%} of a step's overhead ({_us(copying.overhead_seconds)}, "
        f"{step.timing} times). Copying {verdict}."
    )


def cpu_guess(models: pd.DataFrame) -> str:
    """What a CPU's overhead says of the guess, from its rows of `fit_all`; empty without any."""
    fitted = models.query("device == 'cpu' and protocol == 'published'")
    if fitted.empty:
        return ""
    nothing = (
        "- **CPU:** it trains from the memory that a batch lies in, and what its profile calls "
        "copying stays there: there is no copy to test."
    )
    model = fitted.iloc[0]
    if unknown := unknown_overhead(model):
        return f"{nothing} {unknown}"
    if model["timing"] == "cold":
        return f"{nothing} Its cold times, {ONCE}, do not tell a step's overhead by itself."
    low, high = (f"{model[f'overhead_{end}'] * 1e6:,.0f}" for end in ("low", "high"))
    return (
        f"{nothing} Yet its published step has {_us(model['overhead_seconds'])} of overhead by its "
        f"line ({low} to {high}, {model['timing']} times): overhead needs no copy to a device."
    )


def published_guess(copying: Copying) -> str:
    """What the guess would imply for the published GPU, from its own times and its link."""
    batch, overhead = copying.batch, copying.overhead_seconds
    link = f"{published.LINK_BYTES_PER_SECOND / 1e6:,.0f} MB/s"
    verdict = (
        "is most of it even at the link's full rate"
        if copying.explains
        else f"is less than half of it, unless it ran at less than 1/{copying.slowdown:.0f} of the "
        f"link's rate, {batch / overhead / MOST / 1e6:,.0f} MB/s"
    )
    return (
        f"- **Published GPU:** its step has {_us(overhead)} of overhead (cold times, {ONCE}). "
        f"Were that the copy of one batch of {batch:,} "
        f"bytes, it would have run at {batch / overhead / 1e6:,.0f} MB/s. {published.LINK}, what a "
        f"Core i5 750 offers a graphics card, moves up to {link}: at that rate the batch takes "
        f"{_us(copying.seconds)}, {copying.share:.1%} of the overhead. Copying {verdict}."
    )


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"
