"""The crossover, against hand-computed crossings and the published table."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossover.analysis import band
from crossover.analysis.band import log_ratio
from crossover.analysis.comparison import crossovers
from crossover.analysis.crossing import Crossover, find_crossover
from crossover.paths import PUBLISHED
from crossover.records.published import load_published

SIZES = [1_000, 10_000, 100_000]


def times(medians: list[float], spread: tuple[float, ...] = (1.0,)) -> pd.DataFrame:
    """Repeats around given medians, as factors of them."""
    rows = [
        (p, repeat, m * f)
        for p, m in zip(SIZES, medians, strict=False)
        for repeat, f in enumerate(spread, 1)
    ]
    return pd.DataFrame(rows, columns=["parameters", "repeat", "seconds"])


@pytest.fixture
def straight(monkeypatch):
    """Of straight curves the limits are those of the repeats, with nothing added."""
    monkeypatch.setattr(band, "STEEPEST", 0.0)


QUIET = (0.98, 0.99, 1.0, 1.01, 1.02)


def test_crossing_by_hand() -> None:
    # log10 ratio -1, 0.5, 1.5: zero after 2/3 of the first decade.
    found = find_crossover(times([1, 10**0.5, 10**1.5]), times([10, 1, 1]))
    assert found.status == "crossed"
    assert (found.bracket_low, found.bracket_high) == (1_000, 10_000)
    assert found.estimate == pytest.approx(10 ** (3 + 2 / 3))
    assert found.interval_kind == "none"
    assert math.isnan(found.low)


def test_published_table() -> None:
    found = crossovers(load_published(PUBLISHED)).set_index("timing")
    cold = found.loc["cold"]
    assert (cold["bracket_low"], cold["bracket_high"]) == (134_794, 335_114)
    assert cold["estimate"] == pytest.approx(139_900, rel=0.001)
    assert "about 140,000" in cold["sentence"]
    assert "no interval" in cold["sentence"]
    assert found.loc["steady", "status"] == "missing device"


@pytest.mark.parametrize(
    ("cpu", "gpu", "status"),
    [
        ([1, 4, 40], [5, 5, 5], "crossed"),
        ([10, 20, 40], [5, 5, 5], "gpu always faster"),
        ([1, 2, 3], [5, 5, 5], "cpu always faster"),
        ([5, 5.01, 5.02], [5.01, 5, 5.01], "unresolved"),
        ([1, 20, 1], [5, 5, 5], "unresolved"),
        ([20, 5.1, 1], [5, 5, 5], "unresolved"),
        ([], [5, 5, 5], "missing device"),
        ([1, 2, 3], [], "missing device"),
    ],
)
@pytest.mark.parametrize("spread", [QUIET, QUIET[:3]])
def test_status(cpu: list[float], gpu: list[float], status: str, spread: tuple[float, ...]) -> None:
    found = find_crossover(times(cpu, spread), times(gpu, spread[::-1]))
    assert found.status == status
    assert math.isnan(found.estimate) == (status != "crossed")
    assert found.describe().endswith(".")
    assert found.describe().count("\n") == 0
    assert "nan" not in found.spread()


def test_reasons_tell_two_unresolved_apart() -> None:
    twice = find_crossover(times([1, 20, 1]), times([5, 5, 5]))
    reverse = find_crossover(times([20, 5.1, 1]), times([5, 5, 5]))
    assert (twice.crossings, reverse.crossings) == (2, 1)
    assert "2 times" in twice.describe()
    assert "CPU for large" in reverse.describe()


@pytest.mark.usefixtures("straight")
def test_the_range_is_that_of_the_repeats_own_curves() -> None:
    # CPU times 0.5, 1 and 2 times the median beside one GPU: log10 ratio -1±0.301 to 1±0.301.
    cpu, gpu = times([1, 100], (0.5, 1, 2)), times([10, 10], (1, 1, 1))
    found = find_crossover(cpu, gpu)
    middle, reach = 3.5, math.log10(2) / 2
    assert found.interval_kind == "range"
    assert math.isnan(found.level)
    assert found.low == pytest.approx(10 ** (middle - reach), rel=0.01)
    assert found.high == pytest.approx(10 ** (middle + reach), rel=0.01)


@pytest.mark.usefixtures("straight")
def test_what_slows_both_sweeps_of_a_repeat_is_no_spread() -> None:
    slow = (1.0, 1.5, 0.7, 2.0, 1.1)
    shared = find_crossover(times([1, 5, 40], slow), times([5, 5.5, 6], slow))
    assert (shared.interval_kind, shared.level) == ("interval", 0.9375)
    assert shared.high / shared.low < 1.01
    swapped = find_crossover(times([1, 5, 40], slow), times([5, 5.5, 6], slow[::-1]))
    assert swapped.high / swapped.low > 2


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize(("count", "rank"), [(5, 0), (6, 0), (8, 0), (9, 1), (10, 1), (12, 2)])
def test_limits_are_the_repeats_own_crossings(count: int, rank: int) -> None:
    """The published tables of the sign test: rank 2 from 9 repeats on, 3 from 12."""
    factors = [1.01**number for number in range(count)]
    found = find_crossover(times([1, 40], factors), times([5, 6], [1.0] * count))
    line = [math.log(1 / 5), math.log(40 / 6)]
    own = sorted(
        float(np.exp(np.interp(0, np.array(line) + math.log(f), np.log(SIZES[:2]))))
        for f in factors
    )
    assert found.low == pytest.approx(own[rank], rel=0.01)
    assert found.high == pytest.approx(own[-1 - rank], rel=0.01)


def test_limits_include_what_straight_lines_may_add_but_no_measured_size(monkeypatch) -> None:
    spread = (0.95, 0.98, 1.0, 1.02, 1.05)
    studies = {
        name: (times(cpu, spread), times(gpu, spread[::-1]))
        for name, cpu, gpu in (("near", [1, 4, 40], [5, 6, 7]), ("far", [1, 5.9, 7.5], [5, 6, 6]))
    }
    whole = {name: find_crossover(*frames) for name, frames in studies.items()}
    monkeypatch.setattr(band, "STEEPEST", 0.0)
    for name, frames in studies.items():
        bare, found = find_crossover(*frames), whole[name]
        assert bare.interpolation == 0
        # At a measured size no line is straight for nothing.
        assert found.low < bare.low or bare.low in SIZES
        assert found.high > bare.high or bare.high in SIZES
        for end, size in enumerate((found.high, found.low)):
            # There the ratio may just be 1; what is told at a price of 1 is told of times.
            assert found.ratio.limits(size)[end] == pytest.approx(1.0, abs=1e-3) or size in SIZES
        sure = [size for size in SIZES if size < bare.low or size > bare.high]
        assert all(size <= found.low or size >= found.high for size in sure)


def test_straight_lines_miss_most_in_the_middle_of_a_step() -> None:
    """By hand: 1/4 · h/2 · h/2 / 2 = h² / 32."""
    assert band.straight_miss(np.array([1.0, 2.0, 3.0]), 1.0, 3.0).tolist() == [0, 4 / 32, 0]


def test_the_band_is_wider_by_no_more_than_straight_lines_miss() -> None:
    ratio = log_ratio(times([1, 4, 40]), times([5, 6, 7]))
    step = math.log(SIZES[1] / SIZES[0])
    assert (ratio.band.upper - ratio.band.lower).max() == pytest.approx(2 * step**2 / 32)


def test_at_a_width_with_other_repeats_on_either_side_the_wider_limits_count() -> None:
    cpu, gpu = times([1, 5, 40], QUIET), times([5, 5.5, 6], QUIET[::-1])
    late = cpu[(cpu["parameters"] < SIZES[2]) | (cpu["repeat"] < 3)]
    ratio = log_ratio(late, gpu)
    here = np.isclose(ratio.band.log_parameters, math.log(SIZES[1]))
    assert here.sum() == 2
    sides = ratio.band.lower[here], ratio.band.upper[here]
    assert len(set(sides[1])) == 2
    assert ratio.limits(SIZES[1]) == pytest.approx(
        (math.exp(min(sides[0])), math.exp(max(sides[1])))
    )


def test_where_both_widths_tell_a_winner_straight_lines_open_nothing() -> None:
    """The ratio of two times of overhead plus work rises or falls all the way."""
    cpu, gpu = times([1.002, 1.003, 4.0], QUIET), times([1.0, 1.0, 1.0], QUIET)
    found = find_crossover(
        cpu.assign(seconds=gpu["seconds"] * [*[1.002] * 5, *[1.003] * 5, *[4] * 5]), gpu
    )
    assert found.status == "gpu always faster"
    lower = found.ratio.band.lower
    assert lower.min() == pytest.approx(math.log(1.002))


def test_a_device_timed_once_stands_against_each_repeat_of_the_other() -> None:
    found = find_crossover(times([1, 5, 40], QUIET), times([5, 5.5, 6]))
    assert found.alone == "CPU"
    assert "of the CPU's repeats alone" in found.describe()
    assert found.low < found.estimate < found.high


def test_a_repeat_that_lacks_a_trial_does_not_count() -> None:
    cpu, gpu = times([1, 5, 40], QUIET), times([5, 5.5, 6], QUIET)
    assert find_crossover(cpu, gpu).bracket_low == 10_000
    far, near = (cpu.index[cpu["parameters"] == size][0] for size in (1_000, 100_000))
    found = find_crossover(cpu.drop(index=far), gpu)
    assert (found.repeats, found.interval_kind) == (5, "interval")
    found = find_crossover(cpu.drop(index=near), gpu)
    assert (found.repeats, found.interval_kind) == (4, "range")
    holes = cpu[cpu["repeat"] == cpu["parameters"].rank(method="dense")]
    assert find_crossover(holes, gpu).interval_kind == "none"
    assert find_crossover(holes, gpu).status == "crossed"


def test_a_width_that_was_added_with_one_repeat_takes_no_interval_away() -> None:
    cpu, gpu = times([1, 5, 40], QUIET), times([5, 5.5, 6], QUIET)
    before = find_crossover(cpu, gpu)
    more = [
        pd.concat([frame, pd.DataFrame({"parameters": [10**6], "repeat": [1], "seconds": [last]})])
        for frame, last in ((cpu, 400.0), (gpu, 7.0))
    ]
    assert find_crossover(*more) == before
    always = find_crossover(more[1], more[0])
    assert always.reason.startswith("the GPU wins for small models")
    faster = more[0].assign(seconds=more[0]["seconds"] * 9)
    assert find_crossover(faster, more[1]).reason == "at all sizes from 1,000 to 100,000 parameters"
    # Nor does what a single repeat says there decide anything.
    more[0].loc[more[0]["parameters"] == 10**6, "seconds"] = 1.0
    assert find_crossover(*more) == before


def test_one_slow_training_far_off_does_not_widen_the_limits() -> None:
    cpu, gpu = times([1, 5, 40], QUIET), times([5, 5.5, 6], QUIET)
    calm = find_crossover(cpu, gpu)
    cpu.loc[0, "seconds"] *= 20
    found = find_crossover(cpu, gpu)
    assert found.status == "crossed"
    assert found.high == pytest.approx(calm.high, rel=0.01)
    assert found.low > SIZES[0]


@pytest.mark.parametrize("spread", [(1.0,), QUIET[:3], QUIET])
def test_crossed_only_where_each_device_surely_wins_somewhere(spread: tuple[float, ...]) -> None:
    """The GPU is faster by 0.1% at the smallest size, the repeats spread by more."""
    found = find_crossover(times([5.005, 6, 7], spread), times([5, 5, 5], spread[::-1]))
    if len(spread) == 1:
        assert found.status == "gpu always faster"
    else:
        assert found.status == "unresolved"
        assert "from 1,000 parameters or fewer to " in found.reason
        assert found.reason.endswith("; the GPU is faster above")


@pytest.mark.parametrize("spread", [(1.0,), QUIET[:3], QUIET])
@pytest.mark.parametrize("cpu", [[5, 5, 5], [5, 6, 7], [1, 5, 5], [4, 5, 6]])
def test_equal_times_are_told_in_numbers(cpu: list[float], spread: tuple[float, ...]) -> None:
    found = find_crossover(times(cpu, spread), times([5, 5, 5], spread))
    assert "nan" not in found.describe()
    if cpu == [4, 5, 6]:
        assert found.status == "crossed"
        assert found.estimate == pytest.approx(10_000)


def test_a_straight_line_over_a_wide_gap_is_not_given_in_percent() -> None:
    wide = pd.DataFrame({"parameters": [1e3, 1e6] * 2, "repeat": 1, "seconds": [1.0, 50, 5, 6]})
    found = find_crossover(wide[:2], wide[2:])
    assert found.interpolation > 1
    assert "; the widths are too far apart to tell where between them)" in found.describe()
    one = find_crossover(wide[:1], wide[2:3])
    assert "at the one size of 1,000 parameters" in one.describe()


def test_every_status_says_what_it_rests_on() -> None:
    for spread, kind in ((QUIET, "93.8% interval"), (QUIET[:3], "range of 3 repeats"),
                         ((1.0,), "single repeats, so no interval")):  # fmt: skip
        for cpu in ([10, 20, 40], [1, 2, 3], [5, 5, 5], [1, 20, 1], [1, 5, 40]):
            assert kind in find_crossover(times(cpu, spread), times([5, 5.5, 5], spread)).describe()


def test_straight_lines_are_off_by_no_more_than_is_said() -> None:
    rng = np.random.default_rng(8)
    sizes, worst = np.geomspace(3_230, 2_913_290, 9), 0.0
    for _ in range(300):
        overheads, rates = np.sort(rng.lognormal(0, 1, 2)), rng.lognormal(0, 1, 2)
        rates = np.sort(rates)[::-1] * np.median(overheads) / 1e5
        truth = (overheads[1] - overheads[0]) / (rates[0] - rates[1])
        cpu, gpu = (
            pd.DataFrame({"parameters": sizes, "repeat": 1, "seconds": o + r * sizes})
            for o, r in zip(overheads, rates, strict=True)
        )
        found = find_crossover(cpu, gpu)
        if found.status == "crossed":
            off = max(found.estimate / truth, truth / found.estimate) - 1
            assert off <= found.interpolation + 1e-4
            worst = max(worst, off)
    assert worst > 0.02


def test_widths_of_one_device_only_do_not_count() -> None:
    cpu, gpu = times([1, 4, 40]), times([5, 5, 5])
    alone = pd.DataFrame({"parameters": [500_000], "repeat": [1], "seconds": [0.1]})
    assert find_crossover(pd.concat([cpu, alone]), gpu) == find_crossover(cpu, gpu)
    assert "both devices" in find_crossover(alone, gpu).reason


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_impossible_times_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="GPU time is not positive"):
        find_crossover(times([1, 4, 40]), times([5, wrong, 5]))


def test_pairs_compare_across_machines() -> None:
    trials = load_published(PUBLISHED)
    laptop = trials[trials["device"] == "cpu"].assign(
        machine="laptop", cold_seconds=trials["cold_seconds"] / 2
    )
    both = pd.concat([trials, laptop], ignore_index=True)
    old = str(trials["machine"].iloc[0])
    found = crossovers(both, pairs=[("laptop", old)]).query("timing == 'cold'")
    found = found.set_index(["cpu_machine", "gpu_machine"])
    assert found.loc[("laptop", "laptop"), "status"] == "missing device"
    # By hand: 59.6029 / 2 < 33.4356, and 128.9178 / 2 > 37.803.
    assert found.loc[("laptop", old), "bracket_low"] == 335_114
    with pytest.raises(ValueError, match="nobody"):
        crossovers(both, pairs=[("nobody", old)])


def seconds() -> st.SearchStrategy[list[float]]:
    """Medians of three widths."""
    return st.lists(st.floats(0.5, 500), min_size=3, max_size=3)


@settings(max_examples=100, deadline=None)
@given(seconds(), seconds(), st.floats(0.01, 100), st.sampled_from([QUIET, QUIET[:3]]))
def test_estimate_lies_in_bracket_and_interval_whatever_the_unit(
    cpu: list[float], gpu: list[float], factor: float, spread: tuple[float, ...]
) -> None:
    found = find_crossover(times(cpu, spread), times(gpu, spread))
    if found.status == "crossed":
        assert found.bracket_low <= found.estimate <= found.bracket_high * (1 + 1e-9)
        assert found.low <= found.estimate * (1 + 1e-9)
        assert found.estimate <= found.high * (1 + 1e-9)
    scaled = find_crossover(
        times([factor * s for s in cpu], spread), times([factor * s for s in gpu], spread)
    )
    if abs(np.log(np.array(cpu) / np.array(gpu))).min() > 0.1:
        assert_alike(found, scaled)


def assert_alike(one: Crossover, other: Crossover) -> None:
    """Same status, and numbers alike but for rounding to the grid."""
    assert one.status == other.status
    numbers = [[f.bracket_low, f.estimate, f.low, f.high] for f in (one, other)]
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=0.01)
