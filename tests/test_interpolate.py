"""Predicted times, against exact laws and the published crossover."""

import json

import numpy as np
import pandas as pd
import pytest

from crossover.analysis.compared import form_data
from crossover.analysis.comparison import crossovers
from crossover.analysis.interpolate import choose, measured_curves, predict
from crossover.analysis.summary import summarise
from crossover.analysis.verdict import UNKNOWN
from crossover.paths import PUBLISHED
from crossover.records import published

SIZES = [1_000, 10_000, 100_000]


def law_trials(law, repeats=1):
    """Trials of one machine whose CPU follows a law exactly, but for a spread of repeats."""
    one = published.load_published(PUBLISHED).iloc[[0]]
    rows = [
        one.assign(machine="desk", width=size, parameters=size, repeat=repeat,
                   cold_seconds=law(size) * (1 + 0.01 * repeat))
        for size in SIZES for repeat in range(repeats)
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def curve_of(trials):
    (curve,) = measured_curves(trials, summarise(trials))
    return curve


@pytest.mark.parametrize("parameters", [1_000, 2_345, 10_000, 54_321, 100_000])
def test_a_power_law_is_interpolated_exactly(parameters):
    curve = curve_of(law_trials(lambda size: 3 * size**0.7))
    found = predict(curve, parameters)
    assert found.seconds == pytest.approx(3 * parameters**0.7)
    assert (found.low, found.high, found.source) == (None, None, "interpolated")


@pytest.mark.parametrize("parameters", [100, 5_000_000])
def test_beyond_the_measured_sizes_stands_the_time_model(parameters):
    found = predict(curve_of(law_trials(lambda size: 2 + 1e-4 * size)), parameters)
    assert found.source == "extrapolated"
    assert found.seconds == pytest.approx(2 + 1e-4 * parameters, rel=1e-6)


def test_two_sizes_give_no_time_model():
    trials = law_trials(float)
    found = predict(curve_of(trials[trials["width"] < 100_000]), 1_000_000)
    assert found == UNKNOWN


def test_limits_are_those_of_the_repeats():
    found = predict(curve_of(law_trials(float, repeats=3)), 10_000)
    assert (found.low, found.seconds, found.high) == pytest.approx((10_000, 10_100, 10_200))


def test_devices_change_places_at_the_published_crossover():
    trials = published.load_published(PUBLISHED)
    estimate = crossovers(trials).iloc[0]["estimate"]
    curves = measured_curves(trials, summarise(trials))
    cpu, gpu = (choose(curves, published.MACHINE, d, "published", "cold") for d in ("cpu", "gpu"))
    assert predict(cpu, estimate).seconds == pytest.approx(predict(gpu, estimate).seconds)
    assert predict(cpu, estimate * 0.99).seconds < predict(gpu, estimate * 0.99).seconds


def test_the_form_holds_what_json_can():
    trials = published.load_published(PUBLISHED)
    curves = measured_curves(trials, summarise(trials))
    data = form_data(curves, crossovers(trials), *[published.MACHINE] * 2, "published", "cold")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert {curve["timing"] for curve in data["curves"]} == {"cold"}
    (rule,) = data["rules"]
    assert rule["estimate"] == pytest.approx(139_900, rel=0.001)
    assert (rule["status"], rule["low"], rule["high"]) == ("crossed", None, None)
    np.testing.assert_allclose(data["curves"][0]["seconds"][0], 12.0523)


def test_without_a_gpu_there_is_no_form():
    trials = law_trials(float)
    assert (
        form_data([curve_of(trials)], crossovers(trials), "desk", "desk", "published", "cold") == {}
    )
