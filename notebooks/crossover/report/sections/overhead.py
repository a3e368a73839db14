"""Overhead and work: the line through a curve's step times, and a training's phases."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.stepmodel import step_medians
from crossover.analysis.summary import CURVE, with_flags
from crossover.analysis.timemodel import TimeModel
from crossover.records.record import Record
from crossover.report import axes, figure, htmltable, looks, text
from crossover.report.columns import DEVICE, PROTOCOL, WIDTH, Column, Row, words
from crossover.report.curve import hollow
from crossover.report.results import Results

CELL = ["protocol", "device", "width"]
# Phases that are times of the summary, or the epochs of one.
FLAGGED = {"fit": "cold_seconds_flags", "later epoch": "steady_seconds_flags"}
MEANING = (
    "A step, one update of the model from one batch, costs its *overhead* whatever the model's "
    "size; the rest is *work*, counted as 6 additions and multiplications for each parameter and "
    "image (Kaplan et al. 2020), which is somewhat more than the matrix products that the roofline "
    "below counts. Their rate is given in FLOP/s, floating-point operations a second; a GFLOP/s is "
    "a thousand million. In brackets stand 95% limits by Student's t distribution, as if a "
    "straight line were exact."
)


def show(results: Results) -> None:
    """Show the lines through this machine's curves, and those of all machines in a table."""
    fitted = results.models[results.models["overhead_seconds"].notna()]
    own = fitted[fitted["machine"] == results.merged.own]
    text.show(f"{MEANING}\n\n{model_sentences(own)}")
    if len(own):
        drawn = results.merged.trials, results.cells, own
        figure.show(results.figures, "model", model_plot, *drawn)
    htmltable.show(fitted, "Time model of each curve", COLUMNS)


def _once(row: Row) -> str:
    """The seconds that a training costs once, over the sizes."""
    low, high = row["start_low"], row["start_high"]
    if not text.finite(low):
        return text.MISSING
    return text.span(f"{max(low, 0):.1f}", f"{high:.1f}")


def _missed(row: Row) -> str:
    """How far the medians lie off the line: typically, and at most."""
    return f"{row['typical_miss']:.0%}, at most {row['greatest_miss']:.0%}"


OVERHEAD = ("overhead_seconds", "overhead_low", "overhead_high")
COLUMNS = [
    *words("machine"), PROTOCOL, DEVICE, Column("times", "timing"),
    Column("overhead µs a step", OVERHEAD, ",.0f", 1e6),
    Column("GFLOP/s", ("flops_per_second", "flops_low", "flops_high"), text.billions),
    Column("off the line", _missed),
    Column("once a training s", _once),
]  # fmt: skip


def model_sentences(models: pd.DataFrame) -> str:
    """What the time model says of each curve, as a Markdown list."""
    lines = []
    for row in models.to_dict("records"):
        once = (
            f"What a training costs once (its first epoch's excess, and what lies outside the "
            f"epochs), {_once(row)} s, is no part of it."
            if text.finite(row["start_low"])
            else "What a training costs once is part of these times."
        )
        lines.append(
            f"- {row['device'].upper()}, {row['protocol']} ({row['timing']} times): by the line "
            f"{_overhead(row)}, and the rest runs at {_rate(row)}. A median typically lies "
            f"{row['typical_miss']:.0%} off the line, at most {row['greatest_miss']:.0%} (at "
            f"{row['missed_at']:,.0f} parameters){_bent(row)}. {once}"
        )
    return "\n".join(lines) or "- Too few sizes were measured for a time model."


def _overhead(row: Row) -> str:
    value, low, high = (f"{1e6 * row[name]:,.0f}" for name in OVERHEAD)
    if row["overhead_low"] > 0:
        return f"a step costs {value} µs ({low} to {high}) whatever the model's size"
    return f"a step's overhead cannot be told from none (0 to {high} µs)"


def _rate(row: Row) -> str:
    if text.finite(row["flops_high"]):
        return f"{text.billions(row['flops_per_second'])} GFLOP/s"
    return f"{text.billions(row['flops_low'])} GFLOP/s or more"


