"""The sections: every repeat is drawn, alt texts state the finding, and a cell is one call."""

import html
import importlib
import re

import matplotlib
import nbformat
import pandas as pd
import pytest

from conftest import CROSSING_WIDTHS, crossing_seconds, make_record, write_crossing_study
from crossover.analysis.comparison import crossovers
from crossover.analysis.speedup import speedups
from crossover.analysis.summary import summarise
from crossover.paths import NOTEBOOKS, PROJECT, PUBLISHED
from crossover.problem import parameter_count
from crossover.records import published
from crossover.records.ceilings import write_ceilings
from crossover.records.frame import to_frame
from crossover.records.parameters import SummaryParameters
from crossover.records.rounds import write_rounds
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records, write_record
from crossover.report.columns import written
from crossover.report.curve import name_curves
from crossover.report.figure import new_figure
from crossover.report.looks import look_of
from crossover.report.results import read_results
from crossover.report.sections import changes, claims, path
from crossover.report.sections.accuracy import accuracy_plot
from crossover.report.sections.chart import crossover_plot
from crossover.report.sections.speedup import speedup_plot
from test_ceilings import make_ceilings
from test_rounds import make_rounds

matplotlib.use("agg")


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_crossing_study(folder)
    return to_frame(read_records(folder).records, "desk $1$")


def published_protocol(trials):
    return trials[trials["protocol"] == "published"]


def drawn(ax, marker):
    lines = [line for line in ax.lines if line.get_marker() == marker]
    return sum(len(line.get_xdata()) for line in lines)


def test_every_repeat_and_every_median_is_drawn(trials):
    shown = published_protocol(trials)
    _, ax = new_figure()
    crossover_plot(ax, shown, summarise(shown), "cold", crossovers(shown).iloc[0].to_dict())
    assert drawn(ax, ".") == len(shown) == 5 * 2 * len(CROSSING_WIDTHS)
    assert drawn(ax, "o") == drawn(ax, "s") == len(CROSSING_WIDTHS)


def test_a_noisy_cell_is_hollow(trials):
    shown = published_protocol(trials).assign(steal_fraction=0.0)
    shown.loc[shown["width"] == 4, "steal_fraction"] = 0.5
    _, ax = new_figure()
    crossover_plot(ax, shown, summarise(shown))
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[parameter_count(4)]] * 2


