"""Trainings in turns: what takes part in a round, what is recorded, and what they learn."""

import os
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from conftest import make_record
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.paths import PROJECT
from crossover.records.changes import CHANGES, ONE_PROGRAM, OWN_LAYERS, changes_of, path_of
from crossover.records.jsontext import NEWER
from crossover.records.parameters import parse_parameters
from crossover.records.record import Software
from crossover.records.reference import keep, kept_text
from crossover.records.rounds import (
    Rounds,
    Turns,
    find_rounds,
    own_paths,
    own_rounds,
    read_rounds,
    rounds_name,
    write_rounds,
)
from crossover.records.storage import write_record
from crossover.training import rounds as rounds_module
from crossover.training.rounds import measure_rounds

# Seconds of 422 training steps and of an evaluation, in three rounds; the second is a slow one.
SECONDS = {
    "published": ([0.844, 1.688, 0.844], [0.0844, 0.1688, 0.0844]),
    "an epoch an execution": ([0.422, 0.844, 0.422], [0.0422, 0.0844, 0.0422]),
    ONE_PROGRAM: ([0.0422, 0.0844, 0.0422], [0.00422, 0.00844, 0.00422]),
    "XLA": ([0.633, 1.266, 0.633], [0.0844, 0.1688, 0.0844]),
    "batches of 2048": ([0.2, 0.4, 0.2], [0.02, 0.04, 0.02]),
}


def turns(name, steps=422, **changes):
    seconds, validation = SECONDS[name]
    given = {"name": name, "batch_size": 128, "steps": steps, "seconds": seconds,
             "validation": validation, "accuracy": 0.5}  # fmt: skip
    return Turns(**(given | changes))


def make_rounds(width=4, device="cpu", **changes):
    """Three rounds of 2,000, 1,000 and 100 µs a training step on the path, the second slower."""
    record = make_record(device=device)
    fields = {
        "backend": "tensorflow", "device": device, "device_name": "CPU:0", "batch_size": 128,
        "threads": None, "seed": 777, "width": width, "images": 54_000, "seconds": 100.0,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "path": [turns("published"), turns("an epoch an execution"),
                 turns(ONE_PROGRAM, accuracy=0.6)],
        "changes": [turns("XLA")],
        "batches": [turns("batches of 2048", steps=27, batch_size=2048, accuracy=0.25)],
        "machine": record.machine, "software": record.software,
        "conditions": record.conditions, "code": record.code,
    }  # fmt: skip
    return Rounds(**(fields | changes))


def test_each_backend_goes_as_far_on_the_path_as_it_can():
    assert path_of("tensorflow", "cpu") == [
        "an epoch an execution", "XLA", "data on the device", OWN_LAYERS, ONE_PROGRAM,
    ]  # fmt: skip
    # JAX always compiles, and Keras on torch refuses several steps an execution; TF32 is a GPU's.
    assert path_of("jax", "gpu") == [
        "an epoch an execution", "data on the device", OWN_LAYERS, "TF32", ONE_PROGRAM,
    ]  # fmt: skip
    assert path_of("torch", "gpu") == ["data on the device", "TF32"]
    assert set(changes_of("tensorflow", "gpu")) == set(CHANGES)
    assert set(CHANGES) - set(changes_of("tensorflow", "cpu")) == {"TF32"}
    assert set(changes_of("torch", "cpu")) == {"data on the device", "no metrics"}


def test_a_record_survives_the_disk_and_an_invalid_one_is_named(tmp_path):
    rounds = make_rounds()
    path = write_rounds(tmp_path, rounds)
    assert path.name == "tensorflow-cpu-b128-tall-w4.json"
    assert find_rounds(path) == rounds
    (tmp_path / "torn.json").write_text(path.read_text()[:500])
    newer = path.read_text().replace('"schema_version": 1', '"schema_version": 2')
    (tmp_path / "newer.json").write_text(newer)
    read, problems = read_rounds(tmp_path)
    assert read == [rounds]
    assert [problem.name for problem in problems] == ["newer.json", "torn.json"]
    assert problems[0].reason == NEWER


