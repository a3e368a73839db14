"""Accuracy parity, against scipy's Welch test and a proportion's arithmetic."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crossover.analysis.parity import accuracy_parity


def trials(accuracies: dict[int, tuple[list[float], list[float]]]) -> pd.DataFrame:
    """Trials of widths, each with CPU and GPU accuracies."""
    rows = [
        ("desk", "tensorflow", "published", device, width, width * 1_000, accuracy)
        for width, pair in accuracies.items()
        for device, repeats in zip(("cpu", "gpu"), pair, strict=True)
        for accuracy in repeats
    ]
    names = ["machine", "backend", "protocol", "device", "width", "parameters", "accuracy"]
    return pd.DataFrame(rows, columns=names)


def test_repeats_are_compared_as_scipy_does() -> None:
    cpu, gpu = [0.970, 0.972, 0.969, 0.975], [0.968, 0.971, 0.966]
    row = accuracy_parity(trials({64: (cpu, gpu)})).iloc[0]
    theirs = stats.ttest_ind(gpu, cpu, equal_var=False)
    interval = theirs.confidence_interval()
    assert row["method"] == "welch"
    assert row["p_value"] == pytest.approx(theirs.pvalue)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_single_repeats_are_proportions_of_ten_thousand_images() -> None:
    row = accuracy_parity(trials({64: ([0.9], [0.8])})).iloc[0]
    half = 1.959964 * math.sqrt((0.9 * 0.1 + 0.8 * 0.2) / 10_000)
    assert row["method"] == "binomial"
    assert row["differs"]
    assert (row["low"], row["high"]) == pytest.approx((-0.1 - half, -0.1 + half))


def test_correction_is_holms_by_hand() -> None:
    # z = 2.2 (p = 0.028) differs alone, but not as one of three equal widths.
    shift = 2.2 * math.sqrt(2 * 0.9 * 0.1 / 10_000)
    width = ([0.9], [0.9 + shift])
    assert accuracy_parity(trials({4: width}))["differs"].iloc[0]
    assert not accuracy_parity(trials({4: width, 8: width, 16: width}))["differs"].any()
    # With two that clearly differ, Holm leaves it a factor of 1; Bonferroni would not.
    clear = ([0.9], [0.5])
    assert accuracy_parity(trials({4: width, 8: clear, 16: clear}))["differs"].all()


def test_missing_accuracy_is_missing_and_costs_no_power() -> None:
    shift = 2.2 * math.sqrt(2 * 0.9 * 0.1 / 10_000)
    table = accuracy_parity(trials({4: ([0.9], [0.9 + shift]), 8: ([0.9], []), 16: ([], [np.nan])}))
    assert list(table["method"]) == ["binomial", "missing", "missing"]
    assert list(table["differs"]) == [True, False, False]
    assert table["difference"].isna().tolist() == [False, True, True]


def test_repeats_without_spread() -> None:
    table = accuracy_parity(trials({4: ([0.5, 0.5], [0.5, 0.5]), 8: ([0.5, 0.5], [0.75, 0.75])}))
    assert list(table["differs"]) == [False, True]


def test_one_device_without_spread_leaves_the_other_s() -> None:
    """By hand: a standard error of 0.005, and Student's t of one degree of freedom."""
    row = accuracy_parity(trials({4: ([0.1135, 0.1135], [0.97, 0.98])})).iloc[0]
    assert row["method"] == "welch"
    assert row["difference"] == pytest.approx(0.8615)
    assert row["high"] - row["difference"] == pytest.approx(12.706 * 0.005, rel=1e-4)


accuracy_lists = st.lists(st.floats(0.1, 0.99), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(accuracy_lists, accuracy_lists)
def test_swapping_devices_turns_the_difference_around(cpu: list[float], gpu: list[float]) -> None:
    one = accuracy_parity(trials({4: (cpu, gpu)})).iloc[0]
    other = accuracy_parity(trials({4: (gpu, cpu)})).iloc[0]
    assert one["difference"] == pytest.approx(-other["difference"])
    assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]))
    assert one["differs"] == other["differs"]
