"""Backends: the same learning problem on each, side by side in the report, never mixed."""

import importlib.util
import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conftest import make_record, papermill
from crossover.analysis import comparison, summary
from crossover.analysis.batch_map import MAP_EPOCHS
from crossover.analysis.crossing import rounded
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import merge
from crossover.hardware.card import card_names, nvidia_driver_version
from crossover.paths import PROJECT
from crossover.records.parameters import ParameterError, parse_parameters
from crossover.records.record import Conditions, PhaseJoules
from crossover.records.reference import write_reference
from crossover.records.settings import Settings, protocol_settings
from crossover.records.storage import read_records, write_record
from crossover.report.columns import written
from crossover.report.sections import cost, energy, tuned
from crossover.report.sections.backends import columns_of, crossing_lines, measured, side_by_side
from crossover.report.sections.method import problems_sentence
from crossover.study.configuration import study_from


def needs(backend):
    """Skip where a backend is not installed."""
    missing = importlib.util.find_spec(backend) is None
    return pytest.mark.skipif(
        missing, reason=f"{backend} is not installed: make test BACKEND={backend}"
    )


def write_study(folder, backend, seconds, **changes):
    """Trials of two widths on both devices; the GPU takes 10 s whatever the width."""
    for width, cpu in seconds.items():
        for device, fit in (("cpu", cpu), ("gpu", 10.0)):
            settings = protocol_settings("published", backend=backend, **changes)
            write_record(folder, make_record(width, device=device, fit=fit, settings=settings))


@pytest.fixture
def two_backends(tmp_path):
    """TensorFlow crosses between widths 4 and 8, JAX between 8 and 16; one stray trial."""
    write_study(tmp_path, "tensorflow", {4: 5.0, 8: 20.0, 16: 40.0})
    write_study(tmp_path, "jax", {4: 2.0, 8: 5.0, 16: 20.0})
    stray = protocol_settings("published", backend="jax", epochs=7)
    write_record(tmp_path, make_record(4, settings=stray))
    return merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")


def test_each_backend_has_a_name_and_a_curve_of_its_own(two_backends):
    own, jax = two_backends.backends["tensorflow"], two_backends.backends["jax"]
    assert own == two_backends.own != jax
    assert set(two_backends.of(own)["backend"]) == {"tensorflow"}
    assert set(two_backends.of(jax)["backend"]) == {"jax"}
    assert two_backends.left_out == 1
    assert two_backends.pairs == []


def test_each_backend_has_its_own_crossover(two_backends):
    found = comparison.crossovers(two_backends.trials, two_backends.pairs)
    cold = found[(found["status"] == "crossed") & (found["timing"] == "cold")]
    brackets = cold.set_index("cpu_machine")[["bracket_low", "bracket_high"]].to_dict("index")
    assert brackets[two_backends.backends["tensorflow"]] == {
        "bracket_low": 3230, "bracket_high": 6514,
    }  # fmt: skip
    assert brackets[two_backends.backends["jax"]] == {"bracket_low": 6514, "bracket_high": 13274}
    lines = crossing_lines(two_backends, found).splitlines()
    assert [line.split(",")[0] for line in lines] == ["- TensorFlow"] * 2 + ["- JAX"] * 2


def test_the_table_names_the_fastest_of_each_cell(two_backends):
    times = side_by_side(two_backends, summary.summarise(two_backends.trials), "cold")
    table = written(times, columns_of(two_backends))
    cpu = table[table["device"] == "CPU"].set_index("parameters")
    assert cpu.loc["6,514", ["TensorFlow", "JAX", "fastest"]].tolist() == ["20.00", "5.00", "JAX"]
    assert len(table) == 6


def test_one_backend_alone_is_said_to_be(tmp_path):
    write_study(tmp_path, "torch", {4: 5.0})
    merged = merge(tmp_path, own_settings("torch", 10, 128, None), tmp_path / "none")
    told = "Other backends than PyTorch: `make report BACKEND=tensorflow` adds TensorFlow."
    assert measured(merged) == told
    nothing = merge(tmp_path / "nothing", own_settings("torch", 10, 128, None), tmp_path / "none")
    assert measured(nothing) == "Any backend: `make report` trains with TensorFlow."


