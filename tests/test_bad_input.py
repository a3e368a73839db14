"""Wrong input of every kind ends in one sentence that names it, and nothing is written."""

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import make_record, papermill
from crossover.__main__ import main
from crossover.errors import CrossoverError
from crossover.files import StorageError
from crossover.hardware.device import DeviceError, kernel_device
from crossover.paths import PROJECT, PUBLISHED
from crossover.records import published
from crossover.records.jsontext import NEWER, parse_model
from crossover.records.parameters import (
    PRICES,
    ParameterError,
    check_parameters,
    check_summary,
)
from crossover.records.record import Record
from crossover.report import ask
from crossover.study import configuration
from crossover.study.sites import studies_of
from crossover.training import mnist
from test_parameters import WRONG

SETTINGS = {
    "WIDTHS=4 x": "WIDTHS is 'x': ",
    "WIDTHS=0": "WIDTHS is 0: ",
    "WIDTHS=-4": "WIDTHS is '-4': ",
    "WIDTHS=4.5": "WIDTHS is '4.5': ",
    "WIDTHS=99999": "WIDTHS is 99999: ",
    "WIDTHS= ": "WIDTHS is ' ': ",
    "WIDTHS=" + "9" * 5000: "WIDTHS is '99999999",
    "DEVICES=tpu": "DEVICES is 'tpu': ",
    "DEVICES=cpu gpu tpu": "DEVICES is ",
    "DEVICES=cpu cpu": "DEVICES is ",
    "PROTOCOLS=fast": "PROTOCOLS is 'fast': ",
    "PROTOCOLS=tuned tuned": "PROTOCOLS is ",
    "REPEATS=0": "REPEATS is 0: ",
    "REPEATS=1e3": "REPEATS is '1e3': it must be a whole number.",
    "REPEATS=99999": "REPEATS is 99999: ",
    "EPOCHS=ten": "EPOCHS is 'ten': it must be a whole number.",
    "EPOCHS=0": "EPOCHS is 0: ",
    "EPOCHS=-1": "EPOCHS is '-1': it must be a whole number.",
    "EPOCHS=" + "1" * 5000: "EPOCHS is '1111",
    "BATCH_SIZE=0": "BATCH_SIZE is 0: ",
    "BATCH_SIZE=54001": "'batch_size' is 54001: only 54000 images are trained on",
    "BACKEND=mxnet": "BACKEND is 'mxnet': ",
    "BACKEND=torch; PROTOCOLS=tuned": "'protocol' is 'tuned': the backend torch has only",
    "THREADS=0": "THREADS is 0: ",
    "THREADS=all": "THREADS is 'all': it must be a whole number.",
    "SEED=-1": "SEED is '-1': it must be a whole number.",
    "SEED=4294967296": "'seed' is 4294967296: ",
    "REPEAT=5": "unknown setting 'REPEAT=5': did you mean REPEATS?",
    "EPOCHS": "unknown setting 'EPOCHS': write EPOCHS=value.",
    "BATCH_SIZE=99999": "BATCH_SIZE is 99999: ",
    "WIDHTS=4": "unknown setting 'WIDHTS=4': did you mean WIDTHS?",
    "SHARDS=0": "SHARDS is 0: ",
    "PROFILE=pbs": "PROFILE is 'pbs': known are kubernetes, local, slurm.",
    "PARTITIONS=a": "PARTITIONS are SLURM's: ",
    "PROFILE=kubernetes": "DEVICES is missing: ",
    "CPU_PRICE=0; GPU_PRICE=1": "CPU_PRICE is '0': give what an hour costs, as 0.25",
    "CPU_PRICE=1; GPU_PRICE=free": "GPU_PRICE is 'free': give what an hour costs",
    "CPU_PRICE=1": "costs need both prices: give CPU_PRICE and GPU_PRICE.",
    "widths=4": "unknown setting 'widths=4': did you mean WIDTHS?",
    "\x1b[31m=1": "unknown setting '\\x1b[31m=1': known are",
}


