"""Cells with two speeds: found where they are, and nowhere else."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from conftest import make_record
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.analysis.modes import modes_of
from crossover.analysis.summary import summarise
from crossover.records.storage import write_record
from crossover.report.figure import new_figure
from crossover.report.sections.chart import crossover_plot
from crossover.report.sections.spread import two_speeds_sentence


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        ([13.2, 27.0, 13.0, 27.4, 13.4], (13.2, 27.2, 3, 2)),
        ([27.0, 13.0, 27.4, 13.2], (13.1, 27.2, 2, 2)),
        ([13.0, 13.1, 13.2, 13.3, 27.0], None),  # One strays.
        ([10.0, 10.5, 12.7, 13.0], None),  # Apart by less than 1.3 times.
        ([1.34, 1.47, 2.6, 2.74, 3.29], (1.405, 2.74, 2, 3)),  # Half as far apart as their gap.
        ([10.0, 14.0, 20.0, 20.5], None),  # The fast ones are no tight group.
        ([10.0, 14.0, 19.0, 26.0, 36.0], None),
        ([10.0, 20.0], None),
        ([np.nan, 10.0, 10.1, 20.0, 20.1], (10.05, 20.05, 2, 2)),
    ],
)
def test_two_tight_groups_are_two_speeds(seconds, found):
    told = modes_of(np.array(seconds))
    assert told == (found if found is None else pytest.approx(found))


def test_noise_alone_has_one_speed():
    """Lognormal noise is taken for two speeds no more often than is said."""
    rng = np.random.default_rng(4)
    for spread, most in ((0.05, 0), (0.10, 15), (0.25, 80)):
        found = [modes_of(rng.lognormal(0, spread, 5)) is not None for _ in range(1_000)]
        assert sum(found) <= most


def bimodal(folder):
    for repeat, fit in enumerate((13.0, 27.0, 13.2, 27.2, 13.4), 1):
        write_record(folder, make_record(width=64, repeat=repeat, fit=fit))
        write_record(folder, make_record(width=128, repeat=repeat, fit=30.0 + repeat / 10))
    return merge(folder, own_settings("tensorflow", 10, 128, None), folder / "none")


def test_both_speeds_are_flagged_told_and_drawn(tmp_path):
    merged = bimodal(tmp_path)
    cells = summarise(merged.trials)
    own = cells[cells["machine"] == merged.own].set_index("width")
    assert own.loc[64, "cold_seconds_two_speeds"] == "cold 13.2 s (3 repeats) and 27.1 s (2)"
    assert own.loc[64, "steady_seconds_two_speeds"].startswith("steady ")
    assert "cold: two speeds; steady: two speeds" in own.loc[64, "flags"]
    assert own.loc[128, "cold_seconds_two_speeds"] == ""
    sentence = two_speeds_sentence(own.reset_index())
    assert sentence.startswith("**1 cell with two speeds:**")
    assert "- published, CPU, width 64: cold 13.2 s (3 repeats) and 27.1 s (2)" in sentence
    figure, axis = new_figure()
    drawn = cells[cells["machine"] == merged.own]
    alt = crossover_plot(axis, merged.of(merged.own), drawn)
    assert "Two speeds at 59,210: cold 13.2 s (3 repeats) and 27.1 s (2)" in alt
    ticks = [line for line in axis.lines if line.get_marker() == "_"]
    assert sorted(float(line.get_ydata()[0]) for line in ticks) == pytest.approx([13.2, 27.1])
    plt.close(figure)


def test_one_speed_needs_no_word(tmp_path):
    write_record(tmp_path, make_record())
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    assert two_speeds_sentence(summarise(merged.of(merged.own))) == ""
