"""One frame as a table that reads well in the report, in JupyterLab and on a phone."""

from collections.abc import Collection, Iterator, Sequence
from html import escape
from itertools import groupby

import pandas as pd
from IPython.display import display

from crossover.report.columns import Column, written
from crossover.report.text import MISSING

# JupyterLab knows none of the report's classes; the report drops these styles.
LEFT = ' style="text-align:left"'


class Strong(str):
    """The text of a cell that wins or warns: set in bold."""

    __slots__ = ()


def show(
    frame: pd.DataFrame,
    caption: str,
    columns: Sequence[Column] = (),
    data: dict[str, object] | None = None,
) -> None:
    """Show a frame as its columns say, or one of texts as it is.

    ``data`` holds outputs of further media types.
    """
    text = {column.title for column in columns if column.text}
    html = table_html(written(frame, columns) if columns else frame, caption, text)
    display({"text/html": html, "text/plain": caption, **(data or {})}, raw=True)


def table_html(frame: pd.DataFrame, caption: str, text: Collection[str] = ()) -> str:
    """A frame as an HTML table, every cell escaped.

    Parameters
    ----------
    frame : DataFrame
        Cells as they shall read. Columns are names, or (group, name) pairs: neighbours of one group
        stand under one spanning heading.
    caption : str
    text : collection of str
        Names of columns set to the left and wrapped; the rest are numbers.
    """
    columns = [name if isinstance(name, tuple) else ("", str(name)) for name in frame.columns]
    # On a phone prose becomes one card a row, and groups stand below each other.
    kind = " grouped" if any(group for group, _ in columns) else ""
    kind = " prose" if 2 * len(text) > len(columns) else kind
    names = [name for _, name in columns]
    rows = "".join(
        f"<tr>{''.join(map(_cell, cells, names, [name in text for name in names]))}</tr>"
        for cells in frame.itertuples(index=False)
    )
    return (
        # MathJax, which JupyterLab runs over tables, leaves this class alone.
        f'<table class="data mathjax_ignore{kind}"><caption>{escape(caption)}</caption>'
        f"<thead>{''.join(_headings(columns, text))}</thead><tbody>{rows}</tbody></table>"
    )


def _headings(columns: Sequence[tuple[str, str]], text: Collection[str]) -> Iterator[str]:
    """One row of headings, and one above it where columns are grouped."""
    groups = [(group, len(list(same))) for group, same in groupby(c[0] for c in columns)]
    if any(group for group, _ in groups):
        yield "<tr>"
        for group, span in groups:
            scope = ' class="group" scope="colgroup"' if group else ""
            tag = "th" if group else "td"
            yield f'<{tag}{scope} colspan="{span}">{escape(group)}</{tag}>'
        yield "</tr>"
    yield "<tr>"
    for _, name in columns:
        style = f' class="text"{LEFT}' if name in text else ""
        yield f'<th scope="col"{style}>{escape(name)}</th>'
    yield "</tr>"


def _cell(cell: object, name: str, text: bool) -> str:
    kinds = " ".join(["text"] * text + ["missing"] * (cell == MISSING))
    kind, style = f' class="{kinds}"' if kinds else "", LEFT if text else ""
    shown = escape(str(cell))
    shown = f"<strong>{shown}</strong>" if isinstance(cell, Strong) else shown
    return f'<td{kind} data-label="{escape(name)}"{style}>{shown}</td>'
