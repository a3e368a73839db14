"""The published study: its table and its claims."""

from math import nan

import pandas as pd
import pytest

from crossover.analysis.comparison import crossovers
from crossover.analysis.speedup import speedups
from crossover.analysis.summary import summarise
from crossover.paths import PUBLISHED
from crossover.records.published import (
    LINK_BYTES_PER_SECOND,
    Copying,
    check_claims,
    load_published,
)

NOTHING = Copying(reason="No copy was measured.")


def claims(trials: pd.DataFrame, copying: Copying = NOTHING) -> pd.DataFrame:
    """The claims' table of trials of one machine."""
    cold = crossovers(trials).query("timing == 'cold'")["sentence"].iloc[0]
    return check_claims(speedups(summarise(trials)), cold, copying)


def test_table_becomes_eighteen_trials() -> None:
    trials = load_published(PUBLISHED)
    assert trials.groupby("device").size().to_dict() == {"cpu": 9, "gpu": 9}
    last = trials[(trials["device"] == "gpu") & (trials["width"] == 1024)].iloc[0]
    assert (last["cold_seconds"], last["accuracy"], last["parameters"]) == (
        60.7474,
        0.9807,
        2913290,
    )
    assert trials["steady_seconds"].isna().all()
    assert (trials["epochs"] * trials["steps"] == 4_220).all()


def test_cpu_is_faster_up_to_134794_and_gpu_583_times_at_the_end() -> None:
    table = speedups(summarise(load_published(PUBLISHED))).set_index("parameters")["cold_speedup"]
    assert list(table.index[table < 1]) == [3230, 6514, 13274, 27562, 59210, 134794]
    assert round(table[2913290], 2) == 5.83


def test_published_claims_hold_on_the_published_table() -> None:
    table = claims(load_published(PUBLISHED))
    assert list(table["holds"]) == [True, True, None, True]
    assert "6 of 6" in table["evidence"][0]
    assert "140,000" in table["evidence"][0]
    assert "5.83" in table["evidence"][1]


@pytest.mark.parametrize(("copy", "holds"), [(0.0001, False), (0.009, True)])
def test_copying_is_tested_where_it_was_measured(copy: float, holds: bool) -> None:
    trials = load_published(PUBLISHED)
    row = claims(trials, Copying(copy, overhead_seconds=0.01)).iloc[2]
    assert row["holds"] is holds
    took = f"{copy * 1e6:,.0f} µs"
    share = f"{copy / 0.01:.1%} of the 10,000 µs"
    assert f"takes {took} (from pinned memory: not measured), {share}" in row["evidence"]
    row = claims(trials, Copying(copy, 0.01, pinned_seconds=5e-5)).iloc[2]
    assert f"takes {took} (from pinned memory: 50 µs), {share}" in row["evidence"]


def test_copying_is_tested_by_inference_where_only_the_link_is_known() -> None:
    """Sixteen lanes of 500 MB/s copy 401,408 bytes in 50.2 µs, a hundredth of 5 ms."""
    assert pytest.approx(16 * 500e6) == LINK_BYTES_PER_SECOND
    seconds = 128 * 28 * 28 * 4 / LINK_BYTES_PER_SECOND
    row = claims(load_published(PUBLISHED), Copying(seconds, 5e-3, inferred=True)).iloc[2]
    assert row["holds"] is False
    assert row["evidence"] == (
        "By inference: at 8,000 MB/s, the most that PCI Express 2.0 x16 moves, a batch is copied "
        "in 50 µs, 1.0% of the 5,000 µs that a GPU step costs whatever the model's size; to be "
        "most of that, the copy would have to be 50 times slower."
    )


@pytest.mark.parametrize("overhead", [nan, 0.0])
def test_copying_is_not_tested_without_an_overhead(overhead: float) -> None:
    row = claims(load_published(PUBLISHED), Copying(1e-4, overhead, reason="Too few.")).iloc[2]
    assert (row["holds"], row["evidence"]) == (None, "Too few.")


def test_claims_fail_where_the_gpu_is_always_three_times_faster() -> None:
    trials = load_published(PUBLISHED)
    cpu = trials[trials["device"] == "cpu"]
    gpu = cpu.assign(device="gpu", cold_seconds=cpu["cold_seconds"] / 3)
    table = claims(pd.concat([cpu, gpu], ignore_index=True))
    assert list(table["holds"]) == [False, False, None, False]
    assert "0 of 6" in table["evidence"][0]
    assert "3.00" in table["evidence"][1]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_one_device_alone_tests_no_claim_and_says_why(device: str) -> None:
    table = claims(load_published(PUBLISHED).query("device == @device"))
    assert all(holds is None for holds in table["holds"])
    assert table["evidence"].str.contains("measured").all()


def test_large_claim_needs_a_large_model() -> None:
    table = claims(load_published(PUBLISHED).query("width <= 512"))
    assert table["holds"][1] is None
    assert "near 3 million" in table["evidence"][1]


def test_two_machines_at_once_are_refused() -> None:
    trials = load_published(PUBLISHED)
    both = pd.concat([trials, trials.assign(machine="other")])
    with pytest.raises(ValueError, match="one machine"):
        claims(both)
