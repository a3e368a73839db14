"""When a report is made anew, and that no clock has a say in it."""

import os
import time

import pytest

from conftest import copy_project, report
from test_goes_on import ONE, page, trials


def outputs(project):
    """What a report leaves behind, by name."""
    names = ("report.html", "summary.csv", "crossover.csv", "chart.csv")
    paths = [path for name in names for path in project.glob(f"**/{name}")]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a report of one trial, which each test leaves with one: the last has two."""
    project = copy_project(tmp_path_factory.mktemp("clock") / "a project")
    assert report(project, *ONE)[0] == 0
    return project


@pytest.mark.long
def test_a_report_is_made_anew_only_where_something_changed(project):
    code = project / "notebooks/crossover/report/sections/answer.py"
    (trial,) = project.glob("data/runs/*/trials/*.json")
    for change in (
        None,
        page(project).unlink,
        trial.touch,
        lambda: code.write_text(code.read_text() + "#\n"),
    ):
        made = page(project).stat().st_mtime_ns
        if change:
            change()
        assert report(project, "partial")[0] == 0
        assert (page(project).stat().st_mtime_ns != made) == bool(change)


@pytest.mark.long
def test_a_report_that_fails_leaves_the_last_one(project):
    before = outputs(project)
    assert len(before) == 4
    template = project / "notebooks/template/index.html.j2"
    sound = template.read_text()
    template.write_text("{% endfor %}")
    code, _, err = report(project, "partial")
    assert code == 1
    assert "crossover: " in err
    assert "without a message" not in err
    assert outputs(project)["report.html"] == before["report.html"]
    template.write_text(sound)
    assert report(project, "partial")[0] == 0


@pytest.mark.long
def test_a_clock_that_was_set_back_deletes_nothing(project):
    """Trials and code from ten minutes ahead, their folders among them."""
    before = outputs(project)
    assert len(before) == 4
    later = time.time() + 600
    for ahead in (project / "data/runs/quick/trials", project / "notebooks"):
        for path in [ahead, *ahead.rglob("*")]:
            if not path.is_symlink():
                os.utime(path, (later, later))
    for words in (("partial",), (*ONE, "REPEATS=2")):
        code, _, err = report(project, *words)
        assert (code, err) == (0, "")
        assert outputs(project).keys() == before.keys()
    assert len(trials(project)) == 2
