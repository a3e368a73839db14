"""The figures: every repeat is there, and the alt text states what the frame holds."""

import matplotlib
import pandas as pd
import pytest

from conftest import CROSSING_WIDTHS, crossing_seconds, write_crossing_study
from crossover.analysis.comparison import crossovers
from crossover.analysis.speedup import speedups
from crossover.analysis.summary import summarise
from crossover.paths import PUBLISHED
from crossover.problem import parameter_count
from crossover.records import published
from crossover.records.frame import to_frame
from crossover.records.storage import read_records
from crossover.report import plots
from crossover.report.curve import look_of

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
    _, ax = plots.new_figure()
    plots.crossover_plot(ax, shown, summarise(shown), crossovers(shown).iloc[0])
    assert drawn(ax, ".") == len(shown) == 5 * 2 * len(CROSSING_WIDTHS)
    assert drawn(ax, "o") == drawn(ax, "s") == len(CROSSING_WIDTHS)


def test_a_noisy_cell_is_hollow(trials):
    shown = published_protocol(trials).assign(steal_fraction=0.0)
    shown.loc[shown["width"] == 4, "steal_fraction"] = 0.5
    _, ax = plots.new_figure()
    plots.crossover_plot(ax, shown, summarise(shown))
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert [list(line.get_xdata()) for line in hollow] == [[parameter_count(4)]] * 2


def test_the_crossover_is_marked_with_its_interval(trials):
    shown = published_protocol(trials)
    crossing = crossovers(shown).iloc[0]
    _, ax = plots.new_figure()
    alt = plots.crossover_plot(ax, shown, summarise(shown), crossing)
    (rule,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert rule.get_xdata()[0] == crossing["estimate"]
    (note,) = [text.get_text() for text in ax.texts if "crossover at" in text.get_text()]
    low, high = (f"{float(f'{crossing[end]:.4g}'):,.0f}" for end in ("low", "high"))
    assert f"(93.8 % interval {low} to {high})" in note
    assert alt.startswith(crossing["sentence"])
    largest = parameter_count(512)
    assert f"CPU: 5.13 s at 3,230 parameters, {crossing_seconds('cpu', largest):.3g} s" in alt


def test_the_published_speedup_is_told_in_words():
    table = speedups(summarise(published.load_published(PUBLISHED)))
    _, ax = plots.new_figure()
    alt = plots.speedup_plot(ax, {"2018": table.assign(speedup=table["cold_speedup"])})
    assert "faster at 3 of 9 sizes, the smallest of 335,114 parameters" in alt
    assert "5.83 at 2,913,290." in alt


def test_all_curves_are_told_apart_in_grey(trials):
    both = pd.concat([trials, published.load_published(PUBLISHED)], ignore_index=True)
    named = plots.name_curves(summarise(both), "desk $1$")
    looks = {row["curve"]: look_of(row) for _, row in named.iterrows()}
    assert sorted(looks) == ["2018 CPU", "2018 GPU", "CPU, published", "CPU, tuned",
                             "GPU, published", "GPU, tuned"]  # fmt: skip
    assert len({(look.marker, str(look.dashes)) for look in looks.values()}) == 6


def test_the_accuracy_alt_states_the_spread_at_the_largest_model():
    trials = published.load_published(PUBLISHED)
    named = plots.name_curves(summarise(trials), "desk")
    _, ax = plots.new_figure()
    alt = plots.accuracy_plot(ax, plots.name_curves(trials, "desk"), named)
    assert alt.startswith("At the largest model the 2 curves lie between 98.07% and 98.10%.")