def test_the_crossover_is_marked_with_its_interval(trials):
    shown = published_protocol(trials)
    crossing = crossovers(shown).iloc[0].to_dict()
    _, ax = new_figure()
    alt = crossover_plot(ax, shown, summarise(shown), "cold", crossing)
    (rule,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert rule.get_xdata()[0] == crossing["estimate"]
    (note,) = [text.get_text() for text in ax.texts if "parameters\n" in text.get_text()]
    assert ax.get_title(loc="left") == (
        "Below 200,000 parameters take the CPU, above 280,000 the GPU; between them either"
    )
    # 230,763 to 231,657, and what straight lines may miss there, 204,000 to 275,000 by hand.
    low, high = "200,000", "280,000"
    assert f"(93.8% interval {low} to {high})" in note
    assert alt.startswith(crossing["sentence"])
    largest = parameter_count(512)
    assert f"CPU: 5.13 s at 3,230 parameters, {crossing_seconds('cpu', largest):.3g} s" in alt


def test_the_published_speedup_is_told_in_words():
    table = speedups(summarise(published.load_published(PUBLISHED)))
    _, ax = new_figure()
    alt = speedup_plot(ax, {"2018": table})
    assert "faster at 3 of 9 sizes, the smallest of 335,114 parameters" in alt
    assert "5.83 at 2,913,290." in alt


def test_all_curves_are_told_apart_in_grey(trials):
    both = pd.concat([trials, published.load_published(PUBLISHED)], ignore_index=True)
    named = name_curves(summarise(both), "desk $1$")
    looks = {row["curve"]: look_of(row) for _, row in named.iterrows()}
    assert sorted(looks) == ["2018 CPU", "2018 GPU", "CPU, published", "CPU, tuned",
                             "GPU, published", "GPU, tuned"]  # fmt: skip
    assert len({(look.marker, str(look.dashes)) for look in looks.values()}) == 6


def test_the_accuracy_alt_states_the_spread_at_the_largest_model():
    trials = published.load_published(PUBLISHED)
    _, ax = new_figure()
    alt = accuracy_plot(ax, trials, summarise(trials), "desk")
    assert alt.startswith("At the largest model the 2 curves lie between 98.07% and 98.10%.")


def code_cells():
    notebook = nbformat.read(NOTEBOOKS / "summary.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_a_cell_of_the_notebook_is_a_call_of_a_section():
    """No logic stands in a cell, where no test reaches it; only the tables are written there."""
    cells = code_cells()
    first = [cell.id for cell in cells].index("byline")
    shown = [line for cell in cells[first:] for line in cell.source.splitlines()]
    calls = [re.fullmatch(r"(\w+)\.(show\w*)\(results\)", line) for line in shown]
    assert [line for line, call in zip(shown, calls, strict=True) if not call] == [
        'write_csv(results.cells, results.tables / "summary.csv")',
        'write_csv(crossing_numbers(results.crossings), results.tables / "crossover.csv")',
        'write_csv(curve_numbers(results.curves), results.tables / "chart.csv")',
    ]


def test_every_section_is_shown_once():
    source = "\n".join(cell.source for cell in code_cells())
    for module in (NOTEBOOKS / "crossover" / "report" / "sections").glob("[a-z]*.py"):
        for name in re.findall(
            r"^def (show\w*)\(", module.read_text(encoding="utf-8"), re.MULTILINE
        ):
            assert source.count(f"{module.stem}.{name}(results)") == 1, (module.stem, name)


def results_of(folder, *records, **asked):
    """Results of these records, alone in a folder whose ``out`` takes figures and tables."""
    for record in records:
        write_record(folder / "trials", record)
    given = {
        "records": "trials",
        "ceilings": "ceilings",
        "rounds": "rounds",
        "own": "own",
        "figure_folder": "out",
        "table_folder": "out",
    }
    places = {name: str(folder / place) for name, place in given.items()}
    whole = {"protocols": [], "devices": [], "widths": [4]}
    return read_results(SummaryParameters(**(whole | places | asked)))


@pytest.fixture(scope="module")
def tuned_alone(tmp_path_factory):
    """Results of a study of the tuned protocol, on both devices."""
    settings = protocol_settings("tuned")
    records = [make_record(width=width, device=device, fit=fit, settings=settings)
               for width in (4, 8, 16)
               for device, fit in (("cpu", 10.0 + width), ("gpu", 20.0))]  # fmt: skip
    return results_of(tmp_path_factory.mktemp("tuned"), *records, protocols=["tuned"])


def test_trainings_in_turns_are_shown_with_their_numbers(tmp_path, capsys):
    """Another backend's, and another batch size's, are not this study's."""
    for rounds in (make_rounds(), make_rounds(device="gpu"), make_rounds(8, batch_size=64),
                   make_rounds(16, backend="jax")):  # fmt: skip
        write_rounds(tmp_path / "rounds", rounds)
    results = results_of(tmp_path, make_record())
    assert [(one.device, one.width) for one in results.rounds] == [("cpu", 4), ("gpu", 4)]
    for show in (path.show, changes.show, changes.show_batches):
        show(results)
    drawn = {file.name for file in (tmp_path / "out").glob("*.svg")}
    assert drawn == {"path-cpu.svg", "path-gpu.svg", "changes.svg"}
    told = capsys.readouterr().out
    assert "nan" not in told
    ((_, frame),) = [table for table in shown(path.show, results) if "on the path" in table[0]]
    first, second, *_ = frame.to_dict("records")
    assert (first["saved µs"], first["of it in training"]) == ("", "")
    assert second["saved µs"] == "1,100 (1,100 to 2,200)"
    assert second["of it in training"] == "1,000"


def shown(show, results):
    """The captions and texts of the tables that a section shows."""
    tables = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crossover.report.htmltable.show",
            lambda frame, caption, columns=(): tables.append((caption, written(frame, columns))),
        )
        show(results)
    return tables


@pytest.mark.parametrize("path", [cell.source for cell in code_cells() if ".show" in cell.source])
def test_a_study_of_one_protocol_is_shown_in_every_section(path, tuned_alone, capsys):
    module, name = re.match(r"(\w+)\.(show\w*)", path).groups()
    getattr(importlib.import_module(f"crossover.report.sections.{module}"), name)(tuned_alone)
    assert "nan" not in capsys.readouterr().out.split()


def shown_claims(results, capsys):
    """The rows of the claims' tables, by machine, as the page shows them."""
    claims.show(results)
    page = html.unescape(capsys.readouterr().out)
    tables = re.findall(r"<caption>Claims on (.*?)</caption>(.*?)</table>", page, re.DOTALL)
    return {
        machine: [
            [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
            for row in re.findall("<tr>(<td.*?)</tr>", table)
        ]
        for machine, table in tables
    }


def write_card(folder, *trials, **changes):
    """Ceilings of the GPU of these trials' machine."""
    write_ceilings(folder / "ceilings", make_ceilings("gpu", machine=trials[0].machine, **changes))


# Steps of 1 ms whatever the size (fits of eleven epochs' time) on a GPU.
ONE_MS = 11 * 422 * 1e-3


@pytest.fixture
def with_gpu():
    return [make_record(width=width, device=device, fit=fit)
            for width in (4, 8, 16)
            for device, fit in (("cpu", 1.0 + width), ("gpu", ONE_MS))]  # fmt: skip


def test_the_claims_of_a_machine_with_a_gpu_are_shown_whole(tmp_path, with_gpu, capsys):
    """A copy of 0.9 of 1 ms is most of a step; another backend's and batch size's do not count."""
    write_card(tmp_path, *with_gpu, batch_copy=[9e-4], pinned_copy=[8.5e-5])
    for other in ({"backend": "jax"}, {"batch_size": 32}):
        write_card(tmp_path, *with_gpu, **other)
    tables = shown_claims(results_of(tmp_path, *with_gpu), capsys)
    assert list(tables) == [published.MACHINE, "Test CPU (2 cores)"]
    names = [claim for claim, _ in published.CLAIMS]
    # Its GPU wins at every size: by 5 to 4.64 s at width 4, and by more than twice at width 16.
    rows = tables["Test CPU (2 cores)"]
    assert [row[0] for row in rows] == names
    assert [row[2] for row in rows] == [
        "✗ does not hold", "cannot be tested", "✓ holds", "✗ does not hold"]  # fmt: skip
    assert rows[2][3] == (
        "Copying a batch takes 900 µs (from pinned memory: 85 µs), 90.0% of the 1,000 µs that a "
        "GPU step costs whatever the model's size."
    )
    rows = tables[published.MACHINE]
    assert [row[0] for row in rows] == names
    assert [row[2] for row in rows] == ["✓ holds", "✓ holds", "✗ does not hold", "✓ holds"]
    assert rows[2][3].startswith(
        "By inference: at 8,000 MB/s, the most that PCI Express 2.0 x16 moves, a batch is copied "
        "in 50 µs, 0.7% of the 7,58"
    )


def test_a_copy_that_was_not_measured_says_how_it_is(tmp_path, with_gpu, capsys):
    (_, rows) = shown_claims(results_of(tmp_path, *with_gpu), capsys).values()
    told = "The copy to this GPU was not measured: run make report."
    assert rows[2][2:] == ["cannot be tested", told]


def test_a_copy_that_is_little_does_not_slow_the_gpu(tmp_path, with_gpu, capsys):
    write_card(tmp_path, *with_gpu)
    (_, rows) = shown_claims(results_of(tmp_path, *with_gpu), capsys).values()
    assert rows[2][2] == "✗ does not hold"
    pinned = "not measured, for TensorFlow has no call for it"
    assert f"takes 10 µs (from pinned memory: {pinned}), 1.0% of the 1,000 µs" in rows[2][3]


def test_a_machine_without_a_gpu_has_no_copy_to_test(tmp_path, capsys):
    (_, rows) = shown_claims(results_of(tmp_path, make_record()), capsys).values()
    told = "No GPU was timed here in the protocol 'published': there is no copy to test."
    assert rows[2][2:] == ["cannot be tested", told]


def test_the_published_claims_stand_alone_where_nothing_was_measured(tmp_path, capsys):
    """Ceilings without trials say nothing of the published GPU."""
    write_card(tmp_path, make_record(), batch_copy=[9e-4])
    ((machine, rows),) = shown_claims(results_of(tmp_path), capsys).items()
    assert machine == published.MACHINE
    assert rows[2][3].startswith("By inference")


def test_the_readme_names_the_section_of_each_cell():
    sources = {cell.id: cell.source for cell in code_cells()}
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+? \| `([\w-]+)` \| `(\w+)`[^|]* \| .* \|$", text, re.MULTILINE)
    assert len(rows) == 21
    for cell, section in rows:
        assert sources[cell].startswith(f"{section}.show"), cell
