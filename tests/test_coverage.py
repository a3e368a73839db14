"""The table of coverage that the report cites, against a second look at its simulation."""

import importlib.util
import math

import pandas as pd
import pytest

from crossover.analysis.order import median_ranks
from crossover.paths import COVERAGE, PROJECT, STATUSES
from crossover.report.sections.method import BEYOND, SMOOTH, coverage_sentence, status_sentence

spec = importlib.util.spec_from_file_location("coverage_of", PROJECT / "benchmarks" / "coverage.py")
coverage = importlib.util.module_from_spec(spec)
spec.loader.exec_module(coverage)

TABLE = pd.read_csv(COVERAGE)


def test_every_kind_of_noise_is_in_the_table():
    assert list(dict.fromkeys(TABLE["noise"])) == list(coverage.NOISES)
    assert len(TABLE) == len(coverage.NOISES) * len(coverage.REPEATS) * 2
    assert TABLE["studies"].eq(coverage.STUDIES).all()


KEPT = TABLE[~TABLE["noise"].isin([coverage.SMOOTH, coverage.SLOWER, coverage.DRIFT])]


def test_the_interval_holds_as_often_as_it_says():
    assert KEPT["coverage"].between(0.925, 0.992).all()
    for row in KEPT.itertuples():
        level = median_ranks(row.repeats).level
        error = math.sqrt(level * (1 - level) / row.studies)
        # 72 rows: one at three standard errors is chance. Of slow trainings one by one it is less.
        less = 0.04 if "one by one" in row.noise else 0
        assert row.coverage >= level - 3.5 * error - less
    smooth = TABLE[TABLE["noise"] == coverage.SMOOTH]
    assert smooth["coverage"].min() >= 0.93


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


def test_the_statuses_are_those_of_the_table():
    table = pd.read_csv(STATUSES)
    assert list(dict.fromkeys(table["noise"])) == list(coverage.ALWAYS)
    row = table[(table["noise"] == "10%") & (table["repeats"] == 1)].iloc[0]
    found = coverage.false_status("10%", 1, studies=200)
    assert found["crossed"] == pytest.approx(row["crossed"], abs=0.12)
    assert table[table["repeats"] >= 5]["crossed"].max() <= 0.02


def test_the_report_cites_the_table():
    text = coverage_sentence()
    low, high = 100 * KEPT["coverage"].min(), 100 * KEPT["coverage"].max()
    assert f"held the truth in {low:.1f} to {high:.1f}% of studies" in text
    assert "5, 6, 10 repeats" in text
    for name in (coverage.SLOWER, coverage.DRIFT):
        rows = TABLE[TABLE["noise"] == name]["coverage"]
        assert f"({100 * rows.min():.1f} to {100 * rows.max():.1f}%)" in text
    assert {SMOOTH, *BEYOND} == {coverage.SMOOTH, coverage.SLOWER, coverage.DRIFT}
    statuses = pd.read_csv(STATUSES).groupby("repeats")["crossed"].max()
    assert f"{statuses[1]:.0%} of simulated studies of a single repeat" in status_sentence()


def test_the_readme_gives_the_table_s_numbers():
    low, high = 100 * KEPT["coverage"].min(), 100 * KEPT["coverage"].max()
    readme = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    assert f"it covers the truth in {low:.1f} to {high:.1f}% of studies" in readme
