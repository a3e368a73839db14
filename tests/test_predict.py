"""Predictions: exact times come back, noisy ones lie inside their intervals."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from conftest import make_record
from crossover.__main__ import main
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge, with_batch_sizes
from crossover.analysis.predict import fit_predictor, prediction, prediction_table
from crossover.paths import PROJECT, PUBLISHED
from crossover.problem import parameter_count
from crossover.records.published import load_published
from crossover.records.reference import reference_paths
from crossover.records.storage import write_record
from crossover.report import ask
from crossover.report.ask import answer

START = 1.5
WIDTHS = [4, 8, 16, 32, 64, 128, 256, 512, 1024]


def made_trials(overhead, image, rate, batch_sizes=(128,), noise=0.0, seed=0):
    """Trials of a machine whose steps cost exactly what the model says, times noise."""
    chance = np.random.default_rng(seed)
    rows = []
    for size in batch_sizes:
        steps = -(-54_000 // size)
        for width in WIDTHS:
            step = overhead + image * size + 6 * parameter_count(width) * size / rate
            seconds = step * steps * 10 * chance.lognormal(0, noise)
            rows.append((parameter_count(width), size, 10, steps, seconds))
    columns = ["parameters", "batch_size", "epochs", "steps", "steady_seconds"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(cold_seconds=frame["steady_seconds"] + START, start_seconds=START)


def test_an_exact_machine_is_predicted_exactly():
    known = fit_predictor(made_trials(1e-3, 2e-6, 1e11, (32, 128, 512)), "steady")
    expected = 1e-3 + 2e-6 * 64 + 6 * 500_000 * 64 / 1e11
    seconds, low, high = known.step_seconds(500_000, 64)
    assert seconds == pytest.approx(expected, rel=1e-6)
    assert low == pytest.approx(high, rel=1e-3)
    assert known.measured(500_000, 128)
    assert not known.measured(500_000, 64)
    assert not known.measured(10**7, 128)


def test_what_a_training_costs_once_is_no_part_of_its_steps():
    """Trials of two epochs have a larger share of it than those of ten."""
    trials = made_trials(1e-3, 2e-6, 1e11, (128, 2048))
    short = trials["batch_size"] == 2048
    trials.loc[short, "epochs"] = 2
    trials.loc[short, "steady_seconds"] /= 5
    trials["cold_seconds"] = trials["steady_seconds"] + START
    row = prediction(fit_predictor(trials), None, 500_000, 2048)
    step = 1e-3 + 2e-6 * 2048 + 6 * 500_000 * 2048 / 1e11
    assert row["cpu_seconds"] == pytest.approx(27 * step, rel=1e-6)
    assert row["cpu_start"] == pytest.approx(START)
    assert row["timing"] == "steady"


def test_where_one_device_has_cold_times_only_both_are_compared_cold():
    """A training of ten epochs that costs 1.5 s once: 0.15 s of it in each."""
    cpu = fit_predictor(made_trials(1e-3, 0, 1e11))
    gpu = fit_predictor(made_trials(1e-3, 0, 1e11).assign(steady_seconds=np.nan))
    row, alone = prediction(cpu, gpu, 500_000, 128), prediction(cpu, None, 500_000, 128)
    assert (row["timing"], alone["timing"]) == ("cold", "steady")
    assert row["cpu_seconds"] == pytest.approx(alone["cpu_seconds"] + START / 10)
    assert np.isnan(row["cpu_start"])
    assert alone["cpu_start"] == pytest.approx(START)
    assert row["cpu_seconds"] == pytest.approx(row["gpu_seconds"], rel=0.15)


def test_only_cold_times_are_predicted_as_such():
    known = fit_predictor(
        made_trials(1e-3, 0, 1e11).assign(steady_seconds=np.nan, start_seconds=np.nan)
    )
    assert known.timing == "cold"
    assert np.isnan(known.start(500_000))


def test_what_one_size_does_not_tell_of_its_start_its_neighbours_do():
    """As where a warm-up of the same width has paid some of it."""
    trials = made_trials(1e-3, 0, 1e11)
    known = fit_predictor(trials.assign(
        start_seconds=trials["start_seconds"].where(trials["parameters"] != parameter_count(16))
    ))  # fmt: skip
    assert known.start(parameter_count(16)) == pytest.approx(START)


def test_a_batch_size_with_many_widths_is_predicted_from_its_own():
    """What a map's few noisy trials of other batch sizes say makes it no less sure."""
    own = made_trials(1e-3, 0, 1e11, noise=0.02)
    few = made_trials(1e-3, 3e-6, 2e10, (32, 2048), noise=0.5, seed=3)
    few = few[few["parameters"].isin([parameter_count(width) for width in (4, 64, 1024)])]
    mixed = fit_predictor(pd.concat([own, few], ignore_index=True))
    assert mixed.step_seconds(500_000, 128) == fit_predictor(own).step_seconds(500_000, 128)
    assert mixed.batch_sizes == (32, 128, 2048)
    _, low, high = mixed.step_seconds(500_000, 2048)
    assert high > 2 * low