@pytest.fixture
def untouched():
    """Fail the test if the project's own folders of results change."""
    places = [PROJECT / "data", PROJECT / "data" / "runs", PROJECT / "figures", PROJECT]

    def listing():  # Caches of tools and of other tests come and go.
        found = (path for folder in places for path in folder.glob("[!.]*"))
        return {path: path.stat().st_mtime_ns for path in found if path.name != "cache"}

    before = listing()
    yield
    assert listing() == before


@pytest.mark.parametrize("word", SETTINGS, ids=lambda word: ascii(word)[:40])
def test_a_wrong_setting_is_refused(word, capsys, untouched):
    assert main(["report", *word.split("; ")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("crossover: ")
    assert SETTINGS[word] in err
    assert len(err) < 500
    assert err.rstrip("\n").isprintable()


def test_a_wrong_verb_is_refused(capsys):
    assert main(["clean"]) == 2
    assert "unknown verb 'clean': known are report, quick, partial" in capsys.readouterr().err


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(configuration.SETTINGS + configuration.PLACES + PRICES)),
    st.text("-+.,xe 09٣\x00\n", min_size=1, max_size=8),
)
def test_any_setting_is_taken_or_refused_in_a_sentence(name, value):
    sentence = "taken"
    try:
        studies_of(configuration.configuration("report", [f"{name}={value}"]))
    except CrossoverError as error:
        sentence = str(error)
    assert sentence
    assert sentence.isprintable()


CONFIGURATIONS = {
    "missing": None,
    "garbage": b"\x00\xff",
    "broken YAML": b"study: [1, 2",
    "a list": b"- 1",
    "without a study": b"figures: x",
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_broken_configuration_is_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(configuration, "CONFIG", tmp_path / "config.yaml")
    if CONFIGURATIONS[name] is not None:
        (tmp_path / "config.yaml").write_bytes(CONFIGURATIONS[name])
    assert main(["report"]) == 2
    sentence = "crossover: workflow/config.yaml is not readable: restore it from the project.\n"
    assert capsys.readouterr().err == sentence


SUMMARY = {
    "records": "r", "backend": "tensorflow", "protocols": [], "devices": [], "widths": [4],
    "repeats": 1, "epochs": 10, "batch_size": 128, "threads": None, "figure_folder": "f",
    "table_folder": "t", "ceilings": "l", "rounds": "o", "own": "w", "quick": False,
}  # fmt: skip
WRONG_SUMMARY = [
    ("records", ""), ("records", 3), ("backend", "mxnet"), ("protocols", "fast"),
    ("devices", "tpu"), ("widths", "4 x"), ("widths", [0]), ("repeats", 0), ("epochs", "10"),
    ("epochs", 0), ("batch_size", 1.5), ("threads", 0), ("figure_folder", 3), ("table_folder", ""),
    ("quick", "yes"), ("quick", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG_SUMMARY)
def test_a_wrong_parameter_of_the_summary_is_refused(name, value):
    with pytest.raises(ParameterError, match=f"parameter '{name}' is ") as caught:
        check_summary(SUMMARY | {name: value}, {})
    assert str(caught.value).isprintable()


def test_an_unknown_parameter_of_the_summary_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="unknown parameter 'epoch': did you mean 'epochs'"):
        check_summary(SUMMARY | {"epoch": 3}, {})
    done = papermill(
        "summary.ipynb", tmp_path / "s.ipynb", record="x", figure_folder=tmp_path / "f",
        table_folder=tmp_path / "t",
    )  # fmt: skip
    assert done.returncode != 0
    assert "unknown parameter 'record': did you mean 'records'?" in done.stderr
    assert not (tmp_path / "t").exists()


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(["device", "widths", "epochs", "dropout", "learning_rate", "threads", "seed"]),
    st.one_of(st.text(max_size=9), st.floats(), st.integers(), st.none(), st.lists(st.floats())),
)
def test_any_parameter_is_taken_or_refused_in_a_sentence(name, value):
    sentence = f"parameter '{name}' is taken"
    try:
        check_parameters({"widths": [4], "output": "x", name: value}, {})
    except ParameterError as error:
        sentence = str(error)
    assert sentence.startswith(f"parameter '{name}' is ")
    assert sentence.isprintable()


