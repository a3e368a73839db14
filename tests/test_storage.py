"""Records on disk: atomic, named when invalid, never silently skipped."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import make_record
from crossover.errors import CrossoverError
from crossover.files import StorageError
from crossover.records.frame import MixedTrialsError, check_comparable, to_frame
from crossover.records.jsontext import MAX_RECORD_BYTES, parse_model
from crossover.records.record import Machine, Record
from crossover.records.reference import keep, read_reference, write_reference
from crossover.records.settings import Settings
from crossover.records.storage import (
    read_records,
    set_aside,
    write_record,
)


def test_a_record_comes_back_as_it_was(tmp_path):
    record = make_record()
    path = write_record(tmp_path / "new" / "folder", record)
    assert read_records(path.parent).records == [record]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_steady_seconds_are_the_median_later_epoch():
    record = make_record(fit=11.0)
    assert record.steady_seconds == pytest.approx(10.0)
    assert make_record(settings=Settings(epochs=1)).steady_seconds is None


def test_what_a_training_costs_once_is_its_first_epoch_s_excess():
    """Epochs of 3, 1, 1 and 2 s in a fit of 7.5 s: 2 s more than a later one, 0.5 s outside."""
    phases = make_record().phases.model_copy(update={"epochs": [3.0, 1.0, 1.0, 2.0], "fit": 7.5})
    record = make_record(settings=Settings(epochs=4), history={}, phases=phases)
    assert record.start_seconds == pytest.approx(2.5)
    quick = phases.model_copy(update={"epochs": [1.0, 1.0, 1.0, 2.0], "fit": 5.0})
    assert record.model_copy(update={"phases": quick}).start_seconds == 0
    assert make_record(settings=Settings(epochs=1)).start_seconds is None


BAD = {
    "empty": b"",
    "truncated": make_record().model_dump_json().encode()[:-40],
    "no JSON": b"hello",
    "a list": b"[1, 2]",
    "null": b"null",
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "large": b" " * (MAX_RECORD_BYTES + 1),
    "another schema": json.dumps({"schema_version": 2}).encode(),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_file_is_named_and_set_aside(name, tmp_path):
    write_record(tmp_path, make_record())
    (tmp_path / "bad.json").write_bytes(BAD[name])
    loaded = read_records(tmp_path)
    assert len(loaded.records) == 1
    assert [problem.name for problem in loaded.problems] == ["bad.json"]
    assert loaded.problems[0].reason
    set_aside(tmp_path, loaded.problems)
    assert (tmp_path / "rejected" / "bad.json").read_bytes() == BAD[name]
    assert read_records(tmp_path).problems == []


def test_a_copied_record_counts_once(tmp_path):
    path = write_record(tmp_path, make_record())
    (tmp_path / "copy.json").write_bytes(path.read_bytes())
    loaded = read_records(tmp_path)
    assert len(loaded.records) == 1
    assert "its content belongs to" in loaded.problems[0].reason


FIELDS = list(Record.model_fields)


@pytest.mark.parametrize(
    "field", [f for f in FIELDS if f not in ("schema_version", "precision", "environment")]
)
def test_a_record_without_a_field_is_refused(field):
    content = json.loads(make_record().model_dump_json())
    del content[field]
    assert parse_model(Record, json.dumps(content).encode()) == f"{field}: Field required"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [{"a": 1}, -1, "x" * 300])
def test_a_field_of_another_kind_is_refused(field, value):
    content = json.loads(make_record().model_dump_json())
    content[field] = value
    found = parse_model(Record, json.dumps(content).encode())
    assert isinstance(found, str)
    assert found.startswith(field)


def test_contradictions_are_refused():
    content = json.loads(make_record().model_dump_json())
    assert "has 3230 parameters" in parse_model(
        Record, json.dumps(content | {"parameters": 5}).encode()
    )
    content["phases"]["epochs"] = [1.0]
    assert "1 epoch times for 10 epochs" in parse_model(Record, json.dumps(content).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_are_fatal(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert len(read_records(tmp_path).problems) == 1


def test_a_hostile_text_stays_text(tmp_path):
    hostile = Machine(cpu_model="<script>alert(1)</script>$x^2$")
    write_reference(tmp_path / "r.jsonl", [make_record(machine=hostile)])
    (record,) = read_reference(tmp_path / "r.jsonl").records
    assert record.machine == hostile


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"could not be written .*then run the same command"):
        write_record(tmp_path / "file", make_record())


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import make_record
from crossover.files import StorageError
from crossover.records.storage import write_record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
write_record(Path(sys.argv[1]), make_record(width=8))
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    write_record(Path(sys.argv[1]), make_record())
except StorageError as error:
    print(error)
"""


def test_a_full_disk_loses_nothing(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path, os.path.dirname(__file__)],
        capture_output=True,
        text=True,
    )
    assert "could not be written" in run.stdout, run.stderr
    assert [record.width for record in read_records(tmp_path).records] == [8]
    assert len(list(tmp_path.iterdir())) == 1


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import make_record
from crossover.records.storage import write_record
print("ready", flush=True)
number = int(sys.argv[3])
while True:
    number += 1
    write_record(Path(sys.argv[1]), make_record(repeat=number))
