"""A stranger's file is data: whatever its texts hold, they stay text, and no path is followed."""

import csv
import json
import os
from contextlib import nullcontext

import bs4
import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from conftest import copy_project, make_record, report
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.records.frame import machine_label, to_frame
from crossover.records.jsontext import parse_model
from crossover.records.record import Code, Machine, Record, Software
from crossover.records.reference import MAX_PROBLEMS, read_reference, write_reference
from crossover.records.settings import protocol_settings
from crossover.records.storage import write_record
from crossover.report.figure import clean, new_figure
from crossover.report.render import render
from crossover.report.results import write_csv
from crossover.report.sections.method import problems_sentence
from crossover.report.text import literal

TEXTS = {
    "script": "<script>alert(1)</script>",
    "image": "<img src=x onerror=alert(1)>",
    "attribute": "\"' onmouseover=alert(1) x='<svg onload=alert(1)>",
    "link": "[x](javascript:alert(1)) <https://example.org>",
    "picture": "![x](https://example.org/p.png)",
    "table": "</td></tr></table><script>x</script>",
    "style": "<style>*{display:none}</style><base href=//example.org>",
    "formula with a link": r"$\href{javascript:alert(1)}{x}$",
    "broken formula": r"$\frac{ $$ \end{x}",
    "endless formula": r"\begin{equation}\def\x{\x\x}\x\end{equation} \(x\) \[x\]",
    "spreadsheet": "=cmd|'/C calc'!A0",
    "spreadsheet sum": "@SUM(1+1)*cmd|' /C calc'!A0",
    "format": "{0.__class__} {{7*7}} {% include 'x' %} %s %n ${HOME} `id`",
    "Markdown": "**b** `c` # h | a | b | <!-- c -->",
    "entities": "&lt;b&gt; &#60;script&#62; &amp;",
    "path": "../../../../etc/passwd",
    "device": r"\\.\NUL CON /dev/zero",
    "long": "W" * 200,
    "hidden": "_nolegend_",
    "other scripts": "אבג ＜b＞ 🧨 Z͑ͫ",
}
UNPRINTABLE = {
    "colour": "\x1b[31mred", "title": "\x1b]0;x\x07", "line": "a\nb", "return": "a\rb",
    "tab": "a\tb", "null": "a\x00b", "right to left": "a\u202eb", "zero width": "a\u200bb",
    "separator": "a\u2028b", "single escape": "\x9b31m", "bell": "\x07",
}  # fmt: skip


@pytest.mark.parametrize("name", UNPRINTABLE)
@pytest.mark.parametrize("field", ["device_name", "machine.cpu_model", "software.keras"])
def test_a_text_that_could_steer_a_terminal_is_no_record(name, field):
    content = json.loads(make_record().model_dump_json())
    *parents, last = field.split(".")
    (content[parents[0]] if parents else content)[last] = UNPRINTABLE[name]
    found = parse_model(Record, json.dumps(content).encode())
    assert found == f"{field}: Value error, it holds control characters"


def page_of(folder, *texts):
    """The rendered page of Markdown outputs, beside a heading."""
    cells = [
        new_code_cell(outputs=[new_output("display_data", {"text/markdown": text})])
        for text in texts
    ]
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), *cells])
    nbformat.write(notebook, folder / "n.ipynb")
    render(folder / "n.ipynb", folder / "n.html")
    return bs4.BeautifulSoup((folder / "n.html").read_text(), "html.parser")


def assert_harmless(page):
    """No element that acts, loads or listens, but the template's own."""
    own = page.select("body > script, .model form, .model > script[type='application/json']")
    for element in own:
        if element.get("type") == "application/json":
            assert not set("<>&") & set(element.string)
        element.extract()
    for name in ("script", "svg", "iframe", "object", "embed", "form", "base", "link", "math"):
        assert page.find(name) is None, name
    assert len(page.find_all("style")) == 1
    for element in page.find_all(True):
        assert not any(name.startswith("on") for name in element.attrs), element
        # What is downloaded is the page's own, as text.
        own = ("data:text/csv;",) if element.has_attr("download") else ("#", "https://")
        assert element.get("href", own[0]).startswith(own)
        assert element.get("src", "data:image/png").startswith("data:image/")


