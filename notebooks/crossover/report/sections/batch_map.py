"""The map of batch sizes: which device is faster by parameters and batch size."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.batch_map import batch_map
from crossover.report import axes, figure, text
from crossover.report.results import Results


def show(results: Results) -> None:
    """Draw the map, or say how to train it."""
    sizes = batch_map(results.merged.recorded)
    if len(sizes):
        figure.show(results.figures, "map", map_plot, sizes)
    else:
        text.show("The batch sizes are not trained yet: `make map` trains them.")


def map_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw `crossover.analysis.batch_map.batch_map`: the speed-up of both devices, else seconds."""
    columns = ["device", "parameters"]
    seconds = table.pivot(index="batch_size", columns=columns, values="epoch_seconds")
    device, both = table["device"].iloc[0], table["device"].nunique() == 2
    shown = pd.DataFrame(seconds["cpu"] / seconds["gpu"] if both else seconds[device])
    _squares(ax, shown, both)
    ax.set_xticks(range(shown.shape[1]), [axes.plain(float(count)) for count in shown.columns])
    ax.set_yticks(range(shown.shape[0]), list(map(str, shown.index.to_numpy())))
    ax.set_xlabel("trainable parameters")
    ax.set_ylabel("batch size")
    ax.grid(visible=False)
    span = f"{np.nanmin(shown.to_numpy()):.2g} to {np.nanmax(shown.to_numpy()):.2g}"
    if both:
        ax.set_title("times as fast on the GPU as on the CPU; dashed: the crossover")
        return (
            f"Speed-up of the GPU over the CPU by parameters and batch size: from {span} times; "
            "the dashed line is the crossover."
        )
    ax.set_title(f"seconds of an epoch, {device.upper()}, published protocol")
    return f"Seconds of an epoch on the {device.upper()} by parameters and batch size: from {span}."


def _squares(ax: Axes, shown: pd.DataFrame, ratios: bool) -> None:
    """Colour and number each square; of ratios also the line where both devices are equal."""
    values = np.log2(shown.to_numpy())
    limit = float(np.nanmax(np.abs(values)))
    colours, low, high = ("PuOr", -limit, limit) if ratios else ("cividis", None, None)
    mesh = ax.imshow(values, cmap=colours, aspect="auto", vmin=low, vmax=high)
    for row, column in np.ndindex(*shown.shape):
        value = float(shown.to_numpy()[row, column])
        red, green, blue, _ = mesh.cmap(mesh.norm(values[row, column]))
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45
        words = f"{value:.2g}×" if ratios else f"{value:.2g} s"
        ax.text(column, row, words, ha="center", va="center", color="white" if dark else "black")
    if ratios and values.min() < 0 < values.max() and min(values.shape) > 1:
        ax.contour(values, levels=[0], colors="#111111", linewidths=2, linestyles="--")
