"""What all figures share: style, colours, plain-number axes, and publication."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, NullFormatter, NullLocator

from crossover.files import write_bytes, write_text
from crossover.records.frame import shortened

STYLE = Path(__file__).with_name("crossover.mplstyle")
# Okabe and Ito's colours for colour-blind readers; markers and dashes tell them apart in grey.
COLOURS = {"cpu": "#0072B2", "gpu": "#D55E00"}
MARKERS = {"cpu": "o", "gpu": "s"}
NAMES = {"cpu": "CPU", "gpu": "GPU"}
# Four curves of one machine: a device's colour, a marker of its own.
CURVES = {
    ("cpu", "published"): ("#0072B2", "o"),
    ("cpu", "tuned"): ("#0072B2", "^"),
    ("gpu", "published"): ("#D55E00", "s"),
    ("gpu", "tuned"): ("#D55E00", "D"),
}
INK, SOFT = "#1b1f24", "#57606a"
# Two labelled sizes stand at least this far apart.
TICK_POINTS = 30
NARROW_INCHES, NARROW_LETTERS = (4.3, 3.9), 50


def plain(value: float, _: object = None) -> str:
    """A number for an axis: 0.5, 20, 3,230, 135k, 2.91M."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:,.4g}"


def clean(text: str) -> str:
    """A stranger's text for a label: printable, of bounded length, and shown.

    Matplotlib leaves labels that start with an underscore out of a legend.
    """
    return shortened(text).lstrip("_")


def new_figure() -> tuple[Figure, Axes]:
    """One figure with one axis, in the project's style."""
    plt.style.use(STYLE)
    return plt.subplots()


class SizeLocator(Locator):
    """Ticks at the measured sizes, as many as have room on the axis as it is drawn."""

    def __init__(self, ax: Axes, sizes: Sequence[int]) -> None:
        self.ax, self.sizes = ax, sizes

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """The first size, and each one far enough from the tick before it."""
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
    ax.xaxis.set_major_formatter(FuncFormatter(plain))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.tick_params(axis="x", labelsize=9.5)
    ax.set_xlabel("trainable parameters")


def log_axis(ax: Axes) -> None:
    """A logarithmic axis of seconds or ratios, labelled in plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(plain))
    ax.yaxis.set_minor_formatter(NullFormatter())


def publish(figure: Figure, folder: Path, name: str, alt: str) -> None:
    """Show a figure with its alt text and save it as SVG and PNG.

    The output's metadata also holds a narrow drawing, for the report on a
    phone, of figures over parameters: their ticks and labels make room.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    wide = _svg(figure, alt)
    about = {"alt": alt}
    if all(isinstance(ax.xaxis.get_major_locator(), SizeLocator) for ax in figure.axes):
        about["narrow"] = _narrow(figure, alt)
    plt.close(figure)
    write_text(folder / f"{name}.svg", wide)
    write_bytes(folder / f"{name}.png", png.getvalue())
    display(
        {"image/svg+xml": wide, "image/png": png.getvalue(), "text/plain": alt},
        raw=True,
        metadata={"image/svg+xml": about, "image/png": {"alt": alt}},
    )


def _narrow(figure: Figure, alt: str) -> str:
    """The same drawing on a phone's width, its title broken into lines."""
    figure.set_size_inches(NARROW_INCHES)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    for title in (text for text in figure.findobj(Text) if text.get_text() in filter(None, titles)):
        lines = title.get_text().splitlines()
        title.set(text="\n".join(textwrap.fill(line, NARROW_LETTERS) for line in lines), size=9)
    return _svg(figure, alt)


def _svg(figure: Figure, alt: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Description": alt})
    return text.getvalue()