def test_each_text_is_read_in_markdown_as_it_was_written(tmp_path):
    page = page_of(tmp_path, *map(literal, TEXTS.values()))
    assert_harmless(page)
    shown = [output.get_text().strip() for output in page.select(".outputs")]
    assert shown == list(TEXTS.values())
    assert page.select(".outputs a") == []


@pytest.mark.parametrize("name", ["formula with a link", "broken formula", "endless formula"])
def test_no_delimiter_of_a_formula_stands_beside_its_content(name):
    # MathJax reads formulas within one run of text: a delimiter in an element of its own is none.
    soup = bs4.BeautifulSoup(literal(TEXTS[name]), "html.parser")
    for run in soup.find_all(string=True):
        assert run in ("$", "\\") or not set(run) & {"$", "\\"}


@pytest.mark.parametrize("name", TEXTS)
def test_each_text_can_label_a_figure(name, tmp_path):
    figure, axis = new_figure()
    axis.plot([1, 2], [1, 2], label=clean(TEXTS[name]))
    axis.set_title(clean(TEXTS[name]))
    axis.legend()
    # A missing glyph, or a label wider than the figure, is a warning.
    with pytest.warns() if name in ("other scripts", "long") else nullcontext():
        figure.savefig(tmp_path / "f.svg")
    plt.close(figure)
    assert b"<script" not in (tmp_path / "f.svg").read_bytes()


