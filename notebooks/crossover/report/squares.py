"""Squares of numbers, in the devices' colours, and the crossover along their edges."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from crossover.report import looks, text

Segment = tuple[tuple[float, float], tuple[float, float]]


def draw_ratios(ax: Axes, ratios: npt.NDArray[np.float64]) -> None:
    """Squares in the colour of the faster device, and the crossover along their edges.

    ``ratios`` has shape (rows, columns), CPU time / GPU time, NaN where missing.
    """
    values = np.log2(ratios)
    limit = float(np.nanmax(np.abs(values))) or 1.0
    ax.imshow(values, cmap=looks.shades("cpu", "gpu"), aspect="auto", vmin=-limit, vmax=limit)
    _number(ax, ratios, "×")
    line = LineCollection(list(crossover_edges(ratios)), colors=looks.INK, linewidths=3,
                          capstyle="projecting")  # fmt: skip
    ax.add_collection(line, autolim=False)


def draw_seconds(ax: Axes, seconds: npt.NDArray[np.float64], device: str) -> None:
    """Squares in one device's colour, the darker the more ``seconds``, of shape (rows, columns)."""
    values, colours = np.log2(seconds), looks.shades(device)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    reach = max(high - low, 1.0)
    # The least is no white square on a white page.
    ax.imshow(values, cmap=colours, aspect="auto", vmin=low - reach / 5, vmax=low + reach)
    _number(ax, seconds, " s")


def _number(ax: Axes, values: npt.NDArray[np.float64], unit: str) -> None:
    """Write each square's number on it, legible on its colour."""
    (image,) = ax.images
    colours = image.to_rgba(np.log2(values))
    for row, column in np.ndindex(*values.shape):
        value = float(values[row, column])
        words = f"{text.three_digits(value)}{unit}" if np.isfinite(value) else text.MISSING
        colour = looks.text_on(*colours[row, column, :3])
        ax.text(column, row, words, ha="center", va="center", color=colour)


def crossover_edges(ratios: npt.NDArray[np.float64]) -> Iterator[Segment]:
    """The edges between neighbours of which one is faster on the GPU and the other on the CPU.

    ``ratios`` has shape (rows, columns), CPU time / GPU time; 1 counts as the CPU's side, and NaN
    as neither. The square of row r and column c has its centre at (c, r) and sides of length 1.
    """
    wins = np.where(np.isnan(ratios), np.nan, ratios > 1)
    for row, column in np.argwhere(np.abs(np.diff(wins, axis=1)) == 1):
        yield (column + 0.5, row - 0.5), (column + 0.5, row + 0.5)
    for row, column in np.argwhere(np.abs(np.diff(wins, axis=0)) == 1):
        yield (column - 0.5, row + 0.5), (column + 0.5, row + 0.5)
