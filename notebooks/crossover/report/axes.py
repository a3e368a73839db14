"""Axes in plain numbers: parameters with a tick at each measured size, seconds and ratios."""

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import Locator, LogLocator, NullFormatter

# Two labelled sizes stand at least this far apart.
TICK_POINTS = 30


def plain(value: float, _: object = None) -> str:
    """A number for an axis: 0.5, 20, 3,230, 135k, 2.91M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.4g}"


class SizeLocator(Locator):
    """Ticks at the measured sizes, as many as have room on the axis as it is drawn."""

    def __init__(self, ax: Axes, sizes: Sequence[int]) -> None:
        self.ax, self.sizes = ax, sizes

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """The first size, and all others far enough from the tick before them."""
        width = self.ax.get_window_extent().width / self.ax.figure.dpi * 72
        gap = TICK_POINTS / width * math.log(vmax / vmin)
        shown: list[float] = []
        for size in self.sizes:
            if not shown or math.log(size / shown[-1]) >= gap:
                shown.append(float(size))
        return shown

    def __call__(self) -> list[float]:
        """Ticks within the axis's own limits."""
        return self.tick_values(*self.ax.get_xlim())


def parameter_axis(ax: Axes, parameters: Iterable[int]) -> None:
    """A logarithmic axis of parameters, with a tick at each measured size that has room."""
    sizes = sorted(set(parameters))
    if not sizes:
        return
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    ax.xaxis.set_major_locator(SizeLocator(ax, sizes))
    ax.xaxis.set_major_formatter(plain)
    ax.xaxis.minorticks_off()
    ax.tick_params(axis="x", labelsize=9.5)
    ax.set_xlabel("trainable parameters")


def log_axis(ax: Axes) -> None:
    """A logarithmic axis of seconds or ratios, labelled in plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    plain_numbers(ax.yaxis)


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis in plain numbers."""
    axis.set_major_formatter(plain)
    axis.set_minor_formatter(NullFormatter())
