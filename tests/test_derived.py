"""The crossover of two time models, by hand and against NumPy's own weighted lines."""

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossover.analysis.comparison import crossovers
from crossover.analysis.derived import (
    crossing_span,
    derived_crossovers,
    gpu_faster_from,
)
from crossover.analysis.timemodel import TimeModel
from crossover.paths import PUBLISHED
from crossover.records.published import MACHINE, load_published
from crossover.report.columns import written
from crossover.report.sections.derived import COLUMNS, derived_sentences

SIZES = np.array([3_230, 13_274, 59_210, 335_114, 932_362, 2_913_290])
STEPS = 4_220
# Overhead, and seconds for each parameter.
Line = tuple[float, float]
CPU, GPU = (1e-3, 4e-9), (3e-3, 1e-9)
BY_HAND = 2e-3 / 3e-9  # (3 ms - 1 ms) / (4 ns - 1 ns)


def trials_of(cpu: npt.ArrayLike, gpu: npt.ArrayLike, **changes: object) -> pd.DataFrame:
    """Trials of one machine whose steps take these seconds, steady and cold alike."""
    frames = []
    for device, steps in (("cpu", cpu), ("gpu", gpu)):
        seconds = np.asarray(steps) * STEPS
        frame = load_published(PUBLISHED).iloc[: len(SIZES)]
        frames.append(frame.assign(device=device, machine="desk", parameters=SIZES,
                                   cold_seconds=seconds, steady_seconds=seconds))  # fmt: skip
    return pd.concat(frames, ignore_index=True).assign(**changes)


def of_lines(cpu: Line, gpu: Line, **changes: object) -> pd.DataFrame:
    return trials_of(cpu[0] + cpu[1] * SIZES, gpu[0] + gpu[1] * SIZES, **changes)


def weighted_line(seconds: pd.Series, parameters: pd.Series) -> Line:
    """Overhead and seconds a parameter of a step, by NumPy: each time weighs by its inverse."""
    slope, overhead = np.polyfit(parameters, seconds / STEPS, 1, w=STEPS / seconds)
    return overhead, slope


def published_lines(trials: pd.DataFrame) -> tuple[Line, Line]:
    """NumPy's lines through the cold times of a CPU and a GPU."""
    own = (trials[trials["device"] == device] for device in ("cpu", "gpu"))
    cpu, gpu = (weighted_line(curve["cold_seconds"], curve["parameters"]) for curve in own)
    return cpu, gpu


def worst_miss(line: Line, trials: pd.DataFrame, device: str) -> float:
    """The greatest distance of one device's cold steps from a line, as a share of the line."""
    own = trials[trials["device"] == device]
    told = line[0] + line[1] * own["parameters"]
    return float((own["cold_seconds"] / STEPS / told - 1).abs().max())


def crossing(cpu: Line, gpu: Line) -> float:
    return (gpu[0] - cpu[0]) / (cpu[1] - gpu[1])


def derived(trials: pd.DataFrame, *pairs: tuple[str, str]) -> pd.DataFrame:
    return derived_crossovers(trials, crossovers(trials, pairs))


def model(line: Line, miss: float = 0.0) -> TimeModel:
    """A time model of batches of 128 whose line is this one."""
    rate = 6 * 128 / line[1]
    overhead, rates, size = [line[0]] * 3, [rate] * 3, 3_230
    return TimeModel(128, *overhead, *rates, miss, miss, size, line[0], size)


def test_exact_lines_cross_where_they_do_by_hand() -> None:
    (row,) = derived(of_lines(CPU, GPU)).to_dict("records")
    assert row["timing"] == "steady"
    assert row["refitted"] == ""
    names = ["derived", "derived_low", "derived_high"]
    assert [row[name] for name in names] == pytest.approx([BY_HAND] * 3, rel=1e-5)
    # Between two widths the measured one is interpolated, and only near.
    assert row["status"] == "crossed"
    assert row["factor"] == pytest.approx(BY_HAND / row["estimate"], rel=1e-5)
    misses = [
        row[f"{device}_{place}"] for device in ("cpu", "gpu") for place in ("before", "after")
    ]
    assert misses == pytest.approx([0] * 4, abs=1e-5)
    assert "no more than straight lines between sizes may misplace" in derived_sentences(
        pd.DataFrame([row])
    )


