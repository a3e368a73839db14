"""What a study trains: only what is missing, devices alternating."""

import json
import os
from dataclasses import replace

import pytest
import yaml

from conftest import make_record
from crossover.errors import CrossoverError
from crossover.paths import PROJECT
from crossover.records.ceilings import KINDS, StepProfile, adopt_limits, write_ceilings
from crossover.records.rounds import write_rounds
from crossover.records.settings import Settings, protocol_settings
from crossover.study import last, run
from crossover.study.configuration import configuration, study_from
from crossover.study.failures import failures
from crossover.study.planner import START_SECONDS, lacking, left_text, plan_text
from crossover.study.study import SeedError
from crossover.training.estimate import ceilings_seconds, rounds_seconds
from crossover.training.plan import balanced_order
from crossover.training.progress import Progress, clock_text
from test_ceilings import make_ceilings
from test_rounds import make_rounds


def study(**changes):
    given = {"folder": "x", "widths": "4 8", "devices": "cpu gpu", "protocols": "published"}
    return study_from(given | changes)


def test_devices_alternate_and_swap_each_repeat():
    order = [(sweep.repeat, sweep.device) for sweep in study(repeats=3).sweeps()]
    assert order == [
        (1, "cpu"), (1, "gpu"), (2, "gpu"), (2, "cpu"), (3, "cpu"), (3, "gpu"),
    ]  # fmt: skip


def test_only_trials_without_a_record_are_missing():
    settings = protocol_settings("published")
    done = [
        make_record(width=4, settings=settings),
        make_record(width=8, settings=settings),
        make_record(width=4, settings=settings, device="gpu"),
    ]
    (sweep,) = study().missing(done).values()
    assert (sweep.device, sweep.widths) == ("gpu", [8])


@pytest.mark.parametrize(
    "changes", [{"epochs": 5}, {"batch_size": 64}, {"threads": 1}, {"backend": "jax"}]
)
def test_a_changed_setting_is_another_trial(changes):
    done = [
        make_record(width=width, device=device, settings=protocol_settings("published"))
        for width in (4, 8)
        for device in ("cpu", "gpu")
    ]
    assert study().missing(done) == {}
    assert len(study(**changes).missing(done)) == 2


def test_more_repeats_add_only_the_new_ones():
    done = [make_record(width=width, settings=protocol_settings("published")) for width in (4, 8)]
    missing = study(devices="cpu", repeats=3).missing(done).values()
    assert [sweep.repeat for sweep in missing] == [2, 3]


def test_another_seed_is_refused_where_its_trials_would_replace_others(tmp_path):
    study = study_from({"folder": str(tmp_path), "widths": "4", "devices": "cpu", "seed": 5})
    study.check_seed([make_record(seed=5), make_record(seed=6, repeat=2)])
    study.check_seed([make_record(seed=777, settings=Settings(epochs=3))])
    with pytest.raises(SeedError, match="SEED is 5, but trials of this study began from 777"):
        study.check_seed([make_record(seed=778, repeat=2)])


@pytest.mark.parametrize("count", [1, 2, 3, 6, 9, 10])
def test_each_width_stands_once_at_every_position(count):
    widths = [4 * (number + 1) for number in range(count)]
    square = [balanced_order(widths, 777, repeat) for repeat in range(1, count + 1)]
    for orders in (square, zip(*square, strict=True)):
        assert all(sorted(order) == widths for order in orders)
    assert balanced_order(widths, 777, count + 1) == square[0]


def test_five_repeats_already_move_each_width_through_the_sweep():
    widths = [4, 8, 16, 32, 64, 128, 256, 512, 1024]
    orders = [balanced_order(widths, 777, repeat) for repeat in range(1, 6)]
    for width in widths:
        places = sorted(order.index(width) for order in orders)
        assert places[0] <= 2
        assert places[-1] >= 6
    assert orders[0] != balanced_order(widths, 778, 1)


def plan_in(seconds, wanted, jobs):
    """The plan's text where all of the jobs together take so many seconds."""
    timed = seconds / len(jobs) - START_SECONDS
    return plan_text(wanted, [replace(job, timed_seconds=timed) for job in jobs])


def test_the_plan_is_told_in_numbers_that_agree():
    one = study(widths="4", devices="cpu")
    text = plan_in(83.0, one, lacking(one, []))
    assert text.splitlines()[0] == (
        "Study: 1 of 1 trial to train in 1 sweep, the ceilings of 1 device to measure; "
        "about 1:23 (m:ss)."
    )
    assert plan_text(one, []) == "Study: its only trial is recorded; nothing to train."
    both = study()
    measuring = [job for job in lacking(both, []) if job.name.startswith("ceilings")]
    text = plan_in(60.0, both, measuring)
    assert text == (
        "Study: all 4 trials are recorded, the ceilings of 2 devices to measure; about 1:00 (m:ss)."
    )
    assert plan_in(60.0, both, lacking(both, [], ["trials"])) == (
        "Study: 4 of 4 trials to train in 2 sweeps; about 1:00 (m:ss)."
    )


