"""Whatever stops a study, the same command goes on: each way to fail, then it twice."""

import time

import pytest

from conftest import front_door, report
from crossover.records.ceilings import read_ceilings
from crossover.study.failures import DIED
from test_faults import study_processes

SETTINGS = ["EPOCHS=1", "PROTOCOLS=published", "DEVICES=cpu"]
ONE = ["quick", "WIDTHS=4", *SETTINGS]  # A quick look measures no ceilings.
SIX = ["quick", "WIDTHS=4 5 6 7 8 9", *SETTINGS]
WITH_CEILINGS = ["report", *ONE[1:]]
BROKEN = "raise ImportError('broken by the test')\n"


def trials(project):
    return {path.name: path.read_bytes() for path in project.glob("data/runs/*/trials/*.json")}


def page(project):
    (path,) = project.glob("figures/**/report.html")
    return path


def report_line(words):
    return f"Report: figures/{'quick/' if words[0] == 'quick' else ''}report.html\n"


def goes_on(project, words, count):
    """The same command trains what is missing; once more, it has nothing to do."""
    before = trials(project)
    code, out, err = report(project, *words)
    assert (code, err) == (0, ""), out + err
    assert out.endswith(report_line(words))
    assert len(trials(project)) == count
    assert before.items() <= trials(project).items()
    assert "Unfinished study" not in page(project).read_text()
    rendered = page(project).stat().st_mtime_ns
    code, out, err = report(project, *words)
    assert (code, err) == (0, "")
    assert "recorded; nothing to train.\n" in out
    assert out.endswith(report_line(words))
    assert page(project).stat().st_mtime_ns == rendered


@pytest.mark.long
def test_a_framework_that_broke_before_the_first_trial(project, tmp_path, monkeypatch):
    (tmp_path / "broken" / "tensorflow").mkdir(parents=True)
    (tmp_path / "broken" / "tensorflow" / "__init__.py").write_text(BROKEN)
    with monkeypatch.context() as broken:
        broken.setenv("PYTHONPATH", str(tmp_path / "broken"))
        for _ in range(2):
            code, out, err = report(project, *ONE)
            assert code == 1
            assert "Not everything was trained; reporting what is recorded." in out
            said = "crossover: tensorflow cannot be imported (ImportError: broken by the test): run"
            assert said in err
            missing = "crossover: still missing: 1 trial. The same command goes on when the cause"
            assert missing in err
            assert "Unfinished study" in page(project).read_text()
    assert trials(project) == {}
    goes_on(project, ONE, 1)


@pytest.mark.long
def test_a_kernel_killed_after_the_second_of_six_trials(project):
    door = front_door(project, *SIX)
    while len(trials(project)) < 2:
        assert door.poll() is None, door.communicate()
        time.sleep(0.02)
    study_processes(door)["kernel"].kill()
    _, err = door.communicate(timeout=120)
    assert door.returncode == 1
    assert f"crossover: {DIED}\n" in err
    kept = len(trials(project))
    assert 2 <= kept < 6
    assert f"still missing: {6 - kept} trial" in err
    goes_on(project, SIX, 6)


MEASURER = "notebooks/crossover/training/microbenchmark.py"
REPORTERS = ["notebooks/crossover/report/sections/answer.py", "notebooks/template/index.html.j2"]


def fails(project, words, name):
    """The command with a file of the project that is broken: what it printed, and its errors."""
    sound = (project / name).read_text()
    (project / name).write_text(BROKEN if name.endswith(".py") else "{% endfor %}")
    code, out, err = report(project, *words)
    (project / name).write_text(sound)
    assert code == 1, out
    assert "all messages: data/runs/" in err
    assert "Traceback" not in out + err
    assert len(trials(project)) == 1
    return out, err


@pytest.mark.long
def test_a_step_that_fails_in_the_ceilings(project):
    out, err = fails(project, WITH_CEILINGS, MEASURER)
    assert "still missing: the ceilings of 1 device. The same command goes on when the" in err
    assert "Report: " in out
    goes_on(project, WITH_CEILINGS, 1)
    assert len(read_ceilings(project / "data" / "runs" / "main" / "ceilings")[0]) == 1


@pytest.mark.long
def test_a_step_that_fails_in_the_report(project):
    """In the summary while the study is trained, and once more in the page."""
    for name in REPORTERS:
        out, err = fails(project, ONE, name)
        assert "still missing" not in err
        assert "Report: " not in out
    goes_on(project, ONE, 1)
