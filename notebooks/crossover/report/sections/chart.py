"""The answer's picture: training time against parameters of both devices, and where they cross."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.crossing import rounded
from crossover.report import axes, curve, endlabels, figure, looks
from crossover.report.results import Results, crossing_row


def show(results: Results) -> None:
    """Draw this machine's CPU and the GPU that it is compared with."""
    merged, cells = results.merged, results.cells[results.cells["protocol"] == "published"]
    drawn = cells[cells["machine"] == cells["device"].map(merged.compared)]
    trials = merged.trials.merge(drawn[["machine", "protocol", "device", "width"]])
    crossing = crossing_row(results.crossings, merged.own, merged.gpu_machine)
    figure.show(results.figures, "crossover", crossover_plot, trials, drawn, crossing)


def crossover_plot(
    ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, crossing: "pd.Series[Any] | None" = None
) -> str:
    """Draw cold seconds against parameters for each device, and where they cross.

    Trials and cells are of at most one CPU and one GPU, which may be of two machines; ``crossing``
    is a row of `crossovers`.
    """
    dots, curves = (frame.assign(curve=frame["device"].str.upper()) for frame in (trials, cells))
    axes.parameter_axis(ax, cells["parameters"])
    axes.log_axis(ax)
    labels, told = curve.draw_curves(ax, dots, curves, "cold_seconds", " s")
    ax.set_ylabel("training time, cold (seconds)")
    # The machine behind each curve; once where both are of one.
    owners = cells.groupby("device")["machine"].first().map(figure.clean)
    both = [f"{str(device).upper()} of {machine}" for device, machine in owners.items()]
    ax.set_title("\n".join(both if owners.nunique() > 1 else owners[:1]))
    if crossing is not None and crossing["status"] == "crossed":
        _crossing_rule(ax, crossing)
    endlabels.end_labels(ax, labels)
    finding = "" if crossing is None else f"{crossing['sentence']} "
    return f"{finding}Training time against parameters on logarithmic axes. {told}"


def _crossing_rule(ax: Axes, crossing: "pd.Series[Any]") -> None:
    """Mark the crossover with its interval, and say which device wins on either side."""
    estimate, low, high = (float(crossing[name]) for name in ("estimate", "low", "high"))
    bounded = np.isfinite(low) and np.isfinite(high)
    if bounded:
        ax.axvspan(low, high, color=looks.SOFT, alpha=0.18, lw=0)
    ax.axvline(estimate, color=looks.INK, lw=1.2, ls="--")
    share = float(ax.transAxes.inverted().transform(ax.transData.transform((estimate, 1)))[0])
    side = "left" if share < 0.3 else "right" if share > 0.7 else "center"
    above: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    note = f"crossover at about {rounded(estimate)} parameters\n({crossing['spread']})"
    ax.annotate(note, (estimate, 1), (0, 3), ha=side, va="bottom", fontsize=10, **above)
    ax.set_title(ax.get_title(loc="left"), pad=36)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top * (top / bottom) ** 0.1)
    if side == "center":
        left, right = (low, high) if bounded else (estimate, estimate)
        soft = above | {"va": "top", "color": looks.SOFT, "fontsize": 10}
        ax.annotate("← CPU faster", (left, 1), (-5, -5), ha="right", **soft)
        ax.annotate("GPU faster →", (right, 1), (5, -5), ha="left", **soft)
