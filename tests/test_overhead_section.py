"""The time model's sentences and the table of phases, against numbers worked out by hand."""

import pandas as pd
import pytest

from conftest import make_record
from crossover.analysis.timemodel import fit_all
from crossover.paths import PUBLISHED
from crossover.records.published import load_published
from crossover.report.sections.overhead import median_phases, model_sentences

STEPS = 4_220


def sentences(seconds, **changes):
    """What is said of the published CPU's sizes with steps of so many seconds each."""
    trials = load_published(PUBLISHED)
    trials = trials[trials["device"] == "cpu"].iloc[: len(seconds)]
    return model_sentences(fit_all(trials.assign(cold_seconds=seconds, **changes)))


def of_line(trials, overhead, parameter):
    return (overhead + parameter * trials["parameters"].to_numpy()) * STEPS


def test_an_overhead_is_told_with_its_interval():
    cpu = load_published(PUBLISHED).query("device == 'cpu'")
    text = sentences(of_line(cpu, 1e-3, 8e-9))
    # 6 · 128 operations for each parameter in 8 ns.
    assert (
        "a step costs 1,000 µs (1,000 to 1,000) whatever the model's size, and the rest runs at "
        "96 GFLOP/s. A median typically lies 0% off the line, at most 0% (" in text
    )
    assert text.endswith("What a training costs once is part of these times.")


def test_a_smallest_step_below_all_limits_of_the_overhead_is_told():
    """The line has 1,000 µs; the smallest step takes nine tenths of what it tells there."""
    cpu = load_published(PUBLISHED).query("device == 'cpu'")
    seconds = of_line(cpu, 1e-3, 8e-9)
    seconds[0] *= 0.9
    text = sentences(seconds)
    smallest = 1e6 * seconds[0] / STEPS
    assert f"that of 3,230 parameters, {smallest:,.0f} µs with all its arithmetic, lies" in text
    assert "so that the line is not exact there" in text
    noisy = sentences(seconds * [1, 1.3, 0.8, 1.2, 1, 0.9, 1.1, 1, 1])
    assert "not exact there" not in noisy
    # Another model's too: flat times, and the third one shorter.
    flat = seconds * 0 + 1
    flat[2] = 0.9
    assert "that of 13,274 parameters" in sentences(flat)


def test_the_farthest_median_is_told_with_its_size():
    cpu = load_published(PUBLISHED).query("device == 'cpu'")
    seconds = of_line(cpu, 1e-3, 8e-9)
    seconds[4] *= 1.5
    assert f"(at {cpu['parameters'].iloc[4]:,} parameters)" in sentences(seconds)


def test_times_that_do_not_tell_an_overhead_or_a_rate_say_so():
    """Three sizes, as of a quick look: too few for limits above zero, or below infinity."""
    seconds = [10.0, 25.0, 12.0]
    text = sentences(seconds)
    assert "a step's overhead cannot be told from none (0 to " in text
    assert " GFLOP/s or more." in text
    assert "inf" not in text


def test_what_a_training_costs_once_stands_in_the_table_of_phases():
    """Epochs of 4, 2 and 2 s in a fit of 9 s: 1 s outside of them, and 2 s more in the first."""
    record = make_record(fit=9.0)
    phases = record.phases.model_copy(update={"epochs": [4.0, 2.0, 2.0]})
    (row,) = median_phases([record.model_copy(update={"phases": phases})]).to_dict("records")
    told = [row[name] for name in ("first epoch", "later epoch", "outside epochs", "once", "fit")]
    assert told == pytest.approx([4, 2, 1, 3, 9])


def test_one_epoch_does_not_tell_what_a_training_costs_once():
    record = make_record(fit=5.0)
    phases = record.phases.model_copy(update={"epochs": [4.0]})
    (row,) = median_phases([record.model_copy(update={"phases": phases})]).to_dict("records")
    assert pd.isna(row["once"])
    assert row["outside epochs"] == pytest.approx(1)
