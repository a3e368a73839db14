"""The answer's picture: training time against parameters of both devices, and where they cross."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.compared import crossing_of
from crossover.analysis.crossing import rounded
from crossover.records.frame import groups
from crossover.report import axes, curve, endlabels, figure, looks, text
from crossover.report.results import Results
from crossover.report.rule import finding


def show(results: Results) -> None:
    """Draw this machine's CPU and the GPU that it is compared with, as they were trained first."""
    for view in results.views[:1]:
        _show_view(results, "crossover", *view)


def show_others(results: Results) -> None:
    """Draw the same of the other protocol and timing, where anything was measured so."""
    for protocol, timing in results.views[1:]:
        _show_view(results, f"crossover-{protocol}-{timing}", protocol, timing)


def show_marks(results: Results) -> None:
    """Say what is trained, and what the marks in the charts mean, of those that are there."""
    text.show(marks_sentence(results))


def marks_sentence(results: Results) -> str:
    """What the marks mean in any of the charts of training time."""
    views = [(results.drawn(*view), *view) for view in results.views]
    kinds = {kind.split()[-1] for drawn, *_ in views for kind in drawn["interval"]}
    bands = [f"{kind}s" for kind in ("interval", "range") if kind in kinds]
    flags = " ".join(f for drawn, _, timing in views for f in drawn[f"{timing}_seconds_flags"])
    marks = [f"bands are their {' or '.join(bands)}"] if bands else []
    marks.append("small dots are single trainings")
    if flags.strip():
        marks.append("hollow markers are flagged medians")
    if "two speeds" in flags:
        marks.append("a bar joins the two speeds of a cell whose trainings fall into two groups")
    if any(len(_background(results, protocol, timing)) for _, protocol, timing in views):
        marks.append("pale lines are the other machines that compare")
    return (
        "One training of the published multilayer perceptron on MNIST, for each width. Lines join "
        f"medians; {'; '.join(marks)}."
    )


def _show_view(results: Results, name: str, protocol: str, timing: str) -> None:
    merged = results.merged
    drawn = results.drawn(protocol, timing)
    trials = merged.trials.merge(drawn[["machine", "protocol", "device", "width"]])
    machines = merged.own, merged.gpu_machine
    crossing = crossing_of(results.crossings, machines, protocol, timing)
    names = {device: merged.processor(device) for device in drawn["device"].unique()}
    view = {"protocol": protocol, "timing": timing}
    figure.show(
        results.figures, name, crossover_plot, trials, drawn, timing, crossing, names,
        _background(results, protocol, timing), view=view,
    )  # fmt: skip


def _background(results: Results, protocol: str, timing: str) -> pd.DataFrame:
    """Parameters and seconds of all other machines that compare, each ``curve`` by its name."""
    merged, column = results.merged, f"{timing}_seconds"
    cells = results.cells[results.cells["protocol"] == protocol].dropna(subset=[column])
    other = cells["machine"] != cells["device"].map(merged.compared)
    alike = cells["machine"].map(merged.comparable).astype(bool)
    rows = cells[other & alike]
    names = [merged.processor(*place) for place in rows[["device", "machine"]].to_numpy()]
    return rows.assign(curve=names, seconds=rows[column])


def crossover_plot(
    ax: Axes,
    trials: pd.DataFrame,
    cells: pd.DataFrame,
    timing: str = "cold",
    crossing: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
    background: pd.DataFrame | None = None,
) -> str:
    """Draw seconds against parameters for each device, and where they cross.

    Trials and cells are of at most one CPU and one GPU, which may be of two machines; ``names``
    are the devices' own. ``crossing`` is a row of `crossovers`. ``background`` are the cells of
    other machines, with ``curve`` and ``seconds``.
    """
    titles = {
        device: ": ".join([str(device).upper(), *([names[device]] if names else [])])
        for device in cells["device"].unique()
    }
    dots, curves = (frame.assign(curve=frame["device"].map(titles)) for frame in (trials, cells))
    behind = cells[:0] if background is None else background
    axes.parameter_axis(ax, [*cells["parameters"], *behind["parameters"]])
    axes.log_axis(ax)
    faint = _draw_background(ax, behind) if len(behind) else []
    labels, told = curve.draw_curves(ax, dots, curves, f"{timing}_seconds", " s")
    ax.set_ylabel(f"training time, {timing} (seconds)")
    crossed = crossing is not None and crossing["status"] == "crossed"
    title: Any = {"color": looks.INK, "weight": "bold", "size": 12}
    ax.set_title(finding(crossing), pad=36 if crossed else None, **title)
    if crossing is not None and crossed:
        _crossing_rule(ax, crossing)
    endlabels.end_labels(ax, [*labels, *faint])
    sentence = "" if crossing is None else f"{crossing['sentence']} "
    return f"{sentence}Training time against parameters on logarithmic axes. {told}"


def _draw_background(ax: Axes, cells: pd.DataFrame) -> list[endlabels.EndLabel]:
    """Other machines' medians, thin and pale; return their names."""
    labels = []
    for (_, device, name), rows in groups(cells, ["machine", "device", "curve"]):
        line, look = rows.sort_values("parameters"), looks.LOOKS[device, "published"]
        pale = looks.pale(look.colour)
        ax.plot(line["parameters"], line["seconds"], c=pale, lw=1, marker=look.marker, ms=3,
                zorder=1)  # fmt: skip
        size, seconds = line[["parameters", "seconds"]].iloc[-1]
        labels.append(endlabels.EndLabel(size, seconds, name, pale, faint=True))
    return labels


def _crossing_rule(ax: Axes, crossing: Mapping[str, Any]) -> None:
    """Mark the crossover with its interval, and say which device wins on either side."""
    estimate, low, high = (float(crossing[name]) for name in ("estimate", "low", "high"))
    bounded = np.isfinite(low) and np.isfinite(high)
    if bounded:
        ax.axvspan(low, high, color=looks.SOFT, alpha=0.18, lw=0)
    ax.axvline(estimate, color=looks.INK, lw=1.2, ls="--")
    share = float(ax.transAxes.inverted().transform(ax.transData.transform((estimate, 1)))[0])
    side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    above: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    note = f"about {rounded(estimate)} parameters\n({crossing['spread']})"
    ax.annotate(note, (estimate, 1), (0, 3), ha=side, va="bottom", fontsize=10, **above)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (top / bottom) ** 0.1)
    if side == "center":
        left, right = (low, high) if bounded else (estimate, estimate)
        soft = above | {"va": "top", "color": looks.SOFT, "fontsize": 10}
        ax.annotate("← CPU faster", (left, 1), (-5, -5), ha="right", **soft)
        ax.annotate("GPU faster →", (right, 1), (5, -5), ha="left", **soft)
