"""Tables: grouped headings, escaped cells, and a winner marked by more than colour."""

import bs4
import pandas as pd

from conftest import make_record
from crossover.records.settings import protocol_settings
from crossover.records.storage import write_record
from crossover.report.htmltable import Strong, table_html
from crossover.report.sections.table import beside_published
from test_sections import results_of


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


def test_the_published_winner_is_bold_and_named(tmp_path):
    page = parsed(beside_published(results_of(tmp_path)), "t")
    rows = {r.td.get_text(): r for r in page.tbody.find_all("tr")}
    assert next(iter(rows)) == "3,230"
    assert len(rows) == 9
    small = [cell.get_text() for cell in rows["3,230"].find_all("strong")]
    assert small == ["● CPU ≈2.71×", "12.05"]
    large = [cell.get_text() for cell in rows["2,913,290"].find_all("strong")]
    assert large == ["■ GPU ≈5.83×", "60.75"]


def test_the_published_winner_is_named_beside_a_study_of_another_backend(tmp_path):
    """Its seconds do not compare with such a study's; its own two devices do."""
    settings = protocol_settings("published", backend="jax")
    table = beside_published(results_of(tmp_path, make_record(settings=settings), backend="jax"))
    told = table["published study, 2018"]["faster"]
    assert (told[3_230], told[2_913_290]) == ("● CPU ≈2.71×", "■ GPU ≈5.83×")
    assert len(told) == 9


def test_what_was_not_measured_is_missing(tmp_path):
    """A study of one epoch, which no GPU was recorded for."""
    settings = protocol_settings("published", epochs=1)
    results = results_of(tmp_path, make_record(settings=settings), epochs=1)
    table = beside_published(results)
    own = table["Test CPU (2 cores)"].loc[3_230]
    assert (own["CPU s"], own["GPU s"], own["faster"]) == ("12.00", "missing", "missing")
    assert "missing" not in set(table["published study, 2018"]["GPU s"])


def test_a_cell_that_the_interval_leaves_open_has_no_winner(tmp_path):
    """CPU and GPU take the same at 250,000 parameters, 13 % apart at the width of 335,114."""
    for repeat, factor in enumerate((0.8, 0.9, 1.0, 1.1, 1.2), start=1):
        for width, cpu, gpu in ((4, 5.0, 14.0), (256, 18.0, 15.0), (1024, 120.0, 26.0)):
            for device, seconds in (("cpu", cpu * factor), ("gpu", gpu * (2 - factor))):
                record = make_record(width, device=device, fit=seconds, repeat=repeat)
                write_record(tmp_path / "trials", record)
    rows = parsed(beside_published(results_of(tmp_path)), "t").tbody.find_all("tr")
    told = {row.td.get_text(): row.find_all("td")[1].get_text() for row in rows}
    assert told["3,230"] == "● CPU 2.80×"
    assert told["335,114"] == "too close to call"
    assert told["2,913,290"] == "■ GPU 4.62×"
