"""The real notebooks through real papermill on real MNIST, and by hand in other ways."""

import json
import subprocess
import sys

import nbformat
import pandas as pd
import pytest

from conftest import BIN, outside, papermill
from crossover.hardware.card import nvidia_driver_version
from crossover.paths import DATA, FIGURES, NOTEBOOKS, PROJECT, RUNS
from crossover.records.parameters import check_parameters, check_summary
from crossover.records.storage import read_records
from crossover.report.render import render


def test_a_sweep_writes_one_valid_record_a_trial(trained):
    folder, runs = trained
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr + runs[1].stderr
    loaded = read_records(folder / "trials")
    assert loaded.problems == []
    assert len(loaded.records) == 4
    for record in loaded.records:
        assert record.device == "cpu"
        assert record.parameters == 2 * record.width**2 + 797 * record.width + 10
        assert 0.1 < record.test_accuracy < 1
        assert sum(record.phases.epochs) <= record.phases.fit
        assert record.settings.jit_compile is (record.settings.protocol == "tuned")
        assert record.precision == "float32"
        assert record.machine.gpu_model is None


def test_progress_names_trial_epochs_and_time_left(trained):
    _, runs = trained
    said = [line for line in runs[0].stdout.splitlines() if line.startswith("trial ")]
    lines = [line for line in said if ", accuracy " in line]  # A slow machine tells epochs, too.
    assert len(lines) == 2
    assert lines[0].startswith("trial 1/2  width ")
    assert lines[1].endswith("sweep: 0:00 left")
    assert "2 trials to train, about" in runs[0].stdout


def test_records_name_neither_host_nor_path(trained):
    import getpass
    import socket

    folder, _ = trained
    for path in (folder / "trials").glob("*.json"):
        text = path.read_text()
        assert str(PROJECT) not in text
        assert socket.gethostname() not in json.loads(text)["machine"].values()
        assert f'"{getpass.getuser()}"' not in text


def test_a_recorded_sweep_is_not_trained_again(trained, tmp_path):
    folder, _ = trained
    before = {path: path.stat().st_mtime_ns for path in (folder / "trials").glob("*.json")}
    again = papermill(
        "train.ipynb", tmp_path / "again.ipynb", widths="4 8", epochs=2, output=folder / "trials"
    )
    assert again.returncode == 0, again.stderr
    assert "Already recorded: 2 of 2 trials." in again.stdout
    assert {p: p.stat().st_mtime_ns for p in (folder / "trials").glob("*.json")} == before


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"widht": 4}, "unknown parameter 'widht': did you mean 'widths'?"),
        ({"epochs": 0}, "parameter 'epochs' is 0"),
        ({"device": "tpu"}, "parameter 'device' is 'tpu'"),
        ({"device": "gpu"}, "device is 'gpu' but the kernel is crossover-cpu"),
    ],
)
def test_a_wrong_parameter_stops_the_notebook(parameters, sentence, tmp_path):
    run = papermill("train.ipynb", tmp_path / "t.ipynb", output=tmp_path / "trials", **parameters)
    assert run.returncode != 0
    assert sentence in run.stderr
    assert not (tmp_path / "trials").exists()


@pytest.mark.skipif(nvidia_driver_version() is not None, reason="this machine has a GPU")
def test_without_a_gpu_the_gpu_kernel_says_so(tmp_path):
    run = papermill(
        "train.ipynb", tmp_path / "t.ipynb", kernel="crossover-gpu", output=tmp_path / "trials"
    )
    assert run.returncode != 0
    assert "A GPU was asked for but no NVIDIA driver is present" in run.stderr
    assert not (tmp_path / "trials").exists()


@pytest.fixture(scope="module")
def summarised(trained, tmp_path_factory):
    folder, _ = trained
    out = tmp_path_factory.mktemp("summary")
    run = papermill(
        "summary.ipynb",
        out / "summary.ipynb",
        records=folder / "trials",
        epochs=2,
        widths="4 8",
        figure_folder=out,
        table_folder=out,
    )
    assert run.returncode == 0, run.stderr
    render(out / "summary.ipynb", out / "report.html")
    return out


def test_the_summary_finds_the_published_crossover(summarised):
    table = pd.read_csv(summarised / "crossover.csv")
    row = table[(table["status"] == "crossed") & (table["timing"] == "cold")].iloc[0]
    assert (row["bracket_low"], row["bracket_high"]) == (134_794, 335_114)
    assert row["estimate"] == pytest.approx(139_900, rel=0.001)


def test_the_summary_holds_one_row_a_cell(summarised, trained):
    cells = pd.read_csv(summarised / "summary.csv")
    keys = ["machine", "backend", "protocol", "device", "width"]
    assert not cells.duplicated(keys).any()
    # A reference with trials of these settings, as a batch-size map has, stands beside them.
    others = cells["machine"].str.startswith(("Core i5 750 / GTX 660 (2018)", "reference "))
    own = cells[~others]
    records = read_records(trained[0] / "trials").records
    expected = {(r.settings.protocol, r.width): r.phases.fit for r in records}
    found = {(r.protocol, r.width): r.cold_seconds for r in own.itertuples()}
    assert found == pytest.approx(expected)


def test_other_settings_are_not_compared_with_the_published_gpu(summarised):
    table = pd.read_csv(summarised / "crossover.csv")
    assert (table["cpu_machine"] == table["gpu_machine"]).all()


