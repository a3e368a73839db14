"""How far tuning moves it: both protocols of this machine."""

import pandas as pd
from matplotlib.axes import Axes

from crossover.records.frame import groups
from crossover.report import axes, curve, figure, text
from crossover.report.results import Results


def show(results: Results) -> None:
    """Show what the tuned protocol gains, and the curves of both."""
    own_cells = results.own_cells
    timing = "steady" if own_cells["steady_seconds"].notna().any() else "cold"
    text.show(tuning_gain(own_cells, timing))
    frames = results.own_trials, own_cells
    figure.show(results.figures, "tuned", seconds_plot, *frames, results.merged.own, timing)


def tuning_gain(cells: pd.DataFrame, timing: str) -> str:
    """How much faster one machine's tuned protocol is than the published one, on each device."""
    seconds, flags = (
        cells.pivot(index=["device", "width"], columns="protocol", values=values).reindex(
            columns=["published", "tuned"]
        )
        for values in (f"{timing}_seconds", f"{timing}_seconds_flags")
    )
    times, flagged = seconds["published"] / seconds["tuned"], (flags != "").any(axis="columns")
    gains = pd.DataFrame({"times": times, "flagged": flagged}).dropna()
    sentences = []
    for device, rows in groups(gains.reset_index("width"), "device"):
        ends = rows.iloc[[0, -1]].drop_duplicates("width").to_dict("records")
        told = [
            f"{text.marked(text.three_digits(end['times']), end['flagged'])} times as fast at "
            f"width {end['width']}"
            for end in ends
        ]
        sentences.append(
            f"On the {device.upper()}, the tuned protocol is {' and '.join(told)} ({timing} times)."
        )
    return " ".join(sentences) or "No device was measured in both protocols."


def seconds_plot(ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, own: str, timing: str) -> str:
    """Draw median seconds against parameters, one line for each curve."""
    axes.log_axis(ax)
    label = f"training time, {timing} (seconds)"
    return curve.curves_plot(ax, trials, cells, own, f"{timing}_seconds", label)