def _bent(row: Row) -> str:
    """Where a whole step is below the overhead's limits: no line is exact."""
    if not row["least_seconds"] < row["overhead_low"]:
        return ""
    return (
        f"; that of {row['least_at']:,.0f} parameters, {row['least_seconds'] * 1e6:,.0f} µs with "
        "all its arithmetic, lies below the overhead's limits, so that the line is not exact there"
    )


def model_plot(ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, models: pd.DataFrame) -> str:
    """Draw the time model through the medians of its curve, for rows of `fit_all`.

    Trials and cells are those of all machines; medians whose times are flagged are hollow.
    """
    told = []
    for _, model in models.iterrows():
        look = looks.LOOKS[model["device"], model["protocol"]]
        curve = trials[(trials[CURVE] == model[CURVE]).all(axis=1)]
        step_us = step_medians(curve, model["timing"]) * 1e6
        sizes = step_us.index.get_level_values("parameters")
        name = f"{model['device'].upper()}, {model['protocol']}, {model['timing']}"
        ax.plot(sizes, step_us, look.alone, color=look.colour, label=name)
        own = cells[(cells[CURVE] == model[CURVE]).all(axis=1)].set_index("parameters")
        flags = own[f"{model['timing']}_seconds_flags"].reindex(sizes)
        hollow(ax, sizes, step_us, flags, look, look.alone)
        line = TimeModel(**{field: model[field] for field in TimeModel.__dataclass_fields__})
        x = np.geomspace(sizes.min(), sizes.max(), 100)
        ax.plot(x, line.predict(x) * 1e6, color=look.colour, lw=1.2)
        told.append(f"{name}: typically off by {model['typical_miss']:.0%}")
    axes.log_axis(ax)
    axes.parameter_axis(ax, trials["parameters"])
    ax.set_ylabel("microseconds a step")
    ax.legend()
    return f"Time of a step: measured (points) and modelled (lines). {'; '.join(told)}."


def show_phases(results: Results) -> None:
    """Show this machine's median phases, where it has a trial."""
    if results.merged.records:
        phases = median_phases(results.merged.records)
        columns = [PROTOCOL, DEVICE, WIDTH, *map(_phase, phases.columns.drop(CELL))]
        caption = "Phases on this machine (medians, so that they need not add up)"
        htmltable.show(with_flags(phases, results.own_cells), caption, columns)
        text.show(warmed_sentence(results.own_trials))
    else:
        text.not_measured("The phases of a training: `make report` records them.")


def _phase(name: str) -> Column:
    """A phase's seconds, marked where they are a flagged time."""

    def shown(row: Row) -> str:
        cell = Column(name, form=text.seconds).cell(row)
        return text.marked(cell, row[FLAGGED[name]]) if name in FLAGGED else cell

    return Column(name, shown)


def warmed_sentence(trials: pd.DataFrame) -> str:
    """Why some of the trainings' costs once are missing; empty where none is for that reason."""
    widths = sorted(trials.loc[trials["warmed"].eq(True), "width"].unique())
    if not widths:
        return ""
    return (
        f"At width {', '.join(map(str, widths))} the throw-away training had the same width: what "
        "a training costs once is not known there, for some of it was paid before."
    )


def median_phases(records: Sequence[Record]) -> pd.DataFrame:
    """Median seconds of each phase, by protocol, device and width."""
    rows = [
        {
            "protocol": record.settings.protocol,
            "device": record.device,
            "width": record.width,
            "runtime start": record.phases.runtime_start,
            "data": record.phases.data,
            "warm-up": record.phases.warm_up,
            "build": record.phases.build,
            "first epoch": record.phases.epochs[0],
            "later epoch": pd.Series(record.phases.epochs[1:], dtype=float).median(),
            "outside epochs": record.phases.fit - sum(record.phases.epochs),
            "once": record.start_seconds,
            "fit": record.phases.fit,
            "evaluate": record.phases.evaluate,
        }
        for record in records
    ]
    table = pd.DataFrame(rows).astype({"once": float})
    return table.groupby(CELL).median().reset_index()