def test_trials_of_an_earlier_program_of_a_protocol_share_no_curve(tmp_path):
    now = protocol_settings("tuned")
    for repeat, settings in enumerate([now, now.model_copy(update={"revision": 1})], start=1):
        write_record(tmp_path, make_record(repeat=repeat, settings=settings))
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    assert [record.repeat for record in merged.records] == [1]
    assert merged.left_out == 1


def test_a_map_of_another_backend_or_thread_count_is_not_mixed_in(tmp_path):
    alike = {"backend": "jax", "epochs": MAP_EPOCHS, "batch_size": 32}
    for given in (alike, alike | {"backend": "tensorflow"}, alike | {"threads": 1}):
        write_record(tmp_path, make_record(settings=protocol_settings("published", **given)))
    merged = merge(tmp_path, own_settings("jax", 10, 128, None), tmp_path / "none")
    assert [record.settings for record in merged.recorded] == [
        protocol_settings("published", **alike)
    ]
    assert merged.left_out == 0


def test_a_reference_s_backends_are_told_apart(tmp_path):
    records = [
        make_record(device="gpu", settings=protocol_settings("published", backend=backend))
        for backend in ("tensorflow", "jax")
    ]
    write_reference(tmp_path / "box.jsonl", records)
    merged = merge(tmp_path / "none", own_settings("jax", 10, 128, None), tmp_path)
    names = set(merged.trials["machine"])
    assert {"reference box", "reference box, tensorflow"} <= names
    assert set(merged.of("reference box")["backend"]) == {"jax"}


def test_only_a_gpu_of_the_same_backend_is_compared_with(tmp_path):
    (tmp_path / "trials").mkdir()
    settings = protocol_settings("published", backend="jax")
    write_record(tmp_path / "trials", make_record(settings=settings))
    write_reference(tmp_path / "box.jsonl", [make_record(device="gpu")])
    merged = merge(tmp_path / "trials", own_settings("jax", 10, 128, None), tmp_path)
    assert merged.gpu_machine == merged.own


def test_a_study_of_one_epoch_tells_its_gain_by_cold_times(tmp_path, monkeypatch):
    """What `make quick` trains: both protocols, and no later epoch to compare."""
    for protocol in ("published", "tuned"):
        write_record(tmp_path, make_record(settings=protocol_settings(protocol, epochs=1)))
    merged = merge(tmp_path, own_settings("tensorflow", 1, 128, None), tmp_path / "none")
    cells = summary.summarise(merged.of(merged.own))
    results = SimpleNamespace(own_cells=cells, own_trials=merged.trials, figures=tmp_path,
                              merged=merged)  # fmt: skip
    told = []
    monkeypatch.setattr(tuned.text, "show", told.append)
    monkeypatch.setattr(tuned.figure, "show", lambda *args: told.append(args[-1]))
    tuned.show(results)
    assert told == [
        "On the CPU, the tuned protocol is 1 times as fast at width 4 (cold times).",
        "cold",
    ]
    alone = cells[cells["protocol"] == "tuned"]
    assert tuned.tuning_gain(alone, "cold") == "No device was measured in both protocols."


