"""The study against the clock: what is worth most first, and nothing finished is lost."""

import re

import psutil
import pytest

from conftest import make_record
from crossover.analysis.ablations import CHANGES, changes_of
from crossover.paths import PROJECT
from crossover.records.limits import write_limits
from crossover.records.storage import read_records, write_record
from crossover.study.jobs import START_SECONDS, expected, jobs
from crossover.study.offline import Clock, main, run_job, run_study
from crossover.study.study import present_devices, study_from
from crossover.training.parameters import protocol_settings
from test_limits import make_limits


def study(folder, **changes):
    given = {"folder": str(folder), "widths": "4", "devices": "cpu", "protocols": "published"}
    return study_from(given | {"epochs": 1} | changes)


def test_the_readmes_command_plans_the_published_widths(tmp_path, capsys):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    options = re.search(r"offline_study.py run WHEELS OUT ([^`]*)`", text)[1].split()
    assert main([str(tmp_path / "study"), "--seconds=1", *options]) == 1
    out = capsys.readouterr().out.splitlines()
    # Three repeats of both protocols, the limits, and the ablations: JAX has XLA always on.
    each = 3 * 2 + 1 + len(changes_of("jax"))
    # TF32 is a GPU's.
    count = each * len(present_devices()) - 1
    assert out[0] == f"Study: {count} notebooks to execute in 0:01"
    assert out[-1].startswith("0 trials recorded, ")
    left_out = (tmp_path / "study" / "left-out.txt").read_text()
    assert "published-cpu-r1-w4_8_16_32_64_128_256_512_1024-" in left_out


def test_the_clock_counts_down_to_zero():
    now = [100.0]
    clock = Clock(30.0, lambda: now[0])
    now[0] = 112.5
    assert clock.left == 17.5
    now[0] = 200.0
    assert clock.left == 0.0


def test_what_is_worth_most_comes_first(tmp_path):
    found = [job.name for job in jobs(study(tmp_path, widths="4 8", repeats=2, devices="cpu gpu"))]
    kinds = [name.split("-w")[0] for name in found]
    assert kinds[:2] == ["published-cpu-r1", "published-gpu-r1"]
    assert [name.startswith("limits-") for name in found[2:4]] == [True, True]
    assert kinds[4:6] == ["published-gpu-r2", "published-cpu-r2"]
    # The ablations, at the one width that both have; their baseline has other epochs.
    assert len(found) == 6 + 2 * len(CHANGES) - 1
    assert all("-w4-" in name for name in found[6:])


def job_of(wanted):
    return next(job for job in jobs(wanted) if job.notebook == "train.ipynb")


def test_a_sweep_is_expected_to_take_what_one_like_it_took(tmp_path):
    job = job_of(study(tmp_path, widths="4 8", epochs=10))
    measured = [make_record(w, fit=fit, settings=job.sweep.settings) for w, fit in ((4, 3), (8, 5))]
    assert expected(job, measured) == pytest.approx(START_SECONDS + 8.0)
    other = make_record(4, settings=protocol_settings("tuned"))
    assert expected(job, [other]) is None


def test_what_would_not_end_in_time_is_not_begun(tmp_path):
    wanted = study(tmp_path, repeats=2, widths="8", epochs=10)
    write_limits(wanted.limits, make_limits(widths=[8]))
    write_record(wanted.trials, make_record(8, fit=500.0, settings=wanted.settings("published")))
    said = []
    left_out = run_study(wanted, Clock(START_SECONDS + 60.0), said.append)
    assert [name.split("-w")[0] for name in left_out] == ["published-cpu-r2"]
    assert said == []


@pytest.fixture
def own_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSOVER_LOCK", str(tmp_path / "lock"))


def test_a_sweep_that_ends_in_time_is_recorded(tmp_path, own_lock):
    assert run_job(tmp_path / "notebooks", job_of(study(tmp_path)), 120.0)
    assert [record.width for record in read_records(tmp_path / "trials").records] == [4]
    (log,) = (tmp_path / "notebooks").glob("published-cpu-r1-w4-*.log")
    assert "trial 1/1  width     4" in log.read_text()


def test_the_deadline_ends_a_sweep_and_its_kernel(tmp_path, own_lock):
    assert not run_job(tmp_path / "notebooks", job_of(study(tmp_path, epochs=1000)), 8.0)
    kernels = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(kernels, timeout=20)
    assert [child.cmdline() for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    assert read_records(tmp_path / "trials").records == []