def test_a_rate_that_grows_with_size_is_followed():
    """Small products run at a tenth of the rate of large ones; a straight line misses by 20%."""
    work = np.array([6 * 128 * parameter_count(width) for width in WIDTHS], dtype=float)
    step = 1e-3 + work / (1e11 * work**0.5 / (work**0.5 + 3e4))
    trials = made_trials(1, 0, 1e11).assign(steady_seconds=step * 4220)
    known = fit_predictor(trials)
    for width, seconds in zip(WIDTHS, step, strict=True):
        assert known.step_seconds(parameter_count(width), 128)[0] == pytest.approx(
            seconds, rel=0.01
        )


def left_out(trials):
    """Whether each cell's time lies in the interval that the other widths' trials give."""
    held = []
    steps = trials["epochs"] * trials["steps"]
    for size in trials["parameters"].unique():
        known = fit_predictor(trials[trials["parameters"] != size])
        times = trials[f"{known.timing}_seconds"] / steps
        cells = times[trials["parameters"] == size].groupby(trials["batch_size"]).median()
        for batch_size, seconds in cells.dropna().items():
            _, low, high = known.step_seconds(size, batch_size)
            held.append(low <= seconds <= high)
    return held


def test_intervals_hold_nine_of_ten_times_that_were_left_out_on_the_references():
    """A width at a time, of every reference and the published table; what is called 95%."""
    held = []
    for path in reference_paths():
        merged = merge(path, own_settings("tensorflow", 10, 128, None))
        pool = with_batch_sizes(merged, merged.own)
        for _, trials in pool.groupby(["protocol", "device"]):
            held += left_out(trials)
    published_trials = load_published(PUBLISHED)
    for _, trials in published_trials.groupby("device"):
        held += left_out(trials)
    print(f"{sum(held)} of {len(held)} times")
    assert len(held) >= 50
    assert np.mean(held) >= 0.9


def test_intervals_cover_new_trainings():
    """Of 400 noisy studies, about 95% of a new training's times lie in the interval."""
    inside = 0
    for seed in range(400):
        trials = made_trials(1e-3, 0, 1e11, noise=0.1, seed=seed)
        known = fit_predictor(trials, "steady")
        chance = np.random.default_rng(10_000 + seed)
        truth = (1e-3 + 6 * 300_000 * 128 / 1e11) * chance.lognormal(0, 0.1)
        _, low, high = known.step_seconds(300_000, 128)
        inside += low <= truth <= high
    assert 0.91 <= inside / 400 <= 0.99


def test_the_faster_device_is_named_only_beyond_doubt():
    cpu = fit_predictor(made_trials(1e-4, 0, 1e11, noise=0.05), "steady")
    gpu = fit_predictor(made_trials(1e-3, 0, 1e13, noise=0.05, seed=1), "steady")
    assert prediction(cpu, gpu, 4_000, 128)["verdict"].winner == "CPU"
    assert prediction(cpu, gpu, 3_000_000, 128)["verdict"].winner == "GPU"
    assert prediction(cpu, cpu, 30_000, 128)["verdict"].winner == "either"
    assert prediction(cpu, None, 30_000, 128)["verdict"].winner == "unknown"
    table = prediction_table(cpu, gpu, [4_000, 3_000_000])
    assert [told.winner for told in table["verdict"]] == ["CPU", "GPU"]
    assert prediction_table(cpu, gpu, [4_000], apart=128).empty


