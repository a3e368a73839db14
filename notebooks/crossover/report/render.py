"""The report's page: an executed notebook as one HTML file that opens offline."""

import base64
import hashlib
from pathlib import Path

import bleach
import bs4
import nbformat
from nbconvert import HTMLExporter
from traitlets.config import Config

from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.files import write_text
from crossover.paths import NOTEBOOKS

TAGS = {
    "h1", "h2", "h3", "h4", "p", "blockquote", "strong", "em", "a", "code", "pre", "ul", "ol", "li",
    "hr", "br", "sup", "sub", "span", "div", "table", "caption", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
ATTRIBUTES = {
    "*": ["id", "class"],
    "a": ["href"],
    "th": ["scope", "colspan"],
    "td": ["colspan", "data-label"],
}
POLICY = (
    "default-src 'none'; img-src data:; style-src {style}; script-src {script}; "
    "base-uri 'none'; form-action 'none'"
)
SCRIPT = NOTEBOOKS / "template" / "report.js"
LOADING = {"src": ("img", "script", "iframe", "audio", "video", "embed"), "href": ("link", "base")}


class RenderError(CrossoverError):
    """The notebook cannot be read, or the page would load or run what is not its own."""

    code = 1


def render(notebook: Path, page: Path) -> int:
    """Write the page of an executed notebook and return its size in bytes.

    Raises `RenderError` if the file is no notebook, an element of the page would load anything from
    elsewhere, or the page holds a script that is not the template's.
    """
    config = Config({"HTMLExporter": {"extra_template_basedirs": [str(NOTEBOOKS)]}})
    exporter = HTMLExporter(
        config=config, template_name="template", filters={"clean_html": clean_html}
    )
    body, _ = exporter.from_notebook_node(_executed(notebook))
    soup = bs4.BeautifulSoup(body, "html.parser")
    _refuse_requests(soup)
    _list_not_measured(soup)
    _gather_code(soup)
    _fold_parts(soup)
    _name_page(soup)
    _box_tables(soup)
    _list_contents(soup)
    _seal(soup)
    write_text(page, str(soup))
    return page.stat().st_size


def _executed(path: Path) -> nbformat.NotebookNode:
    try:
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError, nbformat.ValidationError) as error:
        raise RenderError(f"{path.name} is no notebook ({type(error).__name__}).") from None
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = "injected-parameters"  # Papermill's is drawn anew: no page would repeat.
    return notebook


def clean_html(html: str) -> str:
    """Keep the elements that a text needs; anything else becomes visible text."""
    return str(bleach.clean(html, tags=TAGS, attributes=ATTRIBUTES, protocols=["https"]))


def _refuse_requests(soup: bs4.BeautifulSoup) -> None:
    for attribute, elements in LOADING.items():
        for element in soup.find_all(elements):
            address = str(element.get(attribute) or "")
            if address and not address.startswith("data:image/"):
                raise RenderError(f"the page would load {address:.80} in <{element.name}>.")
    for script in soup.find_all("script", type=lambda kind: kind != "application/json"):
        if script.get_text() != SCRIPT.read_text(encoding="utf-8").rstrip("\n"):
            raise RenderError("the page holds a script that the template did not write.")


HEADINGS = ["h1", "h2", "h3"]


def _is(element: bs4.Tag, kind: str) -> bool:
    """Whether an element is of a class."""
    return kind in (element.get("class") or "")


def _level(element: bs4.Tag) -> int:
    """The level of the heading that a part of the page begins with; 9 where it has none."""
    heading = None if _is(element, "code") else element.find(HEADINGS)
    return int(heading.name[1]) if isinstance(heading, bs4.Tag) else 9


def _part(section: bs4.Tag, level: int) -> list[bs4.Tag]:
    """What follows a section until the next heading of its level or above."""
    following = []
    for sibling in section.find_next_siblings():
        if isinstance(sibling, bs4.Tag) and _level(sibling) <= level:
            break
        following.append(sibling)
    return [sibling for sibling in following if isinstance(sibling, bs4.Tag)]


