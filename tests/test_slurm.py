"""A small study through a real SLURM of one node: a job is killed midway, the study goes on.

The node is this machine; see ``tests/slurm/cluster.sh``. Records must be those of a local run.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from conftest import copy_project, outside, papermill
from crossover.paths import PROJECT
from crossover.records.storage import read_records, record_name

pytestmark = [pytest.mark.slurm, pytest.mark.long]

CLUSTER = PROJECT / "tests" / "slurm" / "cluster.sh"
# The quick verb measures no ceilings, which would be one more job.
STUDY = {"WIDTHS": "4 8 16", "REPEATS": "2", "PROTOCOLS": "published"}
PATIENCE_SECONDS = 240


@pytest.fixture(scope="module")
def slurm():
    """A running SLURM; skipped with the script's reason where there can be none."""
    if " " in f"{PROJECT}{sys.executable}":
        pytest.skip("SLURM's jobs start in no folder with a space")
    started = subprocess.run([CLUSTER, "start"], capture_output=True, text=True)
    if started.returncode == 3:
        pytest.skip(started.stderr.strip())
    assert started.returncode == 0, started.stderr
    yield
    subprocess.run([CLUSTER, "stop"], check=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, whose study is its own."""
    return copy_project(tmp_path_factory.mktemp("slurm") / "project")


def start_study(project, **settings):
    """Start ``make quick`` without make, in the copy and with its code."""
    words = [f"{name}={value}" for name, value in (STUDY | settings).items()]
    paths = os.pathsep.join(
        filter(None, [str(project / "notebooks"), os.environ.get("PYTHONPATH")])
    )
    return subprocess.Popen(
        [sys.executable, "-m", "crossover", "quick", *words],
        cwd=project,
        env=outside(PYTHONPATH=paths, CROSSOVER_LOCK=str(project / "timing.lock")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def wait_for(condition, what):
    """Poll until something is true and return it; fail with its name after a while."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not happen in {PATIENCE_SECONDS} s")


@pytest.fixture(scope="module")
def finished(slurm, project):
    """The study, one job killed after its first trial: the front door's words and its records."""
    trials = project / "data/runs/quick/trials"
    study = start_study(project, PROFILE="slurm", DEVICES="cpu")
    wait_for(lambda: list(trials.glob("*.json")), "a first trial")
    (running,) = ask("squeue", "--me", "--noheader", "--states=RUNNING", "--format=%i")
    details = ask("scontrol", "show", "job", running)
    second = start_study(project, PROFILE="slurm", DEVICES="cpu")
    refused = second.communicate(timeout=60)[0]
    subprocess.run(["scancel", running], check=True)
    before = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    said, _ = study.communicate(timeout=PATIENCE_SECONDS)
    print(said)
    print(subprocess.run(["squeue", "--states=all"], capture_output=True, text=True).stdout)
    assert study.returncode == 0, said
    return trials, before, details, refused


def test_a_job_has_a_node_of_its_own_and_limits(finished):
    _, _, details, _ = finished
    assert "OverSubscribe=NO" in details
    assert "Partition=first" in details
    assert any(word.startswith("TimeLimit=00:3") for word in details), details
    assert any("mem=8000M" in word or word == "MinMemoryNode=8000M" for word in details), details
    (output,) = [word for word in details if word.startswith("StdOut=")]
    assert "/data/runs/quick/logs/slurm/rule_sweep/published-cpu-r" in output


def test_a_second_command_does_not_train_the_same_twice(finished):
    _, _, _, refused = finished
    assert "another study runs in this folder" in refused


def test_a_killed_job_goes_on_where_it_stopped(finished):
    trials, before, _, _ = finished
    assert 1 <= len(before) < 6
    after = {path.name: path.stat().st_mtime_ns for path in trials.glob("*.json")}
    assert before.items() <= after.items()
    jobs = ask("squeue", "--me", "--states=all", "--noheader", "--format=%T")
    assert sorted(jobs) == ["CANCELLED", "COMPLETED", "COMPLETED"]


def test_the_records_are_those_of_a_local_run(finished, tmp_path):
    trials, *_ = finished
    run = papermill(
        "train.ipynb", tmp_path / "local.ipynb",
        widths="4 8 16", epochs=1, output=tmp_path / "trials",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    here, there = read_records(tmp_path / "trials"), read_records(trials)
    assert there.problems == []
    assert sorted(record.repeat for record in there.records) == [1, 1, 1, 2, 2, 2]
    # The first repeat is the one whose job was killed.
    found = {r.width: (r, record_name(r)) for r in there.records if r.repeat == 1}
    assert len(here.records) == len(found) == 3
    for record in here.records:
        same, name = found[record.width]
        assert name == record_name(record)
        assert same.test_accuracy == record.test_accuracy
        assert same.settings == record.settings
        assert same.machine == record.machine


def test_the_report_is_written_by_the_planning_machine(finished):
    project = Path(finished[0]).parents[3]
    assert (project / "figures" / "quick" / "report.html").stat().st_size > 100_000


def test_two_partitions_are_told_apart_in_one_report(slurm, tmp_path):
    project = copy_project(tmp_path / "project")
    given = {"PARTITIONS": "first second", "WIDTHS": "4", "REPEATS": "1", "DEVICES": "cpu"}
    study = start_study(project, PROFILE="slurm", **given)
    said, _ = study.communicate(timeout=PATIENCE_SECONDS)
    assert study.returncode == 0, said
    trials = project / "data/runs/quick/trials"
    (first,), (second,) = (read_records(trials / name).records for name in ("first", "second"))
    assert first.settings == second.settings
    cells = pd.read_csv(trials.parent / "summary.csv")
    names = {name.split(":")[0] for name in cells["machine"]}
    assert names == {"first", "second", "Core i5 750 / GTX 660 (2018)"}
    own = cells[cells["machine"].str.startswith("second:")]
    assert own["cold_seconds"].tolist() == [pytest.approx(second.phases.fit)]


def test_slurm_tells_which_devices_a_partition_has(slurm):
    from crossover.study.slurm import read_partitions

    known = read_partitions()
    assert list(known) == ["first", "second"]
    assert [partition.devices for partition in known.values()] == [["cpu", "gpu"]] * 2
    assert known["first"].cores == os.cpu_count()
    (visible,) = ask("srun", "--gres=gpu:1", "sh", "-c", "echo visible=$CUDA_VISIBLE_DEVICES")
    assert visible == "visible=0"