def changed(**paths):
    """A record's JSON with the values at dotted paths replaced (double underscore for a dot)."""
    content = json.loads(make_record().model_dump_json())
    for path, value in paths.items():
        *parents, last = path.split("__")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    return json.dumps(content).encode()


RECORDS = {
    "of a newer version": (changed(schema_version=2), NEWER),
    "of version 0": (changed(schema_version=0), "schema_version"),
    "of a version in words": (changed(schema_version="1"), "schema_version"),
    "other parameters than its width": (changed(parameters=3231), "width 4 has 3230 parameters"),
    "width 0": (changed(width=0), "width"),
    "a huge width": (changed(width=10**30), "width"),
    "a number of 5000 digits": (
        changed(width=4).replace(b'"width": 4', b'"width": ' + b"9" * 5000),
        "number out of range",
    ),
    "a device that is none": (changed(device="tpu"), "device"),
    "repeat 0": (changed(repeat=0), "repeat"),
    "repeat in words": (changed(repeat="1"), "repeat"),
    "a negative seed": (changed(seed=-1), "seed"),
    "position 0": (changed(position=0), "position"),
    "a start that is no time": (changed(started="yesterday"), "started"),
    "a start without a zone": (changed(started="2026-01-01T00:00:00"), "started"),
    "fewer epochs than set": (changed(phases__epochs=[1.0]), "1 epoch times for 10 epochs"),
    "no epochs": (changed(phases__epochs=[]), "phases.epochs"),
    "epochs longer than the fit": (changed(phases__fit=1.0), "longer than the whole fit"),
    "a fit of no time": (changed(phases__fit=0.0), "phases.fit"),
    "a negative fit": (changed(phases__fit=-1.0), "phases.fit"),
    "an infinite fit": (changed(phases__fit=float("inf")), "phases.fit"),
    "a fit that is no number": (changed(phases__fit=float("nan")), "phases.fit"),
    "a fit of a year": (changed(phases__fit=3.2e7), "phases.fit"),
    "an accuracy over 1": (changed(test_accuracy=1.2), "test_accuracy"),
    "a negative accuracy": (changed(test_accuracy=-0.1), "test_accuracy"),
    "an infinite loss": (changed(test_loss=float("inf")), "test_loss"),
    "a history of another length": (changed(history={"loss": [1.0]}), "one value an epoch"),
    "an infinite history": (changed(history={"loss": [float("inf")] * 10}), "history"),
    "a wide history": (changed(history={str(n): [1.0] * 10 for n in range(9)}), "history"),
    "memory that no machine has": (changed(machine__memory_bytes=10**40), "machine.memory_bytes"),
    "negative cores": (changed(machine__visible_cores=-2), "machine.visible_cores"),
    "a processor of 201 letters": (changed(machine__cpu_model="x" * 201), "machine.cpu_model"),
    "an infinite load": (changed(conditions__steal_fraction=float("inf")), "conditions.steal"),
    "a setting that is none": (changed(settings__warp=9), "settings.warp"),
    "batch size 0": (changed(settings__batch_size=0), "settings.batch_size"),
    "dropout 1": (changed(settings__dropout=1.0), "settings.dropout"),
    "learning rate 0": (changed(settings__learning_rate=0.0), "settings.learning_rate"),
    "an optimizer that is none": (changed(settings__optimizer="lion"), "settings.optimizer"),
    "a field too many": (changed(host="x"), "host"),
    "a pickle": (b"\x80\x04\x95\x10\x00\x00\x00", "no JSON text, or only a part"),
    "nested too deeply": (b'{"settings":' * 10_000, "Invalid JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_a_wrong_record_is_named_in_few_words(name):
    text, reason = RECORDS[name]
    found = parse_model(Record, text)
    assert isinstance(found, str)
    assert reason in found
    assert len(found) <= 200
    assert found.isprintable()


def leaves(value, path=()):
    """Every path to a value in a JSON document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


CONTENT = json.loads(make_record().model_dump_json())
STRANGE = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.text(), st.lists(st.none())
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(leaves(CONTENT), key=str)), STRANGE)
def test_any_value_in_any_place_is_taken_or_refused_in_few_words(path, value):
    content = json.loads(json.dumps(CONTENT))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = parse_model(Record, json.dumps(content).encode("utf-8", "surrogatepass"))
    if isinstance(found, str):
        assert found
        assert len(found) <= 200
        assert found.isprintable()
    else:  # What is taken can be written, read again and shown.
        assert parse_model(Record, found.model_dump_json().encode()) == found


TABLES = {
    "missing": None,
    "empty": b"",
    "garbage": bytes(range(256)),
    "truncated": PUBLISHED.read_bytes()[:-1],
    "a digit changed": PUBLISHED.read_bytes().replace(b"12.0523", b"12.0524"),
    "columns swapped": PUBLISHED.read_bytes().replace(b"cpu_seconds", b"cpu_accuracy", 1),
    "a formula": PUBLISHED.read_bytes() + b"=cmd|'/C calc'!A0,1,1,1,1,1\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_an_altered_published_table_is_refused(name, tmp_path):
    if TABLES[name] is not None:
        (tmp_path / "published.csv").write_bytes(TABLES[name])
    with pytest.raises(StorageError, match=r"published.csv is not the published table: restore"):
        published.load_published(tmp_path / "published.csv")


def test_line_ends_of_another_system_are_no_alteration(tmp_path):
    (tmp_path / "published.csv").write_bytes(PUBLISHED.read_bytes().replace(b"\n", b"\r\n"))
    assert len(published.load_published(tmp_path / "published.csv")) == 18


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(f"{name}.npy", content)
    return file.getvalue()


def huge_array():
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**15,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def array(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


GOOD_ARCHIVE = archive(x_train=array(np.zeros((2, 28, 28), np.uint8)))
ARCHIVES = {
    "missing": None,
    "empty": b"",
    "garbage": bytes(range(256)),
    "truncated": GOOD_ARCHIVE[:-40],
    "no array": archive(x_train=b"hello"),
    "a pickled object": archive(x_train=array(np.array([{}], dtype=object))),
    "an array too large for any memory": archive(x_train=huge_array()),
    "other images": GOOD_ARCHIVE,
    "without arrays": archive(),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_another_data_set_is_refused(name, tmp_path):
    if ARCHIVES[name] is not None:
        (tmp_path / "mnist.npz").write_bytes(ARCHIVES[name])
    with pytest.raises(mnist.DataSetError, match=r"restore it with 'git checkout") as caught:
        mnist.load_mnist(tmp_path / "mnist.npz")
    assert str(caught.value).isprintable()


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(GOOD_ARCHIVE) - 1), st.binary(min_size=1, max_size=8))
def test_no_damage_to_an_archive_escapes(tmp_path_factory, place, damage):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(GOOD_ARCHIVE[:place] + damage + GOOD_ARCHIVE[place + len(damage) :])
    with pytest.raises(mnist.DataSetError):
        mnist.load_mnist(path)


COMMANDS = {
    "render without words": (["render"], "write: python -m crossover render NOTEBOOK=file PAGE="),
    "render of nothing": (
        ["render", "NOTEBOOK=no.ipynb", "PAGE=p.html"],
        "no.ipynb is no notebook",
    ),
    "render of garbage": (
        ["render", f"NOTEBOOK={PUBLISHED}", "PAGE=p.html"],
        "published.csv is no notebook",
    ),
    "predict for nothing": (["predict"], "PARAMETERS is '': give a whole number"),
    "predict for words": (["predict", "PARAMETERS=many"], "PARAMETERS is 'many': give a whole"),
    "predict for too many": (["predict", "PARAMETERS=" + "9" * 5000], "PARAMETERS is '99999"),
    "predict for a misspelt name": (
        ["predict", "PARAMETER=5"],
        "unknown setting 'PARAMETER=5': did you mean PARAMETERS?",
    ),
    "record without a name": (["record"], "NAME is ''"),
    "record by a path": (["record", "NAME=../x"], "NAME is '../x'"),
    "record without its setting's name": (["record", "x"], "unknown setting 'x': known are NAME."),
    "offline without a folder": (["offline", "REPEATS=3"], "FOLDER is missing: name one"),
    "offline for words": (["offline", "SECONDS=soon"], "SECONDS is 'soon': it must be a number."),
    "kernels with a setting": (["kernels", "x=1"], "unknown setting 'x=1': this verb has none."),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_command_is_one_sentence(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, sentence = COMMANDS[name]
    assert main(words) != 0
    err = capsys.readouterr().err
    assert err.startswith(f"crossover: {sentence}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


STUDIES = {
    "garbage": b"\xff",
    "a list": b"[1]",
    "no study": b"{}",
    "words": b'{"study": {"epochs": "x"}}',
}


@pytest.mark.parametrize("name", STUDIES)
def test_unreadable_settings_of_the_last_study_are_one_sentence(name, tmp_path):
    (tmp_path / "settings.json").write_bytes(STUDIES[name])
    with pytest.raises(StorageError, match=r"settings.json is not readable: run 'make report'"):
        ask.last_report(tmp_path / "settings.json", None)


KERNELS = {"no kernel of ours": None, "an empty name": "", "another device": "tpu"}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_of_another_project_is_refused(name, monkeypatch):
    monkeypatch.delenv("CROSSOVER_DEVICE", raising=False)
    if KERNELS[name] is not None:
        monkeypatch.setenv("CROSSOVER_DEVICE", KERNELS[name])
    with pytest.raises(DeviceError, match=r"choose the kernel 'Crossover \(CPU\)'"):
        kernel_device("auto")


@pytest.mark.parametrize(("asked", "kernel"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_the_other_kernel_is_refused(asked, kernel, monkeypatch):
    monkeypatch.setenv("CROSSOVER_DEVICE", kernel)
    with pytest.raises(DeviceError, match=f"choose the kernel crossover-{asked}"):
        kernel_device(asked)


PYTHONS = {"3.10": (3, 10, 12), "3.14": (3, 14, 0), "2.7": (2, 7, 18), "missing": None}


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
@pytest.mark.parametrize("version", PYTHONS)
def test_make_refuses_another_python(version, tmp_path):
    for name in ("Makefile", "pyproject.toml", "requirements/environment.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    python = tmp_path / "python"
    if PYTHONS[version] is not None:  # A Python that gives itself out for another version.
        pretend = f"import sys; sys.version_info = {PYTHONS[version]}; exec(sys.argv[1])"
        python.write_text(
            f'#!/bin/sh\nfor code; do :; done\nexec "{sys.executable}" -c "{pretend}" "$code"\n'
        )
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        ["make", "report", "WIDTHS=4 8", f"PYTHON={python}"], cwd=tmp_path,
        capture_output=True, text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )  # fmt: skip
    assert done.returncode != 0
    found = "does not run" if PYTHONS[version] is None else f"is {version}"
    sentence, _ = done.stderr.splitlines()  # The other one is make's own.
    assert f"needs Python 3.11, 3.12 or 3.13; PYTHON={python} {found}. Get one with" in sentence
    assert sentence.endswith('make report WIDTHS="4 8" PYTHON=/path/to/python3.13')
    assert not (tmp_path / ".venv").exists()


def test_the_cases_are_many():
    groups = {
        "settings": SETTINGS, "configurations": CONFIGURATIONS, "parameters": WRONG,
        "parameters of the summary": WRONG_SUMMARY, "records": RECORDS, "tables": TABLES,
        "data sets": ARCHIVES, "commands": COMMANDS, "kernels": KERNELS, "Pythons": PYTHONS,
        "settings of the last study": STUDIES,
    }  # fmt: skip
    counts = {name: len(group) for name, group in groups.items()}
    total = sum(counts.values())
    print(f"{total} wrong inputs: {', '.join(f'{n} {name}' for name, n in counts.items())}")
    assert total >= 60
    told = (PROJECT / "docs" / "faults.md").read_text()
    for sentence in (
        f"| {len(SETTINGS)} wrong settings",
        f"| {len(WRONG)} wrong parameters of `train.ipynb`, {len(WRONG_SUMMARY)} of",
        f"| {len(RECORDS)} wrong or contradictory records",
    ):
        assert sentence in told, sentence
