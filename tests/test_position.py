"""The effect of a training's place in its sweep, against made-up machines that slow down."""

import numpy as np
import pandas as pd
import pytest

from crossover.analysis.position import position_effects
from crossover.report.sections.spread import position_sentence
from crossover.training.plan import balanced_order

WIDTHS = [4, 8, 16, 32, 64, 128, 256, 512, 1024]


def sweeps(repeats, slowing, noise=0.0, seed=0, widths=WIDTHS):
    """Trials of a machine whose last training of a sweep takes ``slowing`` more than the first."""
    rng, rows = np.random.default_rng(seed), []
    for repeat in range(1, repeats + 1):
        factor = rng.lognormal(0, 0.2)
        for position, width in enumerate(balanced_order(widths, 777, repeat), 1):
            drift = (1 + slowing) ** ((position - 1) / (len(widths) - 1))
            seconds = (10 + width) * factor * drift * rng.lognormal(0, noise)
            rows.append(("box", "tensorflow", "tuned", "cpu", width, repeat, position, seconds))
    names = ["machine", "backend", "protocol", "device", "width", "repeat", "position"]
    return pd.DataFrame(rows, columns=[*names, "cold_seconds"])


@pytest.mark.parametrize("slowing", [0.25, 0.0, -0.1])
def test_an_exact_slowing_comes_back(slowing):
    (row,) = position_effects(sweeps(5, slowing)).itertuples()
    assert (row.effect, row.low, row.high) == pytest.approx([slowing] * 3, abs=1e-9)
    assert row.interval == "93.8% interval"


def test_the_interval_holds_the_truth():
    rows = [position_effects(sweeps(6, 0.1, 0.1, seed)).iloc[0] for seed in range(200)]
    held = sum(row["low"] <= 0.1 <= row["high"] for row in rows)
    assert 0.92 <= held / 200 <= 1


def test_few_or_torn_repeats_tell_nothing():
    assert position_effects(sweeps(4, 0.1)).empty
    torn = sweeps(5, 0.1)
    assert position_effects(
        torn[torn["seconds" if 0 else "cold_seconds"] != torn.iloc[0, -1]]
    ).empty
    assert "from five repeats on" in position_sentence(position_effects(sweeps(4, 0.1)))


def test_the_effect_is_told_with_its_interval():
    text = position_sentence(position_effects(sweeps(5, 0.25)))
    assert "tuned CPU +25.0% (93.8% interval +25.0% to +25.0%)" in text
