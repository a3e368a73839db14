"""The time model, against synthetic times and scipy's own weighted fit."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from crossover.analysis.timemodel import TimeModel, fit_all, fit_time_model
from crossover.paths import PUBLISHED
from crossover.records.published import load_published

SIZES = np.array([3_230, 27_562, 134_794, 932_362, 2_913_290])


def fit_seconds(
    sizes: npt.ArrayLike, seconds: npt.ArrayLike, steps_total: int, batch_size: int
) -> TimeModel:
    """Fit the seconds of whole trainings of a number of steps."""
    cells = pd.MultiIndex.from_product([sizes, [batch_size]], names=["parameters", "batch_size"])
    return fit_time_model(pd.Series(np.asarray(seconds, dtype=float) / steps_total, index=cells))


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-5, 1e-1), st.floats(1e9, 1e13))
def test_exact_times_give_back_overhead_and_rate(overhead: float, rate: float) -> None:
    seconds = 4_220 * (overhead + 6 * SIZES * 128 / rate)
    model = fit_seconds(SIZES, seconds, 4_220, 128)
    np.testing.assert_allclose(model.predict(SIZES) * 4_220, seconds, rtol=1e-6)
    assert model.overhead_seconds == pytest.approx(overhead, rel=1e-3, abs=1e-9 / rate * 1e9)
    assert model.overhead_low <= model.overhead_seconds <= model.overhead_high


def test_noisy_fit_is_scipys_weighted_one() -> None:
    rng = np.random.default_rng(2)
    step = (3e-3 + 6 * SIZES * 128 / 5e10) * rng.lognormal(0, 0.05, len(SIZES))
    best, covariance = optimize.curve_fit(
        lambda p, a, b: a + b * p / 1e6, SIZES, step, p0=[1e-3, 1e-2], sigma=step
    )
    model = fit_seconds(SIZES, step * 422, 422, 128)
    assert model.overhead_seconds == pytest.approx(best[0], rel=1e-4)
    assert model.flops_per_second == pytest.approx(6 * 128 * 1e6 / best[1], rel=1e-4)
    # Student's t for 3 degrees of freedom, from a printed table.
    assert model.overhead_high - best[0] == pytest.approx(3.182 * covariance[0, 0] ** 0.5, rel=1e-3)


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(3)
    truth = 3e-3 + 6 * SIZES * 128 / 5e10
    fits = [fit_seconds(SIZES, truth * rng.lognormal(0, 0.03, 5), 1, 128) for _ in range(300)]
    overhead = np.mean([f.overhead_low <= 3e-3 <= f.overhead_high for f in fits])
    rate = np.mean([f.flops_low <= 5e10 <= f.flops_high for f in fits])
    assert 0.91 <= overhead <= 0.99
    assert 0.91 <= rate <= 0.99


def test_times_that_fall_with_size_have_no_rate() -> None:
    model = fit_seconds(SIZES, [5, 4.9, 4.8, 4.7, 4.6], 422, 128)
    assert model.flops_per_second == np.inf
    assert model.overhead_low >= 0
    assert np.ptp(model.predict(SIZES)) == 0


@pytest.mark.parametrize(("sizes", "seconds", "match"), [
    ([1, 1, 2], [1, 1, 1], "3 sizes"), ([1, 2, 3], [1, 0, 1], "positive")])  # fmt: skip
def test_unusable_times_are_refused(sizes: list[int], seconds: list[float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        fit_seconds(sizes, seconds, 1, 128)


def test_published_curves() -> None:
    table = fit_all(load_published(PUBLISHED)).set_index("device")
    # Two points by hand: (354.0091 - 128.9178) s for 1,980,928 parameters, 4,220 steps.
    by_hand = 6 * 1_980_928 * 128 * 4_220 / (354.0091 - 128.9178)
    assert table.loc["cpu", "flops_per_second"] == pytest.approx(by_hand, rel=0.15)
    assert table.loc["gpu", "overhead_seconds"] > table.loc["cpu", "overhead_seconds"]
    assert table["timing"].eq("cold").all()
    assert table["start_low"].isna().all()


def test_compiling_is_no_overhead_of_a_step() -> None:
    """A training that takes 100 µs a step and 2 s once costs 100 µs a step."""
    steady = 4_220 * (1e-4 + 6 * SIZES * 128 / 5e10)
    trials = (
        load_published(PUBLISHED)
        .iloc[: len(SIZES)]
        .assign(
            device="cpu",
            parameters=SIZES,
            steady_seconds=steady,
            cold_seconds=steady + 2.0,
            start_seconds=2.0,
        )
    )
    (row,) = fit_all(trials).itertuples()
    assert row.timing == "steady"
    assert row.overhead_seconds == pytest.approx(1e-4, rel=1e-3)
    assert (row.start_low, row.start_high) == pytest.approx((2.0, 2.0))