@pytest.mark.parametrize(
    ("backend", "environment", "lock"),
    [
        ("tensorflow", ".venv", "cpu"),
        ("jax", ".venv-jax", "jax"),
        ("torch", ".venv-torch", "torch"),
    ],
)
def test_make_sets_up_an_environment_a_backend(backend, environment, lock, tmp_path):
    """In a copy without environments, with nothing on the path but what make needs."""
    for name in ("Makefile", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(PROJECT / name)
    tools = {tool: shutil.which(tool) for tool in ("make", "sh", "grep", "python3")}
    (tmp_path / "bin").mkdir()
    for name, path in tools.items():
        (tmp_path / "bin" / name).symlink_to(path)
    given = "" if backend == "tensorflow" else f"BACKEND={backend}"
    done = subprocess.run(
        ["make", "--dry-run", "report", *given.split()], cwd=tmp_path, text=True,
        capture_output=True, env={"PATH": str(tmp_path / "bin")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"requirements/environment.py {environment} {backend} {lock}; done" in done.stdout
    # The default is not handed on, so that `make partial` is about the last study's backend.
    assert (f'"BACKEND={backend}"' in done.stdout) == (backend in given)


def test_make_refuses_an_unknown_backend_in_one_sentence():
    done = subprocess.run(
        ["make", "report", "BACKEND=mxnet"], cwd=PROJECT, text=True, capture_output=True
    )
    assert done.returncode != 0
    assert "BACKEND is 'mxnet': choose tensorflow, jax or torch" in done.stderr


def test_torch_has_only_published():
    assert study_from({"folder": "x", "widths": "4", "backend": "torch"}).protocols == ["published"]
    with pytest.raises(ParameterError, match="'tuned': the backend torch has only 'published'"):
        parse_parameters({"widths": [4], "output": "x", "protocol": "tuned", "backend": "torch"})


def test_a_step_is_compiled_where_the_backend_has_no_other():
    jit = {b: protocol_settings("published", backend=b).jit_compile for b in ("jax", "torch")}
    assert jit == {"jax": True, "torch": False}


def energetic(width, device, cpu, card=None):
    phases = {"gpu_joules": PhaseJoules(fit=card)} if card is not None else {}
    known = Conditions(cpu_joules=None if cpu is None else PhaseJoules(fit=cpu), **phases)
    return make_record(width, device=device, conditions=known)


def merged_with(tmp_path, records):
    for record in records:
        write_record(tmp_path, record)
    found = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    return found.of(found.own)


def test_a_gpu_s_joules_include_its_host_s(tmp_path):
    # On the GPU 100 J of the card and 50 J of the CPU at each width.
    cpu = {4: 100.0, 8: 200.0}
    trials = merged_with(
        tmp_path,
        [
            r
            for w, j in cpu.items()
            for r in (energetic(w, "cpu", j), energetic(w, "gpu", 50.0, 100.0))
        ],
    )
    found = comparison.energy_crossover(trials, "published")
    assert (found.status, found.bracket_low, found.bracket_high) == ("crossed", 3230, 6514)
    # log(150/100) / log(200/100) of the way from 3,230 to 6,514, in logarithms.
    share = np.log(1.5) / np.log(2)
    assert found.estimate == pytest.approx(3230 * (6514 / 3230) ** share)
    about = rounded(found.estimate)
    assert cost.energy_lines(trials) == [
        f"- **Energy** of a training, *published*: Below about {about} parameters the CPU needs "
        "less energy, above it the GPU, as single trainings tell."
    ]
    assert energy.why_no_crossover(trials) == ""
    assert written(energy.median_joules(trials), energy.COLUMNS)["together J"].tolist() == [
        "100.0",
        "200.0",
        "150.0",
        "150.0",
    ]


def test_a_fit_shorter_than_its_counter_s_tick_is_unknown(tmp_path):
    trials = merged_with(tmp_path, [energetic(4, "cpu", 0.0), energetic(8, "cpu", 1.0)])
    assert comparison.joules_of(trials)["joules"].isna().tolist() == [True, False]
    assert comparison.energy_crossover(trials, "published").status == "missing device"


def test_energy_that_is_unknown_is_said_to_be(tmp_path):
    half = merged_with(tmp_path / "half", [energetic(4, "gpu", None, 100.0)])
    assert cost.energy_lines(half) == []
    assert energy.why_no_crossover(half) == (
        "The joules of both devices' trainings are needed for an energy crossover. The CPU's "
        "counter (RAPL) could not be read."
    )
    assert written(energy.median_joules(half), energy.COLUMNS)["together J"].tolist() == ["missing"]
    none = merged_with(tmp_path / "none", [make_record()])
    assert energy.median_joules(none).empty
    assert energy.NO_COUNTER.startswith("Energy: neither the CPU's counter")


def run(script, *arguments):
    """Run Python in a process of its own: Keras chooses its backend at import."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True, text=True, cwd=PROJECT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


EPOCH = """
import sys
import numpy as np
from crossover.hardware.environment import prepare_process
prepare_process("jax", "cpu", None)
import keras
from crossover.training import mnist
from crossover.training.model import build_model
from crossover.records.settings import Settings
from crossover.training.tuned import fit_tuned
data = mnist.load_mnist()
settings = Settings(backend="jax", protocol="tuned", epochs=1, validation_split=0.0, dropout=0.0,
                    optimizer="sgd", learning_rate=0.1, batch_size=32, jit_compile=True)
model = build_model(16, settings)
before = model.get_weights()
images = data.x_train[:300].reshape(-1, 784)
fit_tuned(model, images, data.y_train[:300], settings, 7, lambda *_: 0)
before = {f"b{n}": array for n, array in enumerate(before)}
after = {f"a{n}": array for n, array in enumerate(model.get_weights())}
np.savez(sys.argv[1], images=data.x_train[:300], labels=data.y_train[:300], **before, **after)
"""


@needs("jax")
def test_tuned_on_jax_is_gradient_descent(tmp_path):
    """Without dropout and with SGD, an epoch has one right answer; so has its order."""
    from crossover.training import mnist
    from test_training import numpy_epoch

    run(EPOCH, tmp_path / "epoch.npz")
    found = np.load(tmp_path / "epoch.npz")
    order = np.random.default_rng(7).permutation(300)
    images, labels = mnist.scale(found["images"])[order], mnist.one_hot(found["labels"])[order]
    # Kernels as (units, inputs) on JAX, as (inputs, units) in NumPy.
    expected = numpy_epoch([found[f"b{n}"].T for n in range(8)], images, labels, 32, 0.1)
    for n, wanted in enumerate(expected):
        np.testing.assert_allclose(found[f"a{n}"].T, wanted, rtol=1e-3, atol=1e-5)


PARITY = """
import json
from crossover.hardware.environment import prepare_process
prepare_process("jax", "cpu", None)
import keras
from crossover.training import mnist
from crossover.training.model import build_model
from crossover.records.settings import protocol_settings
from crossover.training.published_training import fit_published
from crossover.training.tuned import fit_tuned
data = mnist.load_mnist()
images, labels = data.x_train[:8000].reshape(-1, 784), data.y_train[:8000]
found = {"published": [], "tuned": []}
for seed in range(3):
    for protocol, accuracies in found.items():
        settings = protocol_settings(protocol, backend="jax", epochs=3)
        keras.utils.set_random_seed(seed)
        model = build_model(32, settings)
        if protocol == "tuned":
            fit_tuned(model, images, labels, settings, seed, lambda *_: None)
        else:
            scaled = mnist.scale(images), mnist.one_hot(labels)
            fit_published(model, *scaled, settings, lambda *_: None)
        right = model.predict(mnist.scale(data.x_test), verbose=0).argmax(axis=1) == data.y_test
        accuracies.append(float(right.mean()))
print(json.dumps(found))
"""


@needs("jax")
@pytest.mark.long
def test_tuned_on_jax_learns_what_published_learns():
    """With dropout: Keras's own fit is the oracle, over seeds."""
    published, tuned = map(np.array, json.loads(run(PARITY)).values())
    spread = np.sqrt(published.var(ddof=1) / 3 + tuned.var(ddof=1) / 3)
    assert abs(published.mean() - tuned.mean()) < 4 * spread + 0.005
    assert tuned.min() > 0.8


WAITING = """
import jax, json
from crossover.hardware.runtimes import runtime
work = jax.jit(lambda x: jax.lax.fori_loop(0, 40, lambda _, y: y @ x / 1000, x))
found = [work(jax.numpy.full((800, 800), float(n))) for n in range(4)]
runtime("jax").synchronize()
print(json.dumps([array.is_ready() for array in found]))
"""


@needs("jax")
def test_synchronizing_waits_for_all_that_was_handed_over():
    assert json.loads(run(WAITING)) == [True] * 4


WITHOUT_TENSORFLOW = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("tensorflow", "torch"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from crossover.hardware.device import start_device
from crossover.hardware.environment import prepare_process
prepare_process("jax", "cpu", None)
name = start_device("jax", "cpu")
from crossover.records.parameters import parse_parameters
from crossover.training.sweep import Runner, prepare_data
for protocol in ("published", "tuned"):
    sweep = parse_parameters({"widths": [4], "output": "x", "backend": "jax", "epochs": 3,
                              "batch_size": 4096, "protocol": protocol})
    data = prepare_data(sweep.settings)
    record = Runner(sweep, "cpu", name, data, 0.0).trial(4, 1, lambda *_: None)
    print(record.test_accuracy > 0.1, sorted(record.history), record.software.backend is not None)
"""


@needs("jax")
@pytest.mark.long
def test_jax_needs_no_other_framework():
    history = "['accuracy', 'loss', 'val_accuracy', 'val_loss']"
    assert run(WITHOUT_TENSORFLOW).splitlines() == [f"True {history} True"] * 2


CASES = [
    pytest.param(backend, protocol, device, marks=marks)
    for backend, protocols in (
        ("tensorflow", ("published", "tuned")),
        ("jax", ("published", "tuned")),
        ("torch", ("published",)),
    )
    for protocol in protocols
    for device, marks in (
        ("cpu", [needs(backend)]),
        (
            "gpu",
            [
                needs(backend),
                pytest.mark.gpu,
                pytest.mark.skipif(
                    nvidia_driver_version() is None, reason="no NVIDIA driver on this machine"
                ),
            ],
        ),
    )
    if (backend, device) != ("tensorflow", "cpu")  # trained in test_notebooks
]


@pytest.mark.parametrize(("backend", "protocol", "device"), CASES)
def test_the_notebook_trains_on_it(backend, protocol, device, tmp_path):
    done = papermill(
        "train.ipynb", tmp_path / "t.ipynb", f"crossover-{device}", backend=backend,
        protocol=protocol, widths="4", epochs=2, output=tmp_path / "trials",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = read_records(tmp_path / "trials").records
    assert (record.device, record.settings.backend) == (device, backend)
    assert record.test_accuracy > 0.2
    if device == "cpu":
        assert record.machine.gpu_model is None
    else:
        assert record.software.cuda
        assert record.machine.gpu_model in card_names()
        assert record.machine.gpu_driver == nvidia_driver_version()
        assert record.conditions.gpu_clock_mhz_after > 0


@pytest.mark.long
def test_the_report_shows_backends_side_by_side(trained, tmp_path):
    folder, _ = trained
    for record in read_records(folder / "trials").records:
        settings = protocol_settings(record.settings.protocol, backend="jax", epochs=2)
        write_record(tmp_path / "trials", record)
        write_record(tmp_path / "trials", record.model_copy(update={"settings": settings}))
    done = papermill(
        "summary.ipynb", tmp_path / "s.ipynb", records=tmp_path / "trials", epochs=2,
        widths="4 8", figure_folder=tmp_path, table_folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = pd.read_csv(tmp_path / "summary.csv")
    own = cells[~cells["machine"].str.contains("2018|reference")]
    assert len(own) == 8
    assert "The same trainings with TensorFlow and JAX" in (tmp_path / "s.ipynb").read_text()


def test_references_that_are_not_compared_with_are_named(tmp_path):
    """An empty file, and one of trials with other epochs; the list is never cut in silence."""
    references = tmp_path / "references"
    write_reference(references / "other.jsonl", [make_record(settings=Settings(epochs=3))])
    write_reference(references / "like.jsonl", [make_record(repeat=2)])
    (references / "empty.jsonl").write_text("")
    write_record(tmp_path / "trials", make_record())
    merged = merge(tmp_path / "trials", own_settings("tensorflow", 10, 128, None), references)
    lines = problems_sentence(merged).splitlines()
    assert [line.replace("&#46;", ".") for line in lines] == [
        "- not compared with: empty.jsonl: it holds no trial",
        "- not compared with: other.jsonl: 1 trial with other settings",
    ]


@pytest.mark.parametrize("more", [False, True])
def test_a_reference_that_copies_this_machines_trials_is_no_other_machine(tmp_path, more):
    """After 'make record' each curve would stand there twice; one more trial is another study."""
    own, references = [make_record(), make_record(8)], tmp_path / "references"
    for record in own:
        write_record(tmp_path / "trials", record)
    # Of the same name and time, with other seconds: another machine's.
    kept = [own[0], make_record(8, fit=9.0)] if more else own
    write_reference(references / "box.jsonl", kept)
    merged = merge(tmp_path / "trials", own_settings("tensorflow", 10, 128, None), references)
    assert ("reference box" in set(merged.trials["machine"])) is more
    told = [] if more else ["- not compared with: box.jsonl: a copy of the trials of this study"]
    assert problems_sentence(merged).replace("&#46;", ".").splitlines() == told


@pytest.mark.parametrize("count", [50, 51, 60])
def test_the_list_of_problems_is_never_cut_in_silence(tmp_path, count):
    for number in range(count):
        (tmp_path / f"{number}.json").write_text("{")
    merged = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    lines = problems_sentence(merged).splitlines()
    assert len(lines) == min(count, 51)
    assert (lines[-1] == f"- set aside: and {count - 50} more.") == (count > 50)