def test_partial_is_about_the_last_study(tmp_path, monkeypatch):
    monkeypatch.setattr(last, "PROJECT", tmp_path)
    last.keep_settings(configuration("report", ["WIDTHS=4 8", "EPOCHS=3"]))
    quick = configuration("quick", ["WIDTHS=16"])
    last.keep_settings(quick)
    runs = tmp_path / "data" / "runs"
    os.utime(runs / "main" / "settings.json", (2**31, 2**31))  # A clock that was ahead.
    assert last.last_settings(runs) == quick
    last.keep_settings(configuration("report", ["WIDTHS=4 8", "EPOCHS=3"]))
    found = last.last_settings(runs)
    assert (found["study"]["widths"], found["study"]["epochs"]) == ("4 8", 3)
    last.keep_settings(quick)
    (runs / "quick" / "settings.json").write_text('{"study": []}')
    assert last.last_settings(runs)["study"]["epochs"] == 3
    monkeypatch.setattr("crossover.study.configuration.last_settings", lambda: found)
    config = configuration("partial", ["WIDTHS=64"])
    assert (config["study"]["widths"], config["study"]["epochs"]) == ("64", 3)
    assert config["partial"]


def test_an_earlier_versions_limits_are_the_ceilings_of_today(tmp_path):
    config = configuration("report", ["EPOCHS=3"])
    del config["wanted"]
    for earlier, wanted in (
        ({"limits": True}, ["trials", "ceilings"]),
        ({"ceilings": True}, ["trials", "ceilings"]),
        ({"ceilings": False}, ["trials"]),
    ):
        (tmp_path / "settings.json").write_text(json.dumps(config | earlier))
        assert last.read_settings(tmp_path / "settings.json")["wanted"] == wanted
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "one.json").write_text("{}")
    for _ in range(2):
        adopt_limits(tmp_path)
        assert (tmp_path / "ceilings" / "one.json").exists()
    (tmp_path / "limits").mkdir()
    adopt_limits(tmp_path)
    assert (tmp_path / "limits").exists()


def test_settings_that_no_longer_hold_give_way_to_the_defaults(tmp_path):
    config = configuration("report", ["WIDTHS=4"])
    for broken in (config | {"profile": "gone"}, config | {"profile": 5}, {"study": {}}, [1]):
        (tmp_path / "settings.json").write_text(json.dumps(broken))
        (wanted,), found = run.last_study(tmp_path)
        assert (len(wanted.widths), found["profile"]) == (9, "local")
    (tmp_path / "settings.json").write_text(json.dumps(config))
    (wanted,), _ = run.last_study(tmp_path)
    assert wanted.widths == [4]


def test_partial_can_leave_the_cluster(monkeypatch):
    cluster = configuration("report", []) | {"profile": "slurm", "partitions": "a b"}
    monkeypatch.setattr("crossover.study.configuration.last_settings", lambda: cluster)
    config = configuration("partial", ["PROFILE=local"])
    assert (config["profile"], config["partitions"]) == ("local", "")


def test_the_quick_preset_has_a_folder_of_its_own():
    quick, report = configuration("quick", []), configuration("report", [])
    assert quick["study"]["epochs"] == 1
    assert quick["study"]["folder"] != report["study"]["folder"]
    assert quick["figures"] != report["figures"]


def test_a_log_is_told_in_its_errors_sentences(monkeypatch):
    log = "noise\npkg.DeviceError: no GPU.\nTraceback\nDeviceError: no GPU.\nOSError: full\n"
    assert failures(log) == ["no GPU.", "full"]
    skew = (
        "WorkflowError in rule sweep in file Snakefile, line 9:\nOutput a is older than input b.\n"
    )
    assert failures(skew) == ["a step failed: Output a is older than input b."]
    end = "WorkflowError:\nAt least one job did not complete successfully.\n"
    assert failures(end) == []
    assert failures("SystemExit: This kernel cannot.\n") == ["This kernel cannot."]
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    died = "nbclient.exceptions.DeadKernelError: Kernel died\n"
    assert failures(died) == ["a training's process was killed, by someone or for want of memory: "
                              "run it again."]  # fmt: skip
    # XLA ends its process where it meets a flag that it does not know.
    monkeypatch.setenv("XLA_FLAGS", "--xla_bogus=1")
    assert "a flag in XLA_FLAGS that this XLA does not know: unset that" in failures(died)[0]


