"""The page: offline, folded, described, and closed to a stranger's markup."""

import base64
import hashlib
import json

import bs4
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from crossover.analysis.compared import MIME
from crossover.report.render import RenderError, _refuse_requests, render
from crossover.report.text import literal

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJ"
    "RU5ErkJggg=="
)
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](https://example.org/p.png)",
    "<iframe src='https://example.org'></iframe>",
    "<style>body{display:none}</style>",
    "<a href='https://example.org' onclick='x()'>y</a>",
    "</td></tr></table><script>x</script>",
]


def page_of(tmp_path, *cells):
    notebook = new_notebook(cells=[new_markdown_cell("# Title\n\n## Part"), *cells])
    nbformat.write(notebook, tmp_path / "n.ipynb")
    render(tmp_path / "n.ipynb", tmp_path / "n.html")
    return bs4.BeautifulSoup((tmp_path / "n.html").read_text(), "html.parser")


def output(kind, data, **metadata):
    shown = new_output("display_data", {kind: data}, metadata=metadata)
    return new_code_cell("x = 1", outputs=[shown])


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["text/markdown", "text/html", "text/plain"])
def test_markup_never_becomes_an_element(kind, text, tmp_path):
    page = page_of(tmp_path, output(kind, text))
    for name in ("script", "svg", "iframe", "img", "object"):
        assert page.main.find(name) is None
    for element in page.main.find_all(True):
        assert not any(attribute.startswith("on") for attribute in element.attrs)
        assert not element.get("href", "#").startswith("javascript")
    assert len(page.find_all("style")) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_literal_in_markdown_is_read_as_written(text, tmp_path):
    page = page_of(tmp_path, output("text/markdown", literal(text)))
    assert page.select_one(".outputs").get_text().strip() == text


def test_a_figure_has_its_alt_text(tmp_path):
    alt = 'GPU "faster" <from> 10'
    page = page_of(tmp_path, output("image/png", PIXEL, **{"image/png": {"alt": alt}}))
    assert page.img["alt"] == alt
    assert page.img["src"].startswith("data:image/png;base64,")


def test_code_is_folded_and_errors_of_the_kernel_are_left_out(tmp_path):
    cell = new_code_cell("secret = 1", outputs=[new_output("stream", name="stderr", text="noise")])
    page = page_of(tmp_path, cell)
    assert "secret" in page.main.details.get_text()
    assert page.main.details.get("open") is None
    assert "noise" not in page.get_text()


def test_the_contents_lead_to_each_part(tmp_path):
    page = page_of(tmp_path)
    for nav in page.find_all("nav"):
        answer, part = nav.find_all("a")
        assert (answer.get_text(), answer["href"]) == ("The answer", "#main")
        assert part.get_text() == "Part"
        assert page.find(id=part["href"][1:]).name == "h2"
    assert len(page.find_all("nav")) == 2


def test_the_page_forbids_every_request_and_every_other_script(tmp_path):
    page = page_of(tmp_path)
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    sources = dict(part.split(maxsplit=1) for part in policy.split("; "))
    assert sources.pop("default-src") == sources.pop("base-uri") == "'none'"
    assert sources.pop("form-action") == "'none'"
    assert sources.pop("img-src") == "data:"
    for name in ("style", "script"):
        digest = hashlib.sha256(page.find(name).string.encode()).digest()
        assert sources.pop(f"{name}-src") == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert sources == {}
    assert page.find(["link", "iframe"]) is None


def test_the_forms_data_cannot_end_its_element(tmp_path):
    data = {"curves": [{"machine": "</script><img src=x>"}], "start": {}, "csv": "a,b"}
    shown = {"text/html": "<table></table>", MIME: data}
    cell = new_code_cell("x", outputs=[new_output("display_data", shown)])
    page = page_of(tmp_path, cell)
    assert page.main.find("img") is None
    (held,) = page.main.find_all("script")
    assert held["type"] == "application/json"
    assert json.loads(held.string) == data


def test_an_svg_is_an_image_that_runs_nothing(tmp_path):
    drawing = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    page = page_of(tmp_path, output("image/svg+xml", drawing))
    assert page.svg is None
    assert page.main.script is None
    kind, _, text = page.img["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(text).decode() == drawing


def test_another_script_is_refused():
    page = bs4.BeautifulSoup("<script>alert(1)</script>", "html.parser")
    with pytest.raises(RenderError, match="did not write"):
        _refuse_requests(page)


def test_an_image_from_elsewhere_is_refused():
    with pytest.raises(RenderError, match="would load https://example"):
        _refuse_requests(bs4.BeautifulSoup("<img src='https://example.org/x'>", "html.parser"))


def test_the_page_repeats_though_papermill_draws_an_id(tmp_path):
    pages = []
    for drawn in ("1a2b3c4d", "5e6f7a8b"):
        cell = new_code_cell("x = 1", id=drawn, metadata={"tags": ["injected-parameters"]})
        pages.append(str(page_of(tmp_path, cell)))
    assert pages[0] == pages[1]
    assert "Code of cell injected-parameters" in pages[0]
