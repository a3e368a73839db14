"""The tracked sample reports: their numbers are those of the tracked references."""

import hashlib
import io
import json
import re
import statistics

import bs4
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from crossover.analysis.comparison import crossing_numbers, crossovers
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.analysis.summary import summarise
from crossover.paths import FIGURES, PROJECT, REFERENCES
from crossover.records.parameters import SummaryParameters
from crossover.report import figure
from crossover.report.results import read_results
from crossover.report.sections import (
    accuracy,
    batch_map,
    changes,
    chart,
    overhead,
    path,
    profile,
    roofline,
    speedup,
    tuned,
)
from crossover.report.sections.answer import answer

LISTED = re.search(r"^SAMPLES \?= (.+)$", (PROJECT / "Makefile").read_text(), re.M)[1].split()
# By name: the study's backend, and the figures that its measurements make.
BACKENDS = dict(sample.split(":") for sample in LISTED)
FIGURES_OF = {"nvidia-h100": 10, "amd-epyc-2-cores": 13}
SAMPLE = FIGURES / "reference"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@pytest.fixture(scope="module", params=BACKENDS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def settings(name):
    return own_settings(BACKENDS[name], 10, 128, None)


@pytest.fixture(scope="module")
def merged(name, settings):
    return merge(REFERENCES / f"{name}.jsonl", settings)


@pytest.fixture(scope="module")
def report(name):
    page = (SAMPLE / name / "report.html").read_text(encoding="utf-8")
    return bs4.BeautifulSoup(page, "html.parser")


DRAWN = (chart.show, chart.show_others, tuned.show, path.show, profile.show, overhead.show,
         changes.show, batch_map.show, speedup.show, accuracy.show, roofline.show)  # fmt: skip


def test_on_a_phone_no_word_of_a_figure_is_small_or_cut(name, tmp_path, monkeypatch):
    """The smallest letters, 8 points on 310, are 9 pixels on the 360 of a phone's page."""
    drawn, close = [], figure.plt.close
    monkeypatch.setattr(figure.plt, "close", lambda one: (drawn.append(one), close(one)))
    monkeypatch.setattr(figure, "display", lambda *_, **__: None)
    measured = REFERENCES / name
    asked = SummaryParameters(
        backend=BACKENDS[name], records=f"{measured}.jsonl", ceilings=str(measured),
        rounds=str(measured / "rounds"), own=str(measured / "own"),
        protocols=[], devices=[], widths="4",
        figure_folder=str(tmp_path), table_folder=str(tmp_path),
    )  # fmt: skip
    results = read_results(asked)
    for show in DRAWN:
        show(results)
    narrow = [one for one in drawn if one.get_figwidth() <= figure.NARROW_INCHES[0]]
    assert len(narrow) == len(drawn) / 2 == len(list(tmp_path.glob("*.svg")))
    assert len(narrow) == FIGURES_OF[name]
    for one in narrow:
        words = [text for text in one.findobj(Text) if text.get_text() and text.get_visible()]
        assert min(text.get_fontsize() for text in words) >= 8
        page = one.bbox.padded(3)
        # Labels of ticks beyond an axis's end are there, and not drawn.
        ticks = {label for ax in one.axes for label in ax.xaxis.get_ticklabels()}
        cut = [text.get_text() for text in {*words} - ticks if text.get_window_extent().width > 0
               and not (page.x0 <= text.get_window_extent().x0 and
                        text.get_window_extent().x1 <= page.x1)]  # fmt: skip
        assert cut == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_readmes_pictures_show_the_sample(scheme):
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    folder = SAMPLE / next(iter(BACKENDS))
    assert f'"{folder.relative_to(PROJECT)}/page-{scheme}.png"' in readme
    with Image.open(folder / f"page-{scheme}.png") as picture:
        page = hashlib.sha256((folder / "report.html").read_bytes()).hexdigest()
        assert picture.info["Source"] == page, "`make sample` makes them anew"
        assert min(picture.size) > 1000
        corner = picture.convert("L").getpixel((0, 0))
    assert corner > 200 if scheme == "light" else corner < 60


def through_csv(frame):
    """The frame as it reads from a file, so that both sides have the same types."""
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)))


def numbers(text):
    return [float(found.replace(",", "")) for found in NUMBER.findall(text)]


def test_the_summary_is_that_of_the_references(name, merged):
    tracked = pd.read_csv(SAMPLE / name / "summary.csv")
    pd.testing.assert_frame_equal(tracked, through_csv(summarise(merged.trials)), rtol=1e-6)


def test_the_crossovers_are_those_of_the_references(name, merged):
    tracked = pd.read_csv(SAMPLE / name / "crossover.csv")
    fresh = through_csv(crossing_numbers(crossovers(merged.trials, merged.pairs)))
    pd.testing.assert_frame_equal(tracked, fresh, rtol=1e-6)


def test_the_medians_are_those_of_the_raw_lines(name, settings, merged):
    # The trials of the map have settings of their own.
    studied = [one.model_dump(mode="json") for one in settings]
    fits = {}
    for line in (REFERENCES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        trial = json.loads(line)
        if trial["settings"] not in studied:
            continue
        cell = trial["settings"]["protocol"], trial["device"], trial["width"]
        fits.setdefault(cell, []).append(trial["phases"]["fit"])
    tracked = pd.read_csv(SAMPLE / name / "summary.csv")
    own = tracked[tracked["machine"] == merged.own]
    found = {(r.protocol, r.device, r.width): r.cold_seconds for r in own.itertuples()}
    expected = {cell: statistics.median(seconds) for cell, seconds in fits.items()}
    assert {cell: found[cell] for cell in expected} == pytest.approx(expected)


def test_the_reports_answer_is_the_computed_one(merged, report):
    computed = answer(merged, crossovers(merged.trials, merged.pairs))
    plain = bs4.BeautifulSoup(computed, "html.parser").get_text()
    assert numbers(report.blockquote.get_text()) == pytest.approx(numbers(plain), rel=1e-6)


def test_the_reports_table_holds_the_summarys_seconds(name, merged, report):
    tracked = pd.read_csv(SAMPLE / name / "summary.csv")
    own = tracked[(tracked["machine"] == merged.own) & (tracked["protocol"] == "published")]
    expected = own[own["device"] == "cpu"].set_index("parameters")
    shown = {
        int(numbers(row.td.get_text())[0]): row.find("td", {"data-label": "CPU s"}).get_text()
        for row in report.find_all("table", class_="data")[1].tbody.find_all("tr")
    }
    seconds = {size: float(cell.removeprefix("⚑ ")) for size, cell in shown.items()}
    assert seconds == pytest.approx(expected["cold_seconds"].to_dict(), abs=0.0051)
    marked = {size for size, cell in shown.items() if cell.startswith("⚑ ")}
    assert marked == set(expected.index[expected["cold_seconds_flags"].notna()])
