"""From a published step to a tuned one: what each change takes away, in parts that add up."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import pandas as pd
from matplotlib.patches import Patch

from crossover.analysis.path import level, path_table
from crossover.analysis.stepmodel import step_seconds
from crossover.problem import explained_widths, trained_images
from crossover.records.backends import BACKENDS
from crossover.records.changes import ONE_PROGRAM, OWN_LAYERS, PUBLISHED, WHOLE_EPOCH
from crossover.records.frame import groups
from crossover.records.rounds import Rounds
from crossover.report import figure, htmltable, looks, text, waterfall
from crossover.report.columns import DEVICE, WIDTH, Column, words
from crossover.report.disturbances import cautions
from crossover.report.figure import NARROW_INCHES
from crossover.report.results import Results

PANELS: dict[str, Any] = {"figsize": (8.6, 3.4), "sharey": True, "squeeze": False}
# How many times as fast the path's end must be for shares of what it saves.
FASTER = 1.1
SAVED = ("saved_us", "low", "high")
# What each stage changes, in the order of the path.
STAGES = {
    WHOLE_EPOCH: "all steps of an epoch are handed over at once",
    "XLA": "a compiler fuses the operations of a step into few",
    "data on the device": "only row numbers go to the device in each step, no images",
    OWN_LAYERS: "weights lie in the order in which they multiply fast, and dropout's random "
    "numbers come from a hash, a formula that scrambles the bits of a counter",
    "TF32": "the GPU multiplies numbers that are rounded to 10 bits behind the point",
    ONE_PROGRAM: "Keras's `fit` is left behind, with its input pipeline and its bookkeeping in "
    "each step. With it go, not told apart: images as bytes; the loss computed from the *logits* "
    "(the last layer's values before the softmax)",
}
ONE_PROGRAM_ON = {
    "cpu": "on a CPU, halves of a batch side by side where that is faster",
    "gpu": "on a GPU, few large *kernels* (the programs that it runs) for many small ones",
}


def _beyond_the_first(title: str, source: str | tuple[str, str, str]) -> Column:
    """A column that is empty at the first stage, which saves nothing."""
    own = Column(title, source, text.signed)
    return Column(title, lambda row: own.cell(row) if text.finite(row["saved_us"]) else "")


COLUMNS = [
    DEVICE, WIDTH, *words("stage"),
    Column("step µs", "step_us", ",.0f"),
    Column("of it validation", "validation_us", ",.0f"),
    _beyond_the_first("saved µs", SAVED),
    _beyond_the_first("of it in training", "saved_train_us"),
    Column("test accuracy", "accuracy", ".4f"),
]  # fmt: skip


def show(results: Results) -> None:
    """Show a waterfall of each device, or how to train what it is made of."""
    table = path_table(results.rounds)
    if table.empty:
        text.not_measured("The path from *published* to *tuned*: `make explain` trains it.")
        return
    text.show(stage_meanings(table))
    text.show(BACKENDS[results.asked.backend].steps_meaning)
    text.show(rounds_caution(results.rounds))
    drawn = table[table["width"].isin(explained_widths(table["width"]))]
    for device, rows in groups(drawn, "device"):
        count = rows["width"].nunique()
        phone = {"nrows": count, "ncols": 1, "figsize": (NARROW_INCHES[0], 0.9 + 2.3 * count)}
        figure.show(results.figures, f"path-{device}", path_plot, rows, device, phone=phone,
                    ncols=count, **PANELS)  # fmt: skip
    text.show(path_sentences(table))
    text.show(rounds_sentence(results.rounds))
    text.show(study_sentences(table, results.own_trials))
    caption = (
        "A step on the path, microseconds; what is saved adds up to the first step less the last"
    )
    htmltable.show(table, caption, COLUMNS)


def stage_meanings(table: pd.DataFrame) -> str:
    """What each stage of these paths changes, as a Markdown list."""
    ends = [told for device, told in ONE_PROGRAM_ON.items() if device in set(table["device"])]
    lines = {
        stage: "; ".join([meaning, *ends]) if stage == ONE_PROGRAM else meaning
        for stage, meaning in STAGES.items()
        if stage in set(table["stage"])
    }
    return "\n".join(f"- *{stage}*: {meaning}." for stage, meaning in lines.items())


def rounds_caution(rounds: Sequence[Rounds]) -> str:
    """What disturbed the trainings in turns; empty where nothing is known of."""
    return cautions(
        (f"trainings took turns on the {one.device.upper()} at width {one.width}", one)
        for one in rounds
    )


def path_plot(axes: npt.NDArray[Any], table: pd.DataFrame, device: str) -> str:
    """Draw one device's rows of `path_table` as waterfalls, one panel a width.

    ``axes`` has shape (1, widths), or (widths, 1) on a phone.
    """
    told = []
    for axis, (width, rows) in zip(axes.flat, groups(table, "width"), strict=True):
        waterfall.draw(axis, rows)
        axis.set_title(f"width {width}")
        first, last = rows.iloc[0], rows.iloc[-1]
        told.append(
            f"width {width}: {first['step_us']:,.0f} to {last['step_us']:,.0f} µs; saved: "
            f"{_parts(rows.iloc[1:]).replace('*', '')}"
        )
    axes.flat[0].invert_yaxis()
    whole = axes.flat[0].figure
    handles = [Patch(**waterfall.TRAINING), Patch(**looks.bar_look("validation"))]
    whole.legend(handles, ["training step", "validation"], loc="outside upper right", ncols=2,
                 fontsize=9)  # fmt: skip
    whole.supxlabel(f"{device.upper()}: microseconds a step", fontsize=11)
    return (
        f"Waterfalls from a published to a tuned step on the {device.upper()}. {'; '.join(told)}."
    )


def path_sentences(table: pd.DataFrame) -> str:
    """What lies between both ends at each width, its parts in the order of their size."""
    lines = []
    for (device, width), rows in groups(table, ["device", "width"]):
        first, last = rows.iloc[0]["step_us"], rows.iloc[-1]["step_us"]
        ranked = rows.iloc[1:].sort_values("saved_us", ascending=False)
        told = f"from {first:,.0f} µs to {last:,.0f} µs a step"
        if first > FASTER * last:
            told += f", {first / last:.1f} times as fast. Of the {first - last:,.0f} µs saved: "
            told += _parts(ranked, first - last)
        else:  # Shares of next to nothing, or of a loss, would mislead.
            told += f". Saved, a loss where it is below 0: {_parts(ranked)}"
        lines.append(f"- {device.upper()}, width {width}: {told}.{_unsure(ranked)}")
    return "\n".join(lines)


def _parts(ranked: pd.DataFrame, whole: float | None = None) -> str:
    """Each stage with what it saves, and its share of the whole."""
    parts = []
    for stage, saved in zip(ranked["stage"], ranked["saved_us"], strict=True):
        share = f" ({text.signed(100 * saved / whole)}%)" if whole else ""
        parts.append(f"*{stage}* {text.signed(saved)}{share}")
    return ", ".join(parts)


def _unsure(ranked: pd.DataFrame) -> str:
    """Of which stages it cannot be told whether they save anything."""
    unsure = ranked[(ranked["low"] <= 0) & (ranked["high"] >= 0)]["stage"]
    if unsure.empty:
        return ""
    save, limits = (
        ("saves", "its limits hold") if len(unsure) == 1 else ("save", "their limits hold")
    )
    return f" Whether {text.listed(unsure)} {save} anything cannot be told: {limits} 0."


def rounds_sentence(rounds: Sequence[Rounds]) -> str:
    """How the stages were trained: rounds, images, and how sure their differences are."""
    counts = [one.count for one in rounds]
    shares = [f"{one.images / trained_images():.0%}" for one in rounds]
    images = [one.images for one in rounds]
    share = text.span(shares[images.index(min(images))], shares[images.index(max(images))])
    return (
        f"Every stage trained in {text.span(min(counts), max(counts))} rounds, after a first that "
        f"is not counted, in turns inside one process, on {share} of an epoch's images a turn, "
        "which stands for its epoch: where it is a part of one, *an epoch an execution* is a turn "
        "an execution, and an epoch's beginning and end weigh more. A step is the median over the "
        "rounds of its training, and that of its validation, added; what is saved is the "
        "difference of two steps. In brackets stand the least and the greatest difference within a "
        "round, between which the median of such differences lies at a level of "
        f"{level(min(counts)):.1%}, if rounds are independent. The test accuracy is that after the "
        "last round, of one training; all begin with one seed, but not all draw the same random "
        "numbers from it."
    )


def study_sentences(table: pd.DataFrame, trials: pd.DataFrame) -> str:
    """How the path compares with the study's own steady steps, as Markdown."""
    steps = step_seconds(trials).groupby([trials["protocol"], trials["device"], trials["width"]])
    own = 1e6 * steps.median()
    ends, told = {}, []
    for protocol, stage in (("published", PUBLISHED), ("tuned", ONE_PROGRAM)):
        rows = table[table["stage"] == stage].set_index(["device", "width"])["step_us"]
        both = pd.DataFrame({"path": rows, "study": own.get(protocol)}).dropna()
        if len(both):
            ends[protocol] = both
            ratios = both["path"] / both["study"]
            span = text.span(f"{ratios.min():.2f}", f"{ratios.max():.2f}")
            told.append(f"the path's {protocol} step took {span} times the study's")
    if not told:
        return ""
    whole = _whole_way(ends["published"] / ends["tuned"]) if len(ends) > 1 else ""
    return f"Beside the study, which was trained at another time: {', '.join(told)}.{whole}"


def _whole_way(times: pd.DataFrame) -> str:
    """How many times as fast the path's end is, and the study's."""
    told = [
        f"{path:.1f} on the {device.upper()} at width {width} ({study:.1f} in the study)"
        for device, width, path, study in times.dropna().reset_index().itertuples(index=False)
    ]
    return f" From end to end it gets so many times as fast: {', '.join(told)}." if told else ""