@pytest.mark.parametrize(("cpu", "gpu", "expected"), [
    ((1, 2), (3, 1), 2.0),
    ((3, 2), (1, 1), 0.0),  # The GPU's lies below everywhere,
    ((1, 2), (1, 1), 0.0),
    ((2, 1), (1, 1), 0.0),
    ((1, 1), (2, 2), np.inf),  # the CPU's everywhere,
    ((1, 1), (2, 1), np.inf),
    ((1, 1), (1, 2), np.inf),
    ((2, 1), (1, 2), np.nan),  # or the GPU's below small sizes only.
    ((1, 1), (1, 1), np.nan),
])  # fmt: skip
def test_lines_need_not_cross(cpu: Line, gpu: Line, expected: float) -> None:
    assert gpu_faster_from(np.array(cpu), np.array(gpu)) == pytest.approx(expected, nan_ok=True)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_lines_that_are_off_by_no_more_cross_within_the_span(cpu: float, gpu: float) -> None:
    low, high = crossing_span(model(CPU, 0.1), model(GPU, 0.05))
    slower, faster = 1 + 0.1 * cpu, 1 + 0.05 * gpu
    matrix = [[1, -CPU[1] * slower], [1, -GPU[1] * faster]]
    _, at = np.linalg.solve(matrix, [CPU[0] * slower, GPU[0] * faster])
    assert low * (1 - 1e-9) <= at <= high * (1 + 1e-9)


def test_the_span_ends_where_both_lines_are_off() -> None:
    low, high = crossing_span(model(CPU, 0.1), model(GPU, 0.05))
    assert low == pytest.approx((3e-3 * 0.95 - 1e-3 * 1.1) / (4e-9 * 1.1 - 1e-9 * 0.95))
    assert high == pytest.approx((3e-3 * 1.05 - 1e-3 * 0.9) / (4e-9 * 0.9 - 1e-9 * 1.05))
    assert crossing_span(model((1e-3, 1.1e-9), 0.1), model(GPU, 0.1))[1] == np.inf
    assert crossing_span(model((2.9e-3, 4e-9), 0.1), model(GPU, 0.1))[0] == 0


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (
            100_000.0,
            300_000.0,
            "inside the measured one's interval: noise alone may set them apart.",
        ),
        (
            100_000.0,
            150_000.0,
            "outside the measured one's interval: a straight line is not exact.",
        ),
    ],
)
def test_a_difference_inside_the_interval_may_be_noise(low: float, high: float, said: str) -> None:
    """The published table's lines cross at 163,600, beside 139,900, if that had an interval."""
    assert said in derived_sentences(derived(load_published(PUBLISHED)).assign(low=low, high=high))


def test_the_published_lines_cross_beside_the_published_crossover() -> None:
    table = derived(load_published(PUBLISHED))
    (row,) = table.to_dict("records")
    cpu, gpu = published_lines(load_published(PUBLISHED))
    assert row["timing"] == "cold"
    assert row["derived"] == pytest.approx(crossing(cpu, gpu), rel=1e-6)
    assert round(row["derived"], -2) == 163_600
    text = derived_sentences(table)
    misses = [worst_miss(line, load_published(PUBLISHED), device)
              for line, device in ((cpu, "cpu"), (gpu, "gpu"))]  # fmt: skip
    span = crossing_span(model(cpu, misses[0]), model(gpu, misses[1]))
    assert (row["derived_low"], row["derived_high"]) == pytest.approx(span)
    low, high = f"{span[0] // 1e4 * 1e4:,.0f}", f"{-(-span[1] // 1e4) * 1e4:,.0f}"
    assert f"the lines cross at 160,000 parameters ({low} to {high} where" in text
    assert f"farthest from it: {misses[0]:.0%} on the CPU, {misses[1]:.0%} on the GPU)" in text
    assert "measured: 140,000 (single repeats, so no interval)." in text
    assert (
        "The derived one is 1.17 times the measured one; whether noise or a line that is not "
        in text
    )
    # Medians over lines at width 128, the last before the crossing.
    above = 31.7006 / STEPS / (cpu[0] + cpu[1] * 134_794) - 1
    below = 1 - 32.4855 / STEPS / (gpu[0] + gpu[1] * 134_794)
    assert f"CPU's median lies {above:.0%} above its line and the GPU's {below:.0%} below" in text
    estimate = row["estimate"]
    apart = 1 - (cpu[0] + cpu[1] * estimate) / (gpu[0] + gpu[1] * estimate)
    assert f"at the measured crossover the CPU's line lies {apart:.0%} below the GPU's" in text
    shown = written(table, COLUMNS).iloc[0]
    assert shown.tolist()[1:] == [
        "published, cold", f"{1e6 * cpu[0]:,.0f} µs + {1e9 * cpu[1]:.1f} ns × parameters",
        f"{1e6 * gpu[0]:,.0f} µs + {1e9 * gpu[1]:.2f} ns × parameters",
        f"160,000 ({low} to {high})", "140,000", "single repeats, so no interval", "1.17",
    ]  # fmt: skip
    # A reader can work it out from the table.
    (a, b), (c, d) = (re.findall(r"[\d.]+", cell.replace(",", "")) for cell in shown[2:4])
    told = crossing((float(a), float(b)), (float(c), float(d)))
    assert told == pytest.approx(163.6, rel=0.003)


