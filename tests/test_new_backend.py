"""A backend is added by the README's recipe, an entry and a file, and trains the real notebook."""

import os
import subprocess
import sys

import pytest

from conftest import BIN

ENTRY = """
    "twin": Facts(
        name="Twin",
        package="tensorflow",
        steps_meaning="Twin runs TensorFlow under another name.",
        ceilings_seconds={"cpu": (5.0, 2.0, 3.0), "gpu": (10.0, 22.0, 3.0)},
        rounds_seconds={"cpu": 120.0, "gpu": 120.0},
    ),
}
DEFAULT_BACKEND = """
RUNTIME = '''"""Twin: TensorFlow under another name."""

from crossover.hardware.runtimes import tensorflow


class Runtime(tensorflow.Runtime):
    """Nothing differs."""
'''
READ = """
import sys
from pathlib import Path
from crossover.records.storage import read_records
from crossover.report.sections.backends import NAMES
from crossover.study.configuration import study_from
for record in read_records(Path(sys.argv[1])).records:
    settings = record.settings
    print(NAMES[settings.backend], settings.protocol, record.width, record.test_accuracy > 0.1)
    assert record.software.backend and record.software.pools
print(study_from({"folder": "x", "widths": "4", "backend": "twin"}).protocols)
"""


@pytest.fixture
def with_twin(project):
    """A copy of the project with one backend more; the folder and the environment of processes."""
    package = project / "notebooks" / "crossover"
    facts = package / "records" / "backends.py"
    before, after = facts.read_text().rsplit("}\n# The published study's.\nDEFAULT_BACKEND = ", 1)
    facts.write_text(before + ENTRY.lstrip("\n") + after)
    (package / "hardware" / "runtimes" / "twin.py").write_text(RUNTIME)
    return project, os.environ | {
        "PYTHONPATH": str(project / "notebooks"),
        "CROSSOVER_LOCK": str(project / "timing.lock"),
    }


def test_a_backend_is_an_entry_and_a_file(with_twin, tmp_path):
    project, environment = with_twin
    notebooks, trials = project / "notebooks", tmp_path / "trials"
    for protocol in ("published", "tuned"):
        words = [BIN / "papermill", notebooks / "train.ipynb", tmp_path / f"{protocol}.ipynb"]
        words += ["--kernel", "crossover-cpu", "--cwd", notebooks, "--no-progress-bar"]
        given = {"backend": "twin", "protocol": protocol, "widths": "4", "epochs": 2}
        for name, value in (given | {"output": trials}).items():
            words += ["-p", name, value]
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
    told = subprocess.run(
        [sys.executable, "-c", READ, str(trials)], capture_output=True, text=True, env=environment
    )
    assert told.returncode == 0, told.stderr
    assert sorted(told.stdout.splitlines()) == [
        "Twin published 4 True", "Twin tuned 4 True", "['published', 'tuned']",
    ]  # fmt: skip
