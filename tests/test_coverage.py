"""The table of coverage that the report cites, against a second look at its simulation."""

import importlib.util
import math

import pandas as pd
import pytest

from crossover.analysis.order import median_ranks
from crossover.paths import COVERAGE, PROJECT
from crossover.report.narrative import coverage_sentence

spec = importlib.util.spec_from_file_location("coverage_of", PROJECT / "benchmarks" / "coverage.py")
coverage = importlib.util.module_from_spec(spec)
spec.loader.exec_module(coverage)

TABLE = pd.read_csv(COVERAGE)


def test_every_kind_of_noise_is_in_the_table():
    assert list(dict.fromkeys(TABLE["noise"])) == list(coverage.NOISES)
    assert len(TABLE) == len(coverage.NOISES) * len(coverage.REPEATS) * 2
    assert TABLE["studies"].eq(coverage.STUDIES).all()


def test_the_interval_holds_as_often_as_it_says():
    straight = TABLE[TABLE["noise"] != coverage.SMOOTH]
    assert straight["coverage"].between(0.92, 0.99).all()
    for row in straight.itertuples():
        level = median_ranks(row.repeats).level
        error = math.sqrt(level * (1 - level) / row.studies)
        # 66 rows: one at three standard errors is chance.
        assert row.coverage >= level - 3.5 * error
    assert TABLE["with interpolation"].min() >= 0.93


@pytest.mark.parametrize(
    ("noise", "repeats", "paired"),
    [("half twice as slow, width 128", 5, True), ("a factor a repeat, both devices", 6, False),
     ("3 of 10 sweeps twice as slow there", 10, True)],
)  # fmt: skip
def test_the_table_is_what_the_code_does(noise, repeats, paired):
    found = coverage.cell(noise, repeats, paired, studies=200)
    row = TABLE[(TABLE["noise"] == noise) & (TABLE["repeats"] == repeats)
                & (TABLE["paired"] == paired)].iloc[0]  # fmt: skip
    assert found["coverage"] == pytest.approx(row["coverage"], abs=0.06)
    assert found["high / low"] == pytest.approx(row["high / low"], rel=0.25)


def test_a_gpu_that_is_always_faster_is_not_called_crossed():
    for noise in coverage.ALWAYS:
        assert coverage.false_status(noise, 5, studies=100)["crossed"] <= 0.05


def test_the_report_cites_the_table():
    text = coverage_sentence()
    straight = TABLE[TABLE["noise"] != coverage.SMOOTH]["coverage"]
    assert f"{straight.min():.1%} to {straight.max():.1%}" in text
    assert "5, 6, 10 repeats" in text
