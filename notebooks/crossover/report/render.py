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
from crossover.report import parts

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
    parts.list_not_measured(soup)
    parts.gather_code(soup)
    parts.fold_parts(soup)
    parts.name_page(soup)
    parts.box_tables(soup)
    parts.list_contents(soup)
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