def test_progress_rescales_its_guess_and_does_not_flood():
    clock, lines = [0.0], []
    progress = Progress([(4, 10.0), (8, 30.0)], 10, lines.append, lambda: clock[0])
    for epoch in range(1, 11):
        clock[0] += 2.0
        progress.epoch(epoch)
    progress.trial(make_record(width=4, fit=20.0))
    # 20 s for what was guessed at 10: the second trial, guessed at 30, will take 60.
    assert progress.left_seconds() == pytest.approx(60.0)
    assert lines[0].startswith("trial 1/2  width     4  epoch 5/10")
    assert lines[-1].endswith("sweep: 1:00 left")
    assert len(lines) == 2


def test_a_sweep_without_a_trial_left_takes_no_time():
    assert Progress([], 10).left_seconds() == 0


def test_clock_text():
    assert [clock_text(s) for s in (0, 59.6, 61, 3661)] == ["0:00", "1:00", "1:01", "1:01:01"]


def test_conda_gets_the_lock_of_make_report():
    environment = yaml.safe_load((PROJECT / "environment.yml").read_text())
    (pip,) = [entry for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == {"pip": ["-r requirements/cpu.txt"]}
    names = {entry.split(">")[0] for entry in environment["dependencies"] if isinstance(entry, str)}
    assert names == {"python", "pip", "make"}


def pins(name):
    lines = (PROJECT / "requirements" / f"{name}.txt").read_text().splitlines()
    return {line.split(" ")[0] for line in lines if line[:1].isalnum()}


def test_every_lock_pins_and_hashes_the_same_packages():
    locks = ("cpu", "test", "cuda", "jax", "jax-cuda", "torch", "compiled")
    assert all("==" in pin for name in locks for pin in pins(name))
    assert pins("cpu") <= pins("test")
    assert pins("cpu") <= pins("cuda")
    assert pins("jax") <= pins("jax-cuda")
    for name in locks:
        text = (PROJECT / "requirements" / f"{name}.txt").read_text()
        assert "://" not in text
        assert text.count("--hash=sha256:") >= len(pins(name))


def test_explain_measures_ceilings_and_trains_in_turns_and_no_trial(tmp_path):
    config = configuration("explain", ["DEVICES=cpu gpu"])
    given = study_from(config["study"] | {"folder": str(tmp_path)})
    jobs = lacking(given, [], config["wanted"])
    assert [(job.notebook, job.device, job.sweep.widths) for job in jobs] == [
        (notebook, device, [4, 128, 1024])
        for notebook in ("ceilings.ipynb", "explain.ipynb") for device in ("cpu", "gpu")
    ]  # fmt: skip
    assert all(set(json.loads(job.parameters)) == {
        "device", "widths", "backend", "batch_size", "threads", "output", "seed"
    } for job in jobs if job.notebook == "explain.ipynb")  # fmt: skip
    write_rounds(given.rounds, make_rounds(width=128))
    left = lacking(given, [], ["rounds"])
    assert [job.sweep.widths for job in left] == [[4, 1024], [4, 128, 1024]]
    assert plan_text(given, left, ["rounds"]).startswith(
        "Study: 5 widths to train in turns; about "
    )
    assert left_text(left) == "the trainings in turns of 5 widths"
    assert plan_text(given, [], ["rounds"]) == (
        "Study: all is measured that explains it; nothing to train."
    )


def test_other_widths_are_explained_where_they_are_asked_for(tmp_path):
    given = study(folder=str(tmp_path), widths="8 128", devices="cpu")
    asked = lacking(given, [], ["rounds"])
    assert [job.sweep.widths for job in asked] == [[8, 128]]
    beside = lacking(given, [], ["trials", "rounds"])
    assert beside[-1].sweep.widths == [128]


def test_trainings_in_turns_take_what_others_took(tmp_path):
    given = study(folder=str(tmp_path), devices="cpu", widths="4 128")
    (sweep,) = given.missing_rounds([4, 128]).values()
    usual, measured = rounds_seconds(sweep, "cpu")
    assert 60 < usual < 600
    assert not measured
    write_rounds(given.rounds, make_rounds(seconds=30.0))
    assert rounds_seconds(sweep, "cpu") == (pytest.approx(60.0), True)
    write_rounds(given.rounds, make_rounds(8, seconds=90.0))
    assert rounds_seconds(sweep, "cpu") == (pytest.approx(120.0), True)


def test_explain_is_about_the_study_that_was_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(last, "PROJECT", tmp_path)
    monkeypatch.setattr("crossover.study.configuration.PROJECT", tmp_path)
    last.keep_settings(configuration("report", ["BATCH_SIZE=64", "THREADS=2", "EPOCHS=3"]))
    asked = study_from(configuration("explain", ["DEVICES=cpu"])["study"])
    assert (asked.batch_size, asked.threads, asked.widths) == (64, 2, [4, 128, 1024])
    own = study_from(configuration("explain", ["DEVICES=cpu", "BATCH_SIZE=32"])["study"])
    assert own.batch_size == 32
    other = study_from(configuration("explain", ["DEVICES=cpu", "BACKEND=jax"])["study"])
    assert (other.batch_size, other.threads) == (128, None)


@pytest.mark.parametrize(
    ("verb", "word"),
    [
        *(
            ("explain", word)
            for word in ("REPEATS=5", "EPOCHS=3", "PROTOCOLS=tuned", "SHARDS=2", "CPU_PRICE=1")
        ),
        *(
            ("map", word)
            for word in ("EPOCHS=5", "PROTOCOLS=tuned", "BATCH_SIZE=64", "GPU_PRICE=1")
        ),
    ],
)
def test_what_would_change_nothing_that_is_shown_is_refused(verb, word):
    with pytest.raises(CrossoverError, match=f"{word.split('=')[0]} is no setting of 'make {verb}"):
        configuration(verb, [word])


def test_the_map_trains_each_batch_size_on_both_devices():
    given = configuration("map", ["DEVICES=cpu gpu"])["study"]
    found = [(s.settings.batch_size, s.device) for s in study_from(given).sweeps()]
    assert found == [(size, device) for size in (32, 128, 512, 2048) for device in ("cpu", "gpu")]


def test_ceilings_are_measured_once_a_device(tmp_path):
    given = study(folder=str(tmp_path))
    assert list(given.missing_ceilings()) == [
        "ceilings-tensorflow-cpu-b128-tall", "ceilings-tensorflow-gpu-b128-tall",
    ]  # fmt: skip
    write_ceilings(given.ceilings, make_ceilings(widths=given.widths))
    assert list(given.missing_ceilings()) == ["ceilings-tensorflow-gpu-b128-tall"]


def test_ceilings_that_were_cut_off_go_on_with_the_widths_that_are_missing(tmp_path):
    given = study(folder=str(tmp_path), devices="cpu", widths="4 8 16 128 1024")
    (whole,) = given.missing_ceilings().values()
    # What is worth most first: the widths of the rounds.
    assert whole.widths == [4, 128, 1024, 8, 16]
    write_ceilings(given.ceilings, make_ceilings(widths=(4, 128)))
    (rest,) = given.missing_ceilings().values()
    assert rest.widths == [1024, 8, 16]
    # What cannot be read is named by the report, and not measured over it.
    (given.ceilings / "tensorflow-cpu-b128-tall.json").write_text("{")
    assert given.missing_ceilings() == {}


def test_profiles_of_few_widths_are_in_the_estimate(tmp_path):
    """Of four more widths, none of which is taken apart, only their own seconds are added."""

    def seconds(widths):
        given = study(folder=str(tmp_path), devices="cpu", widths=widths)
        (sweep,) = given.missing_ceilings().values()
        return ceilings_seconds(sweep, "cpu")

    two, three, six = map(seconds, ("4 128", "4 128 1024", "4 128 8 16 32 64"))
    assert three - two > (six - two) / 4 > 0


def test_ceilings_take_what_they_took_or_what_such_devices_take(tmp_path):
    given = study(folder=str(tmp_path), devices="cpu gpu", backend="jax", widths="4 8 128")
    ceilings = given.missing_ceilings().values()
    seconds = {sweep.device: ceilings_seconds(sweep, sweep.device) for sweep in ceilings}
    # Three widths; a GPU's are mostly compiling.
    assert 10 < seconds["cpu"] < 60 < seconds["gpu"] < 200
    found = make_ceilings(widths=(4,), backend="jax")
    profile = StepProfile(steps=9, seconds=dict.fromkeys(KINDS, 1e-3))
    taken = found.widths[0].model_copy(update={"seconds": 100.0, "profile": profile})
    write_ceilings(given.ceilings, found.model_copy(update={"widths": [taken]}))
    (cpu,) = (s for s in given.missing_ceilings().values() if s.device == "cpu")
    # Of widths 8 and 128 the latter is profiled too, as width 4 was; a profile is most of it.
    assert 100 < ceilings_seconds(cpu, "cpu") < 150
    only = cpu.model_copy(update={"widths": [128]})
    assert ceilings_seconds(only, "cpu") == pytest.approx(100.0)
