"""How far tuning moves it: both protocols of this machine."""

import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.merge import Merged
from crossover.report import figure, text
from crossover.report.axes import log_axis
from crossover.report.curve import curves_plot, name_curves
from crossover.report.results import Results


def show(results: Results) -> None:
    """Show what the tuned protocol gains, and the curves of both."""
    study, own_cells = results.study, results.own_cells
    text.show(tuning_gain(study, results.cells))
    timing = "steady" if own_cells["steady_seconds"].notna().any() else "cold"
    trials, cells = (name_curves(frame, study.own) for frame in (results.own_trials, own_cells))
    figure.show(results.figures, "tuned", seconds_plot, trials, cells, timing)


def tuning_gain(study: Merged, cells: pd.DataFrame, timing: str = "steady") -> str:
    """How much faster the tuned protocol is than the published one, on each device."""
    rows = cells[cells["machine"] == study.own].dropna(subset=[f"{timing}_seconds"])
    times = rows.set_index(["device", "protocol", "width"])[f"{timing}_seconds"].sort_index()
    curves = set(zip(rows["device"], rows["protocol"], strict=True))
    sentences = []
    for device in ("cpu", "gpu"):
        if not {(device, "published"), (device, "tuned")} <= curves:
            continue
        gain = (times[device, "published"] / times[device, "tuned"]).dropna()
        if len(gain):
            sentences.append(
                f"On the {device.upper()}, the tuned protocol is {gain.iloc[0]:.2g} times as fast "
                f"at width {gain.index[0]} and {gain.iloc[-1]:.2g} times at width "
                f"{gain.index[-1]} ({timing} times)."
            )
    return " ".join(sentences) or "Both protocols were not measured on one device."


def seconds_plot(ax: Axes, trials: pd.DataFrame, cells: pd.DataFrame, timing: str) -> str:
    """Draw median seconds against parameters, one line for each ``curve``."""
    log_axis(ax)
    label = f"training time, {timing} (seconds)"
    return curves_plot(ax, trials, cells, f"{timing}_seconds", label)
