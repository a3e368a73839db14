"""Tables: grouped headings, escaped cells, and a winner marked by more than colour."""

import bs4
import pandas as pd

from crossover.analysis.speedup import speedups
from crossover.analysis.summary import summarise
from crossover.paths import PUBLISHED
from crossover.records import published
from crossover.report.htmltable import Strong, table_html
from crossover.report.sections.table import beside_published


def parsed(*arguments):
    return bs4.BeautifulSoup(table_html(*arguments), "html.parser")


def test_cells_and_headings_are_escaped():
    frame = pd.DataFrame({"<b>": ["<script>", Strong("a & b")]}, dtype=object)
    page = parsed(frame, "<i>")
    assert [cell.get_text() for cell in page.find_all("td")] == ["<script>", "a & b"]
    assert page.find(["script", "b", "i"]) is None
    assert page.caption.get_text() == "<i>"
    assert page.strong.get_text() == "a & b"


def test_groups_span_their_columns():
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=pd.MultiIndex.from_tuples(
        [("", "parameters"), ("here", "a"), ("here", "b"), ("2018", "a")]))  # fmt: skip
    top, bottom = parsed(frame, "t").thead.find_all("tr")
    assert [(c.get_text(), c["colspan"]) for c in top.find_all(["th", "td"])] == [
        ("", "1"), ("here", "2"), ("2018", "1")]  # fmt: skip
    assert [c.get_text() for c in bottom.find_all("th")] == ["parameters", "a", "b", "a"]
    assert {c["scope"] for c in bottom.find_all("th")} == {"col"}


def test_the_published_winner_is_bold_and_named():
    curves = speedups(summarise(published.load_published(PUBLISHED)))
    page = parsed(beside_published(curves, published.MACHINE, published.MACHINE), "t")
    rows = {r.td.get_text(): r for r in page.tbody.find_all("tr")}
    assert next(iter(rows)) == "3,230"
    assert len(rows) == 9
    small = [cell.get_text() for cell in rows["3,230"].find_all("strong")]
    assert small == ["12.05", "● CPU 2.71×"]
    large = [cell.get_text() for cell in rows["2,913,290"].find_all("strong")]
    assert large == ["60.75", "■ GPU 5.83×"]


def test_what_was_not_measured_is_missing():
    trials = published.load_published(PUBLISHED)
    own = trials[trials["device"] == "cpu"].assign(machine="desk")
    both = speedups(summarise(pd.concat([trials, own], ignore_index=True)))
    table = beside_published(both, "desk", "desk")
    assert set(table["desk"]["GPU s"]) == {"missing"}
    assert set(table["desk"]["faster"]) == {"missing"}
    assert "missing" not in set(table["published study, 2018"]["GPU s"])