"""


def test_a_killed_writer_leaves_only_valid_records(tmp_path):
    chance = random.Random(1)
    for turn in range(20):
        first = str(400 * turn)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, os.path.dirname(__file__), first],
            stdout=subprocess.PIPE,
        ) as writer:
            writer.stdout.readline()
            time.sleep(chance.random() / 10)
            writer.send_signal(signal.SIGKILL)
        loaded = read_records(tmp_path)
        assert loaded.problems == []
    assert len(loaded.records) > 1


RACER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import make_record
from crossover.files import StorageError
from crossover.records.storage import write_record
for repeat in range(1, 101):
    try:
        write_record(Path(sys.argv[1]), make_record(repeat=repeat, test_loss=float(sys.argv[3])))
    except StorageError as error:
        print(error)
"""


def test_two_runs_that_write_one_folder_never_replace_a_finished_trial(tmp_path):
    """Each trial has one winner, the other run is told, and nothing is torn or left over."""
    words = [sys.executable, "-c", RACER, tmp_path, os.path.dirname(__file__)]
    runs = [subprocess.Popen([*words, loss], stdout=subprocess.PIPE, text=True) for loss in "12"]
    told = [run.communicate()[0].splitlines() for run in runs]
    records = read_records(tmp_path).records
    won = [sum(record.test_loss == loss for record in records) for loss in (1.0, 2.0)]
    assert sum(won) == 100
    assert [len(lines) for lines in told] == won[::-1]
    assert len(list(tmp_path.iterdir())) == 100
    for line in [*told[0], *told[1]]:
        assert "is recorded already, so that another run writes to this folder too" in line


@pytest.mark.parametrize("links", [True, False])
def test_a_finished_trial_stands(tmp_path, monkeypatch, links):
    """On file systems without hard links, too."""
    if not links:
        monkeypatch.setattr(os, "link", no_link)
    path = write_record(tmp_path, make_record(test_loss=1.0))
    before = path.read_bytes()
    with pytest.raises(StorageError, match="its trial is kept and this one dropped"):
        write_record(tmp_path, make_record(test_loss=2.0))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_nlink == 1


def no_link(*_):
    raise PermissionError(1, "Operation not permitted")


def test_a_byte_order_mark_costs_no_trial(tmp_path):
    path = write_record(tmp_path, make_record())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_records(tmp_path).records == [make_record()]
    reference = tmp_path / "r.jsonl"
    write_reference(reference, [make_record(), make_record(8)])
    reference.write_bytes(b"\xef\xbb\xbf" + reference.read_bytes())
    assert len(read_reference(reference).records) == 2


@pytest.mark.parametrize("twice", ['"repeat": 1,', '"cpu_model": "Test CPU",'])
def test_a_key_that_stands_twice_is_refused(twice):
    text = make_record().model_dump_json().replace(":", ": ").replace('": "', '": "')
    key = twice.split('"')[1]
    text = text.replace(f'"{key}": ', f'"{key}": null, "{key}": ', 1)
    assert parse_model(Record, text.encode()) == f"the key '{key}' stands there twice"


def test_the_frame_has_one_row_a_trial():
    frame = to_frame([make_record(width=4), make_record(width=8, test_accuracy=None)], "box")
    assert frame["width"].tolist() == [4, 8]
    assert frame["steps"].tolist() == [422, 422]
    assert frame["evaluated"].tolist() == [6_000, 6_000]
    assert frame["accuracy"].isna().tolist() == [False, True]
    assert to_frame([], "box").empty


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"settings": Settings(epochs=5)}, r"epochs \(10 and 5\)"),
        ({"machine": Machine(cpu_model="Other", visible_cores=2)}, "cpu_model"),
        (
            {"machine": Machine(cpu_model="Test CPU", visible_cores=2, gpu_model="Other")},
            r"gpu_model \(None and 'Other'\)",
        ),
    ],
)
def test_unlike_trials_never_share_a_curve(changes, field):
    with pytest.raises(MixedTrialsError, match=field):
        check_comparable([make_record(device="gpu"), make_record(8, device="gpu", **changes)])


def test_a_study_becomes_a_reference(tmp_path):
    records = [make_record(width=width) for width in (4, 8)]
    for record in records:
        write_record(tmp_path / "trials", record)
    path = keep("my-box", tmp_path, tmp_path)
    assert read_reference(path).records == records
    with pytest.raises(CrossoverError, match="exists: choose another NAME"):
        keep("my-box", tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "A", "x.jsonl", "-a", "a" * 64, "a b"])
def test_a_name_that_is_no_file_name_is_refused(name, tmp_path):
    with pytest.raises(CrossoverError, match="NAME is"):
        keep(name, tmp_path, tmp_path)
