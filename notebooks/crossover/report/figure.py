"""A figure from its style to its files: drawn, shown with its alt text, and saved."""

import io
import math
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.figure import Figure
from matplotlib.text import Text

from crossover.files import write_bytes, write_text
from crossover.records.frame import shortened
from crossover.report.axes import SizeLocator

STYLE = Path(__file__).with_name("crossover.mplstyle")
NARROW_INCHES, NARROW_LETTERS, WIDE_LETTERS = (4.3, 3.9), 44, 62


def clean(text: str) -> str:
    """A stranger's text for a label: printable, of bounded length, and shown.

    Matplotlib leaves labels that start with an underscore out of a legend.
    """
    return shortened(text).lstrip("_")


def new_figure(**axes: Any) -> tuple[Figure, Any]:
    """One figure in the project's style, with its axis or `axes` as pyplot lays them out."""
    plt.style.use(STYLE)
    return plt.subplots(**axes)


def show(
    folder: Path, name: str, draw: Callable[..., str], *content: object,
    view: dict[str, str] | None = None, **axes: Any,
) -> None:  # fmt: skip
    """Draw ``content`` on new axes, show the figure with its alt text, save it as SVG and PNG.

    ``draw`` returns the alt text. The output's metadata also holds a narrow drawing, for the report
    on a phone, of figures over parameters: their ticks and labels make room. ``view`` names a chart
    of one axis, on which the report's form marks a size: the metadata then tell where, too.
    """
    figure, drawn = new_figure(**axes)
    alt = draw(drawn, *content)
    _break_titles(figure, WIDE_LETTERS)
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    wide = _svg(figure, alt)
    about: dict[str, Any] = {"alt": alt}
    places = {"wide": _place(figure)} if view else {}
    if all(isinstance(ax.xaxis.get_major_locator(), SizeLocator) for ax in figure.axes):
        about["narrow"] = _narrow(figure, alt)
        if view:
            about["chart"] = view | places | {"narrow": _place(figure)}
    plt.close(figure)
    write_text(folder / f"{name}.svg", wide)
    write_bytes(folder / f"{name}.png", png.getvalue())
    display(
        {"image/svg+xml": wide, "image/png": png.getvalue(), "text/plain": alt},
        raw=True,
        metadata={"image/svg+xml": about, "image/png": {"alt": alt}},
    )


def _place(figure: Figure) -> dict[str, list[float]]:
    """Where the one axis of a drawn figure lies: its box as shares of it, and both log10 limits."""
    (ax,) = figure.axes
    box = ax.get_position()
    limits = (*ax.get_xlim(), *ax.get_ylim())
    names = {"box": (box.x0, box.y0, box.x1, box.y1), "limits": map(math.log10, limits)}
    return {name: [round(value, 5) for value in values] for name, values in names.items()}


def _narrow(figure: Figure, alt: str) -> str:
    """The same drawing on a phone's width, its title broken into lines."""
    figure.set_size_inches(NARROW_INCHES)
    for title in _break_titles(figure, NARROW_LETTERS):
        title.set_fontsize(9)
    return _svg(figure, alt)


def _break_titles(figure: Figure, letters: int) -> list[Text]:
    """Break the axes' titles into lines of so many letters, and return them."""
    told = set(filter(None, (ax.get_title(loc="left") for ax in figure.axes)))
    titles = [text for text in figure.findobj(Text) if text.get_text() in told]
    for title in titles:
        lines = title.get_text().splitlines()
        title.set_text("\n".join(textwrap.fill(line, letters) for line in lines))
    return titles


def _svg(figure: Figure, alt: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Description": alt})
    return text.getvalue()