def test_a_time_moves_the_crossover_by_its_leverage() -> None:
    trials = load_published(PUBLISHED)
    slower = trials["cold_seconds"].where(trials["device"] == "gpu", trials["cold_seconds"] * 1.001)
    before, after = (derived(one).iloc[0] for one in (trials, trials.assign(cold_seconds=slower)))
    moved = 1 - after["derived"] / before["derived"]
    assert moved == pytest.approx(before["leverage"] * 1e-3, rel=0.01)


def test_steady_times_are_not_compared_with_cold_ones() -> None:
    """A CPU whose trainings cost 8 s once, against a GPU whose steady times nobody knows."""
    published = load_published(PUBLISHED)
    cpu = published[published["device"] == "cpu"].assign(machine="desk")
    cpu = cpu.assign(steady_seconds=cpu["cold_seconds"], cold_seconds=cpu["cold_seconds"] + 8.0)
    table = derived(pd.concat([cpu, published], ignore_index=True), ("desk", MACHINE))
    row = table[table["cpu_machine"] == "desk"].iloc[0]
    assert (row["timing"], row["refitted"]) == ("cold", "CPU")
    both = pd.concat([cpu, published[published["device"] == "gpu"]])
    assert row["derived"] == pytest.approx(crossing(*published_lines(both)), rel=1e-6)
    assert (
        "(cold times: the GPU has no others, so the CPU's line is fitted to its cold times here, "
        "not to its steady ones as above)"
    ) in derived_sentences(table)


def test_a_crossover_below_all_sizes_was_not_measured() -> None:
    """Lines that cross at 1,000 parameters: the GPU wins at every size from 3,230 on."""
    table = derived(of_lines((1e-3, 1e-8), (1e-3 + 9e-6, 1e-9)))
    text = derived_sentences(table)
    assert "the lines cross at 1,000 parameters" in text
    assert "measured: GPU always faster (at all sizes from 3,230 to 2,913,290 parameters)." in text
    assert text.endswith("That is below the smallest size timed on both, 3,230.")
    assert written(table, COLUMNS)["measured"].tolist() == ["GPU always faster"]


def test_lines_may_say_that_one_device_always_wins() -> None:
    text = derived_sentences(derived(of_lines(CPU, (2e-3, 5e-9))))
    assert "by the lines the CPU is faster at every size; measured: CPU always faster" in text


def test_lines_may_miss_a_measured_crossover() -> None:
    """A CPU faster at one size only, far below its line: the sentence says where it lies."""
    gpu = np.full(len(SIZES), 1e-3)
    cpu = gpu * [0.8, 2, 2, 2, 2, 2]
    text = derived_sentences(derived(trials_of(cpu, gpu)))
    assert "by the lines the GPU is faster at every size; measured: " in text
    assert "At 3,230 parameters the CPU's median lies" in text
    assert "nan" not in text


def test_devices_with_no_line_or_no_size_in_common_are_told_nothing_of() -> None:
    few = of_lines(CPU, GPU)
    assert derived(few[few["parameters"] < 20_000]).empty
    apart = few[(few["device"] == "cpu") == (few["parameters"] < 100_000)]
    text = derived_sentences(derived(apart))
    assert "measured: unresolved (no width was measured on both devices)." in text
    assert "nan" not in text
