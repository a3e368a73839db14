"""Summaries and speed-ups, against plain pandas and scipy's own intervals."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from conftest import make_record
from crossover.analysis.comparison import crossovers
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.analysis.order import kind_name, median_limits, median_ranks
from crossover.analysis.speedup import speedups
from crossover.analysis.summary import MEASURES, summarise, together
from crossover.records.settings import Settings
from crossover.records.storage import write_record


def trial(device: str, repeat: int, cold: float, **other: object) -> dict[str, object]:
    """One row of trials; ``other`` replaces its usual values."""
    usual: dict[str, object] = {
        "machine": "desk", "backend": "tensorflow", "protocol": "published", "device": device,
        "width": 64, "parameters": 59_210, "repeat": repeat, "cold_seconds": cold,
        "steady_seconds": cold * 0.9, "accuracy": 0.97, "epochs": 10, "steps": 422,
        "batch_size": 128, "steal_fraction": 0.0, "foreign_fraction": np.nan, "throttled": None,
        "settings_digest": "aaaaaaaa", "diverged": None, "warmed": None,
        "cpu_throttled_fraction": np.nan, "clocks_held_down": "", "start_seconds": np.nan,
    }  # fmt: skip
    return usual | other


def frame(device: str, colds: list[float], **other: object) -> pd.DataFrame:
    """Trials of one cell."""
    return pd.DataFrame([trial(device, n + 1, c, **other) for n, c in enumerate(colds)])


def random_trials() -> pd.DataFrame:
    """Two machines, two devices, three widths, one to seven repeats."""
    rng = np.random.default_rng(1)
    cells = [
        frame(d, list(rng.lognormal(3, 0.1, rng.integers(1, 8))), width=w, machine=m)
        for m in "ab"
        for d in ("cpu", "gpu")
        for w in (4, 8, 16)
    ]
    return pd.concat(cells, ignore_index=True)


def test_medians_are_those_of_plain_pandas_in_any_row_order() -> None:
    trials = random_trials()
    summary = summarise(trials.sample(frac=1, random_state=3))
    for row in summary.itertuples():
        mine = trials[(trials[["machine", "device", "width"]]
                       == [row.machine, row.device, row.width]).all(axis=1)]  # fmt: skip
        assert row.cold_seconds == pytest.approx(np.median(mine["cold_seconds"]))
        assert row.steady_seconds == pytest.approx(np.median(mine["steady_seconds"]))
        assert row.repeats == len(mine)
    assert len(summary) == 12
    pd.testing.assert_frame_equal(summary, summarise(trials))


@pytest.mark.parametrize(("count", "kind"), [(1, "single"), (2, "range"), (4, "range"),
                                             (5, "93.8% interval"),
                                             (9, "96.1% interval")])  # fmt: skip
def test_interval_follows_the_number_of_repeats(count: int, kind: str) -> None:
    colds = [10.0 + n for n in range(count)]
    row = summarise(frame("cpu", colds)).iloc[0]
    limits = (row["cold_seconds_low"], row["cold_seconds_high"])
    assert row["interval"] == kind
    if kind == "single":
        assert np.isnan(limits).all()
    elif kind == "range":
        assert limits == (colds[0], colds[-1])
    else:
        drop = 0 if count == 5 else 1
        assert limits == (colds[drop], colds[-1 - drop])


@pytest.mark.parametrize("count", [6, 7, 10, 12, 20, 51])
def test_intervals_agree_with_scipy(count: int) -> None:
    sample = np.random.default_rng(count).lognormal(0, 0.2, count)
    theirs = stats.quantile_test(sample, p=0.5).confidence_interval(0.95)
    assert median_limits(sample) == (theirs.low, theirs.high)
    above = sum(math.comb(count, k) for k in range(median_ranks(count).rank)) / 2**count
    assert median_ranks(count).level == pytest.approx(1 - 2 * above)


def test_five_repeats_have_the_level_that_they_have() -> None:
    # Both tails: all five on one side of the median, 2 / 32.
    assert median_ranks(5) == (1, 0.9375)
    assert kind_name(5) == "93.8% interval"


def test_missing_times_stay_missing() -> None:
    row = summarise(frame("cpu", [1.0, 2.0], steady_seconds=np.nan)).iloc[0]
    assert np.isnan(row["steady_seconds"])
    assert np.isnan(row["steady_seconds_low"])
    assert row["cold_seconds"] == 1.5


@pytest.mark.parametrize(("other", "reason"), [({"steal_fraction": 0.03}, "steal 3.0%"),
                                               ({"foreign_fraction": 0.2}, "foreign load 20.0%"),
                                               ({"throttled": True}, "throttled"),
                                               ({"warmed": True}, "cold: warmed up"),
                                               ({"cpu_throttled_fraction": 0.89},
                                                "held back by the CPU quota 89.0%"),
                                               ({"clocks_held_down": "on battery"},
                                                "on battery")])  # fmt: skip
def test_noise_names_its_reason(other: dict[str, object], reason: str) -> None:
    quiet, noisy = frame("cpu", [10.0, 10.1]), frame("gpu", [10.0, 10.1], **other)
    summary = summarise(pd.concat([quiet, noisy], ignore_index=True))
    assert list(summary["flags"]) == ["", reason]


@pytest.mark.parametrize(
    ("other", "touched"),
    [
        ({"steal_fraction": 0.03}, ["cold_seconds", "steady_seconds"]),
        ({"foreign_fraction": 0.2}, ["cold_seconds", "steady_seconds"]),
        ({"cpu_throttled_fraction": 0.8}, ["cold_seconds", "steady_seconds"]),
        ({"clocks_held_down": "on battery"}, ["cold_seconds", "steady_seconds"]),
        ({"throttled": True}, ["cold_seconds", "steady_seconds"]),
        ({"warmed": True}, ["cold_seconds"]),
        ({"diverged": True}, ["accuracy"]),
        ({"accuracy": 0.1}, ["accuracy"]),
    ],
)
def test_a_flag_stands_at_the_measures_that_it_touches(other, touched):
    summary = summarise(frame("cpu", [10.0, 10.1], **other)).iloc[0]
    assert [name for name in MEASURES if summary[f"{name}_flags"]] == touched
    assert {summary[f"{name}_flags"] for name in touched} == {summary["flags"]}


def test_a_spread_is_flagged_at_its_own_timing():
    trials = frame("cpu", [10.0, 10.1]).assign(steady_seconds=[10.0, 16.0])
    cell = summarise(trials).iloc[0]
    assert cell["steady_seconds_flags"].startswith("steady spread ")
    assert cell["cold_seconds_flags"] == cell["accuracy_flags"] == ""


def test_two_speeds_are_flagged_at_their_own_timing():
    cold = [10.0, 10.1, 10.2, 20.1, 20.2]
    cell = summarise(frame("cpu", cold).assign(steady_seconds=9.0)).iloc[0]
    assert cell["cold_seconds_flags"].endswith("cold: two speeds")
    assert cell["cold_seconds_two_speeds"].startswith("cold 10.1 s (3 repeats) and 20.1 s (2)")
    assert cell["steady_seconds_flags"] == cell["steady_seconds_two_speeds"] == ""


def test_flags_of_several_cells_tell_each_reason_once():
    assert together(["", "steal 3.0%; throttled", "throttled"]) == "steal 3.0%; throttled"
    assert together([]) == together(["", ""]) == ""


@pytest.mark.parametrize(("device", "other"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_speedups_are_flagged_by_either_device(device, other):
    both = pd.concat([frame(device, [30.0], warmed=True), frame(other, [10.0])], ignore_index=True)
    row = speedups(summarise(both)).iloc[0]
    assert (row["cold_speedup_flags"], row["steady_speedup_flags"]) == ("cold: warmed up", "")
    assert row[f"{device}_cold_seconds_flags"] == "cold: warmed up"
    assert row[f"{other}_cold_seconds_flags"] == ""
    alone = speedups(summarise(frame("cpu", [30.0]))).iloc[0]
    assert alone["gpu_cold_seconds_flags"] == alone["cold_speedup_flags"] == ""


def test_spread_over_ten_percent_is_noisy() -> None:
    # Quartiles 10 and 12 around 11: 18.2%.
    assert "cold spread 18.2%" in summarise(frame("cpu", [9.0, 10, 11, 12, 13]))["flags"].iloc[0]


def test_outliers_are_counted_and_kept() -> None:
    row = summarise(frame("cpu", [10.0, 10.1, 10.2, 10.3, 30.0])).iloc[0]
    assert (row["outliers"], row["repeats"]) == (1, 5)
    assert summarise(frame("cpu", [10.0, 10.1, 10.2, 30.0]))["outliers"].iloc[0] == 0


def test_fences_lie_one_and_a_half_interquartile_ranges_out() -> None:
    # Quartiles 10 and 12, so the fences are 7 and 15.
    assert summarise(frame("cpu", [9.0, 10, 11, 12, 14.9]))["outliers"].iloc[0] == 0
    assert summarise(frame("cpu", [9.0, 10, 11, 12, 15.1]))["outliers"].iloc[0] == 1


def test_mixed_settings_are_refused_by_name() -> None:
    mixed = pd.concat([frame("gpu", [1.0]), frame("gpu", [1.0], settings_digest="bbbbbbbb")])
    with pytest.raises(ValueError, match=r"'desk'.*'gpu'.*aaaaaaaa and bbbbbbbb"):
        summarise(mixed)


def test_speedup_is_cpu_time_over_gpu_time() -> None:
    trials = pd.concat([frame("cpu", [30.0, 50.0]), frame("gpu", [10.0])], ignore_index=True)
    row = speedups(summarise(trials)).iloc[0]
    assert row["cold_speedup"] == pytest.approx(4.0)
    assert row["steady_speedup"] == pytest.approx(4.0)


def test_missing_device_is_nan_never_zero() -> None:
    table = speedups(summarise(frame("cpu", [30.0])))
    missing = table[["gpu_cold_seconds", "gpu_steady_seconds", "cold_speedup", "gpu_accuracy"]]
    assert missing.isna().all(axis=None)
    assert table["cpu_cold_seconds"].iloc[0] == 30.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=9), st.floats(0.01, 100))
def test_scaling_all_times_scales_the_summary(colds: list[float], factor: float) -> None:
    names = ["cold_seconds", "cold_seconds_low", "cold_seconds_high"]
    once = summarise(frame("cpu", colds))[names].to_numpy()
    scaled = summarise(frame("cpu", [factor * c for c in colds]))[names].to_numpy()
    np.testing.assert_allclose(scaled, factor * once, rtol=1e-9)


def test_fewer_threads_have_a_crossover_of_their_own(tmp_path: Path) -> None:
    """Two threads cross between widths 8 and 16, one thread between 4 and 8."""
    for width, both, one in ((4, 5.0, 8.0), (8, 8.0, 15.0), (16, 15.0, 30.0)):
        settings = Settings(threads=1)
        write_record(tmp_path, make_record(width, fit=both))
        write_record(tmp_path, make_record(width, fit=one, settings=settings))
        write_record(tmp_path, make_record(width, device="gpu", fit=10.0))
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    (variant,) = merged.variants
    assert variant.endswith(", 1 thread")
    found = crossovers(merged.trials, merged.pairs)
    cold = found[(found["timing"] == "cold") & (found["gpu_machine"] == merged.own)]
    estimates = cold.set_index("cpu_machine")["estimate"]
    assert 6_514 < estimates[merged.own] < 13_274
    assert 3_230 < estimates[variant] < 6_514