def test_an_empty_study_still_reports(tmp_path):
    run = papermill(
        "summary.ipynb",
        tmp_path / "s.ipynb",
        records=tmp_path / "none",
        figure_folder=tmp_path,
        table_folder=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert "No trial of this machine is recorded yet" in (tmp_path / "s.ipynb").read_text()


@pytest.mark.parametrize("stem", ["train", "ceilings", "explain", "own", "summary"])
def test_the_sources_read_like_a_text(stem):
    notebook = nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.id.replace("-", "").isalpha(), cell.id
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            lines = [line for line in cell.source.splitlines() if line.strip()]
            limit = 20 if "parameters" in cell.metadata.get("tags", []) else 14
            assert len(lines) <= limit, cell.id


def test_ceilings_are_measured_by_the_real_notebook(tmp_path):
    from crossover.records.ceilings import read_ceilings

    run = papermill(
        "ceilings.ipynb", tmp_path / "ceilings.ipynb", widths="4", output=tmp_path / "out"
    )
    assert run.returncode == 0, run.stderr
    (found,), problems = read_ceilings(tmp_path / "out")
    assert problems == []
    assert (found.device, found.batch_bytes) == ("cpu", 401_408)
    assert "ceilings  width     4" in run.stdout


@pytest.mark.long
def test_turns_are_taken_in_the_real_notebook(tmp_path):
    """Batches of 2048, so that an epoch has 27 steps."""
    from crossover.records.rounds import ROUNDS, read_rounds

    given = {"widths": "4", "batch_size": 2048, "output": tmp_path / "out"}
    run = papermill("explain.ipynb", tmp_path / "explain.ipynb", **given)
    assert run.returncode == 0, run.stderr
    (rounds,), problems = read_rounds(tmp_path / "out")
    assert problems == []
    assert (rounds.count, rounds.images, rounds.batches) == (ROUNDS, 54_000, [])
    assert "turns 1/1  width     4  7 rounds recorded" in run.stdout
    executed = (tmp_path / "explain.ipynb").read_text(encoding="utf-8")
    assert "one program an epoch" in executed


FOREIGN = """import sys
sys.modules["pydantic"] = None  # Another environment lacks the project's packages.
from ipykernel import kernelapp
kernelapp.launch_new_instance()
"""
CHOOSE = "JupyterLab: Kernel, Change Kernel; VS Code: Select Kernel, Jupyter Kernel; papermill: -k"


@pytest.mark.parametrize("stem", ["train", "ceilings", "explain", "own", "summary"])
def test_a_foreign_kernel_names_the_one_to_choose(stem, tmp_path, monkeypatch):
    words = [sys.executable, "-c", FOREIGN, "-f", "{connection_file}"]
    spec = {"argv": words, "display_name": "Foreign", "language": "python"}
    (tmp_path / "kernels" / "foreign").mkdir(parents=True)
    (tmp_path / "kernels" / "foreign" / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    run = papermill(f"{stem}.ipynb", tmp_path / "n.ipynb", kernel="foreign")
    assert run.returncode != 0
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("SystemExit: This kernel cannot run the project (")
    assert "choose 'Crossover (CPU)' or 'Crossover (GPU)'" in last
    assert CHOOSE in last


def test_the_environments_own_nameless_kernel_is_no_device(tmp_path):
    """VS Code starts the interpreter that was chosen, without a kernel's variables."""
    run = papermill("train.ipynb", tmp_path / "n.ipynb", kernel="python3", output=tmp_path / "out")
    assert run.returncode != 0
    assert "DeviceError: device is 'auto' but this is not a Crossover kernel" in run.stderr
    assert "VS Code: Select Kernel, Jupyter Kernel; papermill: -k crossover-cpu" in run.stderr


def test_the_folders_are_the_projects_wherever_a_notebook_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = {"train": "trials", "ceilings": "ceilings", "explain": "rounds"}
    for name, kind in ((f"{stem}.ipynb", kind) for stem, kind in kinds.items()):
        given = parameters_of(name)
        assert given["output"] is None
        assert check_parameters(given, {}, kind).folder == RUNS / "main" / kind
    asked = check_summary(parameters_of("summary.ipynb"), {})
    assert (asked.records, asked.ceilings, asked.rounds) == (
        f"{RUNS}/main/trials", f"{RUNS}/main/ceilings", f"{RUNS}/main/rounds",
    )  # fmt: skip
    assert (asked.figure_folder, asked.table_folder) == (str(FIGURES), str(DATA))
    assert check_parameters({"widths": [4], "output": "mine"}, {}).folder.resolve() == (
        tmp_path / "mine"
    )


def parameters_of(name):
    """The literals of a notebook's parameters cell."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    namespace = {}
    exec(cell.source, namespace)
    return {key: value for key, value in namespace.items() if not key.startswith("__")}


COMMANDS = {
    "papermill's help": ["papermill", "--help-notebook"],
    "jupyter execute": ["jupyter", "execute"],
    "jupyter nbconvert": ["jupyter", "nbconvert", "--to=notebook", "--execute", "--output=n.ipynb"],
}


@pytest.mark.long
@pytest.mark.parametrize("how", COMMANDS)
def test_other_ways_to_execute_a_notebook(how, tmp_path):
    notebook = nbformat.read(NOTEBOOKS / "train.ipynb", as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += f'\nwidths, epochs, output = [4], 1, r"{tmp_path / "trials"}"'
    nbformat.write(notebook, tmp_path / "train.ipynb")
    tool, *words = COMMANDS[how]
    environment = outside(CROSSOVER_LOCK=str(tmp_path / "lock"))
    done = subprocess.run(
        [BIN / tool, *words, "train.ipynb"],
        capture_output=True, text=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if how == "papermill's help":
        assert "widths: list (default" in done.stdout
    else:
        assert [r.width for r in read_records(tmp_path / "trials").records] == [4]
