"""A figure from its style to its files: drawn, shown with its alt text, and saved."""

import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from crossover.files import write_bytes, write_text
from crossover.records.frame import shortened

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


class Drawing(NamedTuple):
    """A drawn figure: SVG, PNG unless for a phone, alt text, and its axis's place if asked for."""

    svg: str
    png: bytes
    alt: str
    place: dict[str, list[float]]


def show(
    folder: Path, name: str, draw: Callable[..., str], *content: object,
    view: dict[str, str] | None = None, phone: Mapping[str, Any] | None = None, **axes: Any,
) -> None:  # fmt: skip
    """Draw ``content`` on new axes, show the figure with its alt text, save it as SVG and PNG.

    ``draw`` returns the alt text. The output's metadata also hold a narrow drawing, for the report
    on a phone: the same on axes of a phone's width, laid out as ``phone`` says. ``view`` names a
    chart of one axis, on which the report's form marks a size: the metadata then tell where, too.
    """
    small = {"figsize": NARROW_INCHES} | dict(phone or {})
    wide, narrow = (_drawing(draw, content, layout, view) for layout in (axes, axes | small))
    about: dict[str, Any] = {"alt": wide.alt, "narrow": narrow.svg}
    if view:
        about["chart"] = view | {"wide": wide.place, "narrow": narrow.place}
    write_text(folder / f"{name}.svg", wide.svg)
    write_bytes(folder / f"{name}.png", wide.png)
    display(
        {"image/svg+xml": wide.svg, "image/png": wide.png, "text/plain": wide.alt},
        raw=True,
        metadata={"image/svg+xml": about, "image/png": {"alt": wide.alt}},
    )


def on_a_phone(ax: Axes) -> bool:
    """Whether a figure is drawn for a phone's width."""
    inches = ax.figure.bbox.width / ax.figure.dpi
    return round(inches, 6) <= NARROW_INCHES[0]


def _drawing(
    draw: Callable[..., str], content: Sequence[object], axes: Mapping[str, Any], placed: object
) -> Drawing:
    """Draw once."""
    figure, drawn = new_figure(**axes)
    alt = draw(drawn, *content)
    png, svg = io.BytesIO(), io.StringIO()
    if on_a_phone(figure.axes[0]):
        for title in _break_titles(figure, NARROW_LETTERS):
            title.set_fontsize(9)
    else:
        _break_titles(figure, WIDE_LETTERS)
        figure.savefig(png, format="png", metadata={"Software": None})
    figure.savefig(svg, format="svg", metadata={"Date": None, "Description": alt})
    plt.close(figure)
    return Drawing(svg.getvalue(), png.getvalue(), alt, _place(figure) if placed else {})


def _place(figure: Figure) -> dict[str, list[float]]:
    """Where the one axis of a drawn figure lies: its box as shares of it, and both log10 limits."""
    (ax,) = figure.axes
    box = ax.get_position()
    limits = (*ax.get_xlim(), *ax.get_ylim())
    names = {"box": (box.x0, box.y0, box.x1, box.y1), "limits": map(math.log10, limits)}
    return {name: [round(value, 5) for value in values] for name, values in names.items()}


def _break_titles(figure: Figure, letters: int) -> list[Text]:
    """Break the axes' titles into lines of so many letters, and return them."""
    told = set(filter(None, (ax.get_title(loc="left") for ax in figure.axes)))
    titles = [text for text in figure.findobj(Text) if text.get_text() in told]
    for title in titles:
        lines = title.get_text().splitlines()
        title.set_text("\n".join(textwrap.fill(line, letters) for line in lines))
    return titles