def test_two_sizes_are_too_few():
    assert fit_predictor(made_trials(1, 0, 1e9).head(2), "steady") is None


def test_the_answer_names_devices_seconds_and_verdict(tmp_path):
    for width in WIDTHS:
        for device, fit in (("cpu", 10 + width / 10), ("gpu", 30 + width / 1000)):
            write_record(tmp_path, make_record(width=width, device=device, fit=fit))
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path)
    lines = answer(merged, 5_000, 128)
    assert lines[0] == "published protocol, a training of 10 epochs, cold:"
    assert lines[1].startswith("  CPU: Test CPU (2 cores): 10.")
    assert lines[3].startswith("  ● The CPU is about 2.")
    assert "extrapolation" in answer(merged, 10**8, 128)[-1]
    other = answer(merged, 5_000, 512)
    assert other[0] == "published protocol, an epoch of 54,000 images:"
    assert other[3].startswith("  ● The CPU is ")
    assert "extrapolation" in other[-1]


@pytest.mark.parametrize(
    "words", [["PARAMETERS="], ["PARAMETERS=abc"], ["PARAMETERS=5", "BATCH_SIZE=0"]]
)
def test_a_question_without_numbers_gets_one_sentence(words):
    done = subprocess.run(
        [sys.executable, "-m", "crossover", "predict", *words],
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("crossover: ")
    assert done.stderr.count("\n") == 1


def few_widths(folder, widths, fit):
    for width in widths:
        write_record(folder, make_record(width=width, fit=fit(width)))
    return merge(folder, own_settings("tensorflow", 10, 128, None), folder)


def test_too_few_widths_are_named(tmp_path, monkeypatch, capsys):
    few_widths(tmp_path / "main" / "trials", (4, 64), lambda width: 10.0 + width)
    monkeypatch.setattr(ask, "RUNS", tmp_path)
    assert main(["predict", "PARAMETERS=500000"]) == 0  # The published GPU has nine.
    few = "  CPU: Test CPU (2 cores): only 2 widths recorded, and a prediction needs three"
    assert few in capsys.readouterr().out
    (tmp_path / "main" / "settings.json").write_text('{"study": {"epochs": 3}}')
    for path in (tmp_path / "main" / "trials").iterdir():
        path.unlink()
    settings = own_settings("tensorflow", 3, 128, None)[0]
    write_record(tmp_path / "main" / "trials", make_record(width=4, settings=settings))
    assert main(["predict", "PARAMETERS=5000"]) == 2
    sentence = "crossover: too few widths are recorded: a prediction needs three of one protocol"
    assert capsys.readouterr().err.startswith(sentence)


def test_why_there_is_nothing_to_predict_from_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ask, "RUNS", tmp_path)
    assert main(["predict", "PARAMETERS=5000"]) == 2
    sentence = "crossover: no trial of 'make report' is recorded: run that first.\n"
    assert capsys.readouterr().err == sentence
    settings = own_settings("tensorflow", 1, 128, None)[0]
    write_record(tmp_path / "main" / "trials", make_record(width=4, settings=settings))
    assert main(["predict", "PARAMETERS=5000"]) == 2
    assert capsys.readouterr().err.startswith("crossover: 1 trial recorded, none of them with the")


def test_an_interval_that_tells_nothing_is_not_given_in_seconds(tmp_path):
    # Three sizes leave one degree of freedom, and these do not lie on any line of time.
    study = few_widths(tmp_path, (4, 64, 256), {4: 10.0, 64: 30.0, 256: 25.0}.get)
    own = answer(study, 10_000_000, 128)[1]
    assert own.startswith("  CPU: Test CPU (2 cores): ")
    assert own.endswith(" s, give or take more than tenfold: train more widths")
