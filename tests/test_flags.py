"""A flagged value bears its mark wherever it is shown, and no other does."""

import pandas as pd
import pytest

from conftest import make_record
from crossover.analysis.speedup import pair_speedups
from crossover.analysis.summary import with_flags
from crossover.records.record import Conditions, PhaseJoules
from crossover.records.settings import protocol_settings
from crossover.report import ask
from crossover.report.columns import written
from crossover.report.figure import new_figure
from crossover.report.sections import chart, energy, form, overhead, roofline, speedup, table
from crossover.report.sections.accuracy import accuracy_plot
from crossover.report.sections.tuned import seconds_plot, tuning_gain
from test_ceilings import make_ceilings
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
    once = overhead.median_phases(results.merged.records)["once"]
    assert once.isna().tolist() == [False, True, False] * 2


def test_what_is_read_off_a_flagged_median_says_so(results):
    compared = results.compared("published", "cold")
    by_size = {size: compared.at(size)[0].flags for size in (3_230, 5_000, 6_514, 9_000, 13_274)}
    assert list(by_size.values()) == ["", *["cold: warmed up at 6,514 parameters"] * 3, ""]
    assert results.compared("published", "steady").at(6_514)[0].flags == ""
    seconds = form.at_round_sizes(compared)
    assert form.flags_note(seconds) == "; ⚑ read off a flagged median"
    assert written(seconds, form.COLUMNS)["CPU s"].tolist() == ["⚑ 11"]
    assert form.flags_note(form.at_round_sizes(results.compared("published", "steady"))) == ""
    cold, *_ = ask.answer(results.merged, 5_000, 128)[1:]
    assert cold.endswith(
        "s (single trainings, so no interval); ⚑ cold: warmed up at 6,514 parameters"
    )


def shown_by(section, results, monkeypatch):
    """The frame and the columns of the last table that a section shows."""
    told = []
    monkeypatch.setattr(section.htmltable, "show", lambda *args: told.append(args))
    section.show(results)
    frame, _, columns = told[-1]
    return written(frame, columns)


def test_joules_have_flags_only_where_there_are_any(results, tmp_path, monkeypatch):
    told = shown_by(energy, results, monkeypatch)
    assert told["flags"].tolist() == ["", "⚑ cold: warmed up", ""] * 2
    quiet = timed("cpu", 1.0, 1.0, 4, conditions=Conditions(cpu_joules=PhaseJoules(fit=100.0)))
    assert "flags" not in shown_by(energy, results_of(tmp_path, quiet), monkeypatch)


def test_a_training_that_failed_is_marked_at_its_accuracy(tmp_path):
    kept = [timed(device, 1.0, 1.0, width, test_accuracy=accuracy)
            for device in ("cpu", "gpu") for width, accuracy in ((4, 0.9), (8, 0.1))]  # fmt: skip
    failed = results_of(tmp_path, *kept)
    shown = table.beside_published(failed).set_index(("", "parameters"))
    own = shown.loc[["3,230", "6,514"], shown.columns[0][0]]
    assert own["CPU accuracy"].tolist() == own["GPU accuracy"].tolist() == ["0.9000", "⚑ 0.1000"]
    assert not own["CPU s"].str.startswith("⚑").any()
    _, ax = new_figure()
    alt = accuracy_plot(ax, failed.own_trials, failed.own_cells, failed.merged.own)
    assert hollow(ax) == {6_514}
    assert alt.count("Hollow, for flagged: 6,514.") == 2


def test_phases_are_marked_where_they_are_flagged_times(results, monkeypatch):
    told = []
    monkeypatch.setattr(overhead.text, "show", told.append)
    monkeypatch.setattr(
        overhead.htmltable, "show", lambda *args: told.append(written(args[0], args[2]))
    )
    overhead.show_phases(results)
    phases, sentence = told
    marked = {name: phases[name].str.startswith("⚑ ").tolist() for name in ("fit", "later epoch")}
    assert marked == {"fit": [False, True, False] * 2, "later epoch": [False] * 6}
    assert phases["once"].tolist()[:3] == ["1 s", "missing", "1 s"]
    assert sentence.startswith("At width 8 the throw-away training had the same width: ")


def test_steps_and_gains_are_marked_by_their_steady_times(tmp_path):
    """One of two protocols was disturbed at the smaller width."""
    stolen = {4: Conditions(steal_fraction=0.5), 8: Conditions()}
    trials = [
        timed("cpu", 1.0, epoch, width, settings=protocol_settings(name), conditions=conditions)
        for name, epoch, known in (("published", 2.0, stolen), ("tuned", 1.0, {}))
        for width, conditions in (known or dict.fromkeys((4, 8), Conditions())).items()
    ]
    results = results_of(tmp_path, *trials)
    assert tuning_gain(results.own_cells, "steady") == (
        "On the CPU, the tuned protocol is ⚑ 2 times as fast at width 4 and 2 times as fast at "
        "width 8 (steady times)."
    )
    rates = with_flags(
        roofline.roofline(results.own_trials, [make_ceilings(widths=[4, 8])]), results.own_cells
    )
    shown = written(rates, roofline.COLUMNS).set_index(["protocol", "width"])["GFLOP/s"]
    assert shown.str.startswith("⚑").tolist() == [True, False, False, False]
    _, ax = new_figure()
    roofline.roofline_plot(ax, rates)
    assert hollow(ax) == set(rates["intensity"][:1])


def test_the_equal_lines_names_stand_where_no_curve_is():
    for near, side in ((1, "left"), (0, "right")):
        ratios = [[3.0, 2.0, 1.1], [1.1, 2.0, 3.0]][1 - near]
        curve = pd.DataFrame({"parameters": [10, 1_000, 100_000], "cold_speedup": ratios,
                              "cold_speedup_flags": ""})  # fmt: skip
        _, ax = new_figure()
        speedup.speedup_plot(ax, {"own": curve})
        (named,) = [text for text in ax.texts if text.get_text() == "GPU faster ↑"]
        assert named.get_ha() == side


def test_the_legend_tells_the_marks_that_are_there(results, tmp_path):
    assert chart.marks_sentence(results) == (
        "One training of the published multilayer perceptron on MNIST, for each width. Lines join "
        "medians; small dots are single trainings; hollow markers are flagged medians; pale lines "
        "are the other machines that compare."
    )
    repeats = {2: "ranges", 5: "intervals"}
    for count, bands in repeats.items():
        trials = [make_record(fit=12.0, repeat=repeat + 1) for repeat in range(count)]
        told = chart.marks_sentence(results_of(tmp_path / str(count), *trials))
        assert f"medians; bands are their {bands}; small dots" in told
        assert "hollow" not in told
        assert "two speeds" not in told
    two = [make_record(fit=fit, repeat=n + 1) for n, fit in enumerate((10.0, 10.1, 10.2, 20, 20.1))]
    told = chart.marks_sentence(results_of(tmp_path / "two", *two))
    assert "a bar joins the two speeds of a cell" in told