def _list_not_measured(soup: bs4.BeautifulSoup) -> None:
    """Gather what was not measured in one list; parts and texts that show nothing else go."""
    told = [element.extract() for element in soup.select(".not-measured")]
    for outputs in soup.select(".outputs"):
        if not outputs.find(True):
            outputs.decompose()
    for text in soup.select("main > section.text"):
        part = [] if text.decomposed else _part(text, 3)
        codes = [section for section in part if _is(section, "code")]
        first = next(iter(part), None)
        shown = [section for section in codes if section.select_one(".outputs")]
        if codes and not shown and _level(text) < 9:
            for section in [text, *part]:
                if section not in codes:
                    section.decompose()
        elif first in codes and first not in shown and _level(text) == 9:
            text.decompose()
    if told and isinstance(soup.main, bs4.Tag):
        listed = soup.new_tag("section", attrs={"class": "text"})
        listed.append(soup.new_tag("h2", id="not-measured", string="What was not measured"))
        items = soup.new_tag("ul")
        for element in told:
            item = soup.new_tag("li")
            item.extend([child for paragraph in element.find_all("p") for child in list(paragraph)])
            items.append(item)
        listed.append(items)
        soup.main.append(listed)


def _fold_parts(soup: bs4.BeautifulSoup) -> None:
    """Fold the parts whose headings JupyterLab folds, too."""
    for section in reversed(soup.select("section.folded")):
        heading = section.find(HEADINGS)
        if isinstance(heading, bs4.Tag):
            part = _part(section, _level(section))
            fold = section.wrap(soup.new_tag("details", attrs={"class": "fold"}))
            summary = soup.new_tag("summary")
            summary.append(heading.extract())
            fold.insert(0, summary)
            fold.extend(part)


def _name_page(soup: bs4.BeautifulSoup) -> None:
    """Put the byline into the page's title."""
    line = soup.select_one(".byline")
    if line and soup.title:
        soup.title.string = f"When does a GPU pay off? {line.get_text()}"


def _gather_code(soup: bs4.BeautifulSoup) -> None:
    """Put the code of cells that show nothing, or stand above another, into the next one's fold."""
    for section in soup.select("section.code"):
        following = section.find_next_sibling("section", class_="code")
        fold = following.select_one("section > details > summary") if following else None
        empty = not section.select_one(".outputs")
        if fold and (empty or section.find_next_sibling() is following):
            fold.insert_after(*section.select(".source"))
            for emptied in [section] if empty else section.select("section > details"):
                emptied.decompose()


def _box_tables(soup: bs4.BeautifulSoup) -> None:
    """Let a wide table scroll in a box of its own that the keyboard reaches."""
    for number, table in enumerate(soup.find_all("table"), 1):
        caption = table.find("caption")
        label = caption.get_text(" ", strip=True) if caption else f"Table {number}"
        label = f"{label} (table {number})"
        box = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": label}
        table.wrap(soup.new_tag("div", attrs=box))


def _list_contents(soup: bs4.BeautifulSoup) -> None:
    """Fill both lists of contents: the wide page's and the phone's."""
    parts = {"main": "The answer"}
    for heading in soup.find_all("h2"):
        parts[str(heading.get("id"))] = heading.get_text().replace("¶", "").strip()
    for nav in soup.find_all("nav"):
        entries = soup.new_tag("ol")
        for place, text in parts.items():
            item = soup.new_tag("li")
            item.append(soup.new_tag("a", href=f"#{place}", string=text))
            entries.append(item)
        nav.append(entries)


def _seal(soup: bs4.BeautifulSoup) -> None:
    """Allow the page's own style and script by their digests, and nothing else."""
    digests = {
        name: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
            for text in (element.get_text() for element in soup.find_all(name, type=False))
        )
        for name in ("style", "script")
    }
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    if not isinstance(policy, bs4.Tag):
        raise RenderError("the template has lost its Content-Security-Policy.")
    policy["content"] = POLICY.format(**digests)


def render_page(verb: str, words: list[str]) -> int:
    """Render the executed NOTEBOOK as PAGE."""
    given = assigned(words, ["NOTEBOOK", "PAGE"])
    if len(given) != 2:
        raise CrossoverError(f"write: python -m crossover {verb} NOTEBOOK=file PAGE=file")
    size = render(Path(given["NOTEBOOK"]), Path(given["PAGE"]))
    print(f"{given['PAGE']}: {size / 1e6:.1f} MB")
    return 0
