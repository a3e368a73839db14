"""A flagged value bears its mark wherever it is shown, and no other does."""

import pytest

from conftest import make_record
from crossover.analysis.speedup import pair_speedups
from crossover.records.record import Conditions, PhaseJoules
from crossover.report import ask
from crossover.report.columns import written
from crossover.report.figure import new_figure
from crossover.report.sections import chart, energy, form, overhead, speedup, table
from crossover.report.sections.accuracy import accuracy_plot
from crossover.report.sections.tuned import seconds_plot
from test_once import timed
from test_sections import results_of

SIZES = {4: "3,230", 8: "6,514", 16: "13,274"}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Three sizes on both devices, once each; a throw-away training had the second's width."""
    known = Conditions(cpu_joules=PhaseJoules(fit=100.0))
    trials = [
        timed(device, start, 1.0, width, warm_up=8, conditions=known)
        for width in SIZES
        for device, start in (("cpu", 1.0), ("gpu", 9.0))
    ]
    return results_of(tmp_path_factory.mktemp("flagged"), *trials)


def hollow(ax):
    """Places of the hollow points, by size."""
    lines = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    return {x for line in lines for x in line.get_xdata()}


def test_points_are_hollow_where_their_own_measure_is_flagged(results):
    trials, cells = results.own_trials, results.own_cells
    plots = {
        "cold": lambda ax: chart.crossover_plot(ax, trials, cells, "cold"),
        "steady": lambda ax: chart.crossover_plot(ax, trials, cells, "steady"),
        "tuned": lambda ax: seconds_plot(ax, trials, cells, results.merged.own, "steady"),
        "accuracy": lambda ax: accuracy_plot(ax, trials, cells, results.merged.own),
        "speed-up": lambda ax: speedup.speedup_plot(
            ax, {"own": pair_speedups(cells, *[results.merged.own] * 2)}
        ),
    }
    found = {}
    for name, draw in plots.items():
        _, ax = new_figure()
        draw(ax)
        found[name] = hollow(ax)
    flagged = {6_514}
    assert found == {
        "cold": flagged, "speed-up": flagged, "steady": set(), "tuned": set(), "accuracy": set(),
    }  # fmt: skip


def test_the_tables_mark_what_is_flagged(results):
    shown = table.beside_published(results).set_index(("", "parameters"))
    own = shown.loc[list(SIZES.values()), shown.columns[0][0]]
    assert [value.startswith("⚑ ") for value in own["CPU s"]] == [False, True, False]
    assert [value.startswith("⚑ ") for value in own["GPU s"]] == [False, True, False]
    joules = energy.median_joules(results.own_trials)
    told = written(energy.with_flags(joules, results.own_cells), [energy.FLAGGED])["flags"]
    assert told.tolist() == ["none", "⚑ cold: warmed up", "none"] * 2
    once = overhead.median_phases(results.merged.records)["once"]
    assert once.isna().tolist() == [False, True, False] * 2


def test_what_is_read_off_a_flagged_median_says_so(results):
    compared = results.compared("published", "cold")
    by_size = {size: compared.at(size)[0].flags for size in (3_230, 5_000, 6_514, 9_000, 13_274)}
    assert list(by_size.values()) == ["", *["cold: warmed up"] * 3, ""]
    assert results.compared("published", "steady").at(6_514)[0].flags == ""
    seconds = form.at_round_sizes(compared)
    assert form.flags_note(seconds) == "; ⚑ read off a flagged median"
    assert written(seconds, form.COLUMNS)["CPU s"].tolist() == ["⚑ 11"]
    assert form.flags_note(form.at_round_sizes(results.compared("published", "steady"))) == ""
    cold, *_ = ask.answer(results.merged, 5_000, 128)[1:]
    assert cold.endswith("s (single trainings, so no interval); ⚑ cold: warmed up")


def test_the_legend_tells_the_marks_that_are_there(results, tmp_path):
    assert chart.marks_sentence(results) == (
        "One training of the published multilayer perceptron on MNIST, for each width. Lines join "
        "medians; small dots are single trainings; hollow markers are flagged cells; pale lines "
        "are the other machines that compare."
    )
    repeats = {2: "ranges", 5: "intervals"}
    for count, bands in repeats.items():
        trials = [make_record(fit=12.0, repeat=repeat + 1) for repeat in range(count)]
        told = chart.marks_sentence(results_of(tmp_path / str(count), *trials))
        assert f"medians; bands are their {bands}; small dots" in told
        assert "hollow" not in told