def test_a_machine_that_is_kept_takes_its_rounds_along(tmp_path):
    write_record(tmp_path / "trials", make_record())
    for width in (4, 128):
        write_rounds(tmp_path / "rounds", make_rounds(width))
    path = keep("box", tmp_path, tmp_path / "references")
    place = os.path.relpath(path.with_suffix(""), PROJECT)
    assert kept_text(path).endswith(f"box.jsonl, trainings in turns at 2 widths in {place}.")
    assert read_rounds(path.with_suffix("") / "rounds")[0] == [make_rounds(128), make_rounds()]


def test_trainings_that_missed_a_round_are_refused():
    short = turns(ONE_PROGRAM).model_copy(update={"seconds": [0.1, 0.1]})
    with pytest.raises(ValueError, match="differ in their number of rounds"):
        make_rounds(path=[turns("published"), short])


def test_rounds_of_another_software_are_no_part_of_the_study(tmp_path):
    write_record(tmp_path, make_record())
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    other = make_rounds(software=Software(backend="1.0"))
    own, others = merged.own_of([make_rounds(), other], "rounds")
    assert own == [make_rounds()]
    assert others[0].name == "rounds of tensorflow on the CPU"
    assert "backend version" in others[0].reason


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two real rounds of three steps at width 4, the first of them not counted."""
    folder = tmp_path_factory.mktemp("rounds")
    sweep = parse_parameters({"device": "cpu", "widths": [4], "output": str(folder)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds_module, "FEWEST_STEPS", 3)
        patch.setattr(rounds_module, "TURN_SECONDS", 0.0)
        (rounds,) = measure_rounds(sweep, "cpu", "CPU:0", count=1)
    write_rounds(folder, rounds)
    return sweep, rounds


def test_all_train_on_the_same_images_in_every_round(trained):
    _, rounds = trained
    assert (rounds.images, rounds.count) == (384, 1)
    assert [one.name for one in rounds.path] == ["published", *path_of("tensorflow", "cpu")]
    # The path's first change stands there and not twice.
    assert [one.name for one in rounds.changes] == [
        "32 steps an execution", "XLA", "data on the device", "no metrics",
    ]  # fmt: skip
    assert [(one.name, one.batch_size, one.steps) for one in rounds.batches] == []
    assert {one.steps for one in [*rounds.path, *rounds.changes]} == {3}


def test_a_batch_that_no_turn_fills_is_not_trained():
    lesson = SimpleNamespace(count=1_344)
    sweep = SimpleNamespace(backend="tensorflow", batch_size=32)
    names = rounds_module._Width(sweep, "cpu", 4, lesson).batch_sizes(lesson)
    assert names == [128, 512]


def test_what_changes_no_arithmetic_learns_the_same(trained):
    """From one seed, in the same order: the same answers to the test images."""
    _, rounds = trained
    plain, whole, *_ = rounds.path
    alike = [one for one in rounds.changes if one.name in ("32 steps an execution", "no metrics")]
    assert {one.accuracy for one in (plain, whole, *alike)} == {plain.accuracy}


def test_a_width_that_is_recorded_is_not_trained_again(trained, capsys, tmp_path):
    sweep, rounds = trained
    assert own_rounds(sweep.model_copy(update={"widths": [4, 8]}), "cpu") == [rounds]
    assert own_rounds(sweep.model_copy(update={"batch_size": 64}), "cpu") == []
    assert list(measure_rounds(sweep, "cpu", "CPU:0")) == []
    assert "Already there: 1 of 1 widths." in capsys.readouterr().out
    assert rounds_name("jax", "gpu", 64, 2, 8) == "jax-gpu-b64-t2-w8.json"
    # What cannot be read is named by the report, and left as it is.
    newer = sweep.model_copy(update={"output": str(tmp_path)})
    (path,) = own_paths(newer, "cpu").values()
    path.write_text("{}")
    assert list(measure_rounds(newer, "cpu", "CPU:0")) == []
    assert path.read_text() == "{}"