def test_no_cell_of_a_csv_is_a_formula(tmp_path):
    records = [make_record()]
    frames = [to_frame(records, text) for text in TEXTS.values()]
    for number, frame in enumerate(frames):
        write_csv(frame, tmp_path / f"{number}.csv")
        with (tmp_path / f"{number}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 1
        assert rows[0]["machine"].removeprefix("'") == list(TEXTS.values())[number]
        assert not rows[0]["machine"].startswith(("=", "+", "-", "@"))


def hostile(width, device="cpu", **changes):
    """A trial whose every text is a payload."""
    text = list(TEXTS.values())
    machine = Machine(
        cpu_model=text[0], gpu_model=text[1], gpu_driver=text[2], operating_system=text[3],
        kernel=text[4], visible_cores=2, memory_bytes=2**53,
    )  # fmt: skip
    software = Software(
        python=text[5], backend=text[6], keras=text[7], numpy=text[8], cuda=text[9], cudnn=text[10]
    )
    given = {
        "machine": machine, "software": software, "device_name": text[11],
        "code": Code(version=text[12], digest=text[13]),
        "settings": protocol_settings("published", epochs=1),
    }  # fmt: skip
    return make_record(width=width, device=device, **(given | changes))


@pytest.fixture(scope="module")
def contributed(tmp_path_factory):
    """The real report of a study and references that a stranger wrote: project and output."""
    project = copy_project(tmp_path_factory.mktemp("hostile") / "a project")
    own = project / "data/runs/main/trials"
    for width in (4, 8, 16):
        for device, seconds in (("cpu", 1.0 * width), ("gpu", 5.0)):
            failed = {"test_loss": None, "test_accuracy": 0.098}
            changes = failed if (width, device) == (16, "gpu") else {}
            write_record(own, hostile(width, device, fit=seconds, **changes))
    references = project / "data" / "reference"
    write_reference(references / "good.jsonl", [hostile(4), hostile(8)])
    other = Machine(cpu_model="Another CPU", visible_cores=2)
    write_reference(references / "mixed.jsonl", [hostile(4), hostile(8, machine=other)])
    line = hostile(4).model_dump_json()
    (references / "twice.jsonl").write_text(f"{line}\n{line}\n")
    (references / "garbage.jsonl").write_bytes(bytes(range(256)) * 100)
    (references / "deep.jsonl").write_bytes(b'{"settings":' * 50_000)
    (references / "{wildcard}.jsonl").write_text(line)
    (references / "<b>$x$.jsonl").write_text(line)
    (references / "link.jsonl").symlink_to("/etc/passwd")
    (references / "zero.jsonl").symlink_to("/dev/zero")
    os.mkfifo(references / "pipe.jsonl")
    (references / "folder.jsonl").mkdir()
    code, out, err = report(project, "partial", "EPOCHS=1", "WIDTHS=4 8 16", "DEVICES=cpu gpu")
    assert code == 0, out + err
    return project, out + err


def test_a_strangers_texts_stay_texts_in_the_real_report(contributed):
    project, said = contributed
    page = bs4.BeautifulSoup((project / "figures" / "report.html").read_text(), "html.parser")
    assert_harmless(page)
    text = page.get_text()
    for payload in list(TEXTS.values())[:2] + list(TEXTS.values())[3:14]:
        if payload not in (TEXTS["spreadsheet sum"],):
            assert payload in text, payload
    assert said.replace("\n", "").isprintable()


def test_a_training_that_failed_is_flagged_in_the_real_report(contributed):
    project, _ = contributed
    page = bs4.BeautifulSoup((project / "figures" / "report.html").read_text(), "html.parser")
    assert "Warning: the training failed in 1 of 6 cells; the flags say how." in page.get_text()
    assert "loss not finite; learned nothing" in page.get_text()


def test_unusable_references_are_named_and_not_fatal(contributed):
    project, _ = contributed
    page = bs4.BeautifulSoup((project / "figures" / "report.html").read_text(), "html.parser")
    text = page.get_text()
    for sentence in (
        "reference mixed: trials with different cpu_model",
        "twice.jsonl:2: the same trial stands there twice",
        "garbage.jsonl:1: it is no JSON text, or only a part of one",
        "deep.jsonl:1: Invalid JSON",
        "{wildcard}.jsonl: no file that 'make record' writes",
        "<b>$x$.jsonl: no file that 'make record' writes",
        "link.jsonl: no file that 'make record' writes",
        "zero.jsonl: no file that 'make record' writes",
        "pipe.jsonl: no file that 'make record' writes",
        "folder.jsonl: no file that 'make record' writes",
    ):
        assert sentence in text, sentence
    machines = {row["machine"] for row in rows_of(project / "data" / "summary.csv")}
    assert "reference good" in machines
    assert "reference mixed" not in machines
    assert "root:" not in text


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_executed_notebook_holds_no_markup_of_a_stranger(contributed):
    project, _ = contributed
    path = project / "data" / "runs" / "main" / "notebooks" / "summary.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in ("text/html", "text/markdown"):
                soup = bs4.BeautifulSoup(output.get("data", {}).get(kind, ""), "html.parser")
                names = {element.name for element in soup.find_all(True)}
                assert names <= {
                    "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "strong", "p",
                }, names  # fmt: skip
                for table in soup.find_all("table"):
                    assert "mathjax_ignore" in table["class"]


def test_the_tables_hold_no_formula(contributed):
    project, _ = contributed
    for name in ("summary.csv", "crossover.csv", "chart.csv"):
        with (project / "data" / name).open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@", "+"))]


@pytest.mark.browser
@pytest.mark.long
def test_nothing_of_it_runs_in_a_browser(contributed, chromium):
    from playwright.sync_api import sync_playwright

    project, _ = contributed
    asked, dialogs = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.goto((project / "figures" / "report.html").as_uri())
        page.wait_for_timeout(500)
        browser.close()
    assert dialogs == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_a_reference_of_problems_is_read_no_further(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"x\n" * 100_000)
    loaded = read_reference(path)
    assert len(loaded.problems) == MAX_PROBLEMS + 1
    assert "the rest is unread" in loaded.problems[-1].reason


def test_a_mixed_reference_leaves_the_others(tmp_path):
    records = [make_record(width=4), make_record(width=8)]
    other = Machine(cpu_model="Another", visible_cores=2)
    write_reference(tmp_path / "good.jsonl", records)
    write_reference(tmp_path / "mixed.jsonl", [records[0], make_record(width=8, machine=other)])
    merged = merge(tmp_path / "none", own_settings("tensorflow", 10, 128, None), tmp_path)
    assert set(merged.trials["machine"]) == {"reference good", merged.own}
    assert [problem.name for problem in merged.problems] == ["reference mixed"]
    assert "Another" in bs4.BeautifulSoup(problems_sentence(merged), "html.parser").get_text()


def test_a_label_is_short_and_printable():
    for text in [*TEXTS.values(), *UNPRINTABLE.values()]:
        machine = Machine.model_construct(**{**Machine().model_dump(), "cpu_model": text})
        assert machine_label(machine).isprintable()
        assert len(machine_label(machine)) <= 80
