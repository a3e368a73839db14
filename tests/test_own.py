"""Models of the reader's own: what is measured, what is refused, and what is told of them."""

import json
import math
import re
import signal
import statistics
from datetime import UTC, datetime, timedelta

import bs4
import keras
import numpy as np
import pytest

from conftest import make_record, papermill, report, write_crossing_study
from crossover.__main__ import main
from crossover.analysis.own import OwnModel, own_models
from crossover.analysis.own_estimate import Recorded, recorded_gpus
from crossover.analysis.timemodel import fit_curve
from crossover.analysis.verdict import Prediction, verdict
from crossover.files import StorageError
from crossover.paths import PROJECT
from crossover.problem import batch_bytes, parameter_count, product_flops
from crossover.records.ceilings import Peak, StepProfile
from crossover.records.frame import to_frame
from crossover.records.jsontext import NEWER
from crossover.records.own import (
    Batches,
    OwnRun,
    StepCost,
    own_name,
    read_own,
    recorded_repeats,
    write_own,
)
from crossover.records.own_parameters import (
    ModelFileError,
    OwnParameters,
    RepeatOrder,
    file_digest,
)
from crossover.records.parameters import ParameterError
from crossover.records.record import Machine
from crossover.records.storage import read_records
from crossover.report.sections import own_models as section
from crossover.study.mine import parameters_of
from crossover.training import own_run
from crossover.training.own_batches import draw_batches
from crossover.training.own_file import ModelFile, OutOfMemoryError, model_digest
from crossover.training.own_repeats import measure_repeats
from crossover.training.own_run import MOST_STEPS, Repeat, Size
from test_ceilings import make_ceilings

EXAMPLES, FAULTS = PROJECT / "examples", PROJECT / "docs" / "faults.md"
NAMES = ("perceptron", "convolution", "attention", "tabular")
HEAD = "import keras\nimport numpy as np\nfrom keras import layers\n"
SMALL = """
def build():
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("adam", "mse")
    return model
"""
PROFILE = StepProfile(steps=3, seconds={"matrix products": 3e-4, "Python": 1e-4},
                      untraced_seconds=3e-4)  # fmt: skip


def asked_of(path, folder, **more):
    return OwnParameters(model=str(path), output=str(folder), **({"seconds": 0.1} | more))


def repeat_of(path, folder, number=1, left_out=(), decided=False, **more):
    """A repeat in this process, as the one of its own does it."""
    said, asked = [], asked_of(path, folder, **more)
    order = RepeatOrder(asked=asked, device="cpu", number=number, digest=file_digest(asked.file),
                        left_out=dict(left_out), decided=decided)  # fmt: skip
    return Repeat(order, "CPU:0", said.append), said


def write_model(folder, text, name="mine.py"):
    path = folder / name
    path.write_text(HEAD + text)
    return path


def make_run(device="cpu", repeat=1, times=(0.004, 0.002), **changes):
    """A repeat of steps of 2 ms and 1 ms by default, at 128 and 512."""
    record = make_record(device=device)
    batches = [
        Batches(batch_size=size, steps=2, first_seconds=1.5, epochs=[whole, 2 * whole, whole])
        for size, whole in zip((128, 512), times, strict=True)
    ]
    fields = {
        "backend": "tensorflow", "device": device, "device_name": "X", "batch_size": 128,
        "threads": None, "started": datetime(2026, 1, 1, tzinfo=UTC), "model": "mine",
        "file_digest": "a" * 12, "model_digest": "b" * 12, "parameters": 50_000,
        "inputs": "784 float32", "repeat": repeat, "seconds": 20.0, "precision": "float32",
        "policy": "float32",
        "jit_compile": False, "build_seconds": 0.1, "batch_bytes": batch_bytes(128),
        "batches": batches, "machine": record.machine, "software": record.software,
        "conditions": record.conditions, "code": record.code,
        "cost": StepCost(flops=10**9, data_bytes=10**8) if repeat == 1 else None,
        "profile": PROFILE if repeat == 1 else None,
    }  # fmt: skip
    return OwnRun(**(fields | changes))


# The record


def test_a_record_survives_the_disk_and_is_no_trial(tmp_path):
    run, asked = make_run(), asked_of(EXAMPLES / "tabular.py", tmp_path)
    path = tmp_path / own_name(asked, "cpu", 1)
    write_own(path, run)
    assert read_own(tmp_path) == ([run], [])
    with pytest.raises(StorageError, match="recorded already"):
        write_own(path, make_run(repeat=2))
    assert read_own(tmp_path)[0] == [run]
    trials = read_records(tmp_path)
    assert trials.records == []
    assert len(trials.problems) == 1
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    assert [problem.reason for problem in read_own(tmp_path)[1]] == [NEWER]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batches": [Batches(batch_size=64, epochs=[1.0])]}, "not those that were asked for"),
        ({"batches": [Batches(batch_size=128, epochs=[], missing="no")]}, "not those that"),
        ({"file_digest": "../../etc"}, "file_digest"),
        ({"model": "a\x1b[31m"}, "control characters"),
        ({"parameters": 0}, "parameters"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_run(**changes)


def test_times_and_reasons_exclude_each_other():
    for both in ({"epochs": [1.0], "missing": "x"}, {"epochs": []}):
        with pytest.raises(ValueError, match="either times or why"):
            Batches(batch_size=1, **both)


def test_a_step_is_the_median_epoch_over_its_steps():
    assert Batches(batch_size=1, steps=4, epochs=[9.0, 1.0, 2.0]).step_seconds == 0.5


# What is asked for


def test_the_name_is_the_files_and_its_digest_that_of_what_it_holds(tmp_path):
    path = tmp_path / "my möödel; rm -rf.py"
    path.write_text("x")
    asked = asked_of(path, tmp_path, batch_size=64)
    assert asked.name == "my-möödel-rm-rf"
    before = own_name(asked, "gpu", 3)
    assert re.fullmatch(
        r"my-möödel-rm-rf-[0-9a-f]{12}-tensorflow-gpu-b64-tall-s0\.1-r3\.json", before
    )
    path.write_text("y")
    assert own_name(asked, "gpu", 3) != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"MODEL": "no-such.py"}, "'.*no-such.py' is no file: name a Python file"),
        ({"MODEL": "examples"}, "is no file that can be read"),
        ({"MODEL": "README.md"}, r"is no file whose name ends in \.py"),
        ({"BATCH_SIZE": "many"}, "BATCH_SIZE is 'many': give a number"),
        ({"BATCH_SIZE": "0"}, "'batch_size' is 0: "),
        ({"REPEATS": "0"}, "'repeats' is 0: "),
        ({"SECONDS": "1e9"}, "'seconds' is 1000000000.0: "),
        ({"SECONDS": "nan"}, "'seconds' is nan: "),
        ({"BACKEND": "mxnet"}, "'backend' is 'mxnet': "),
    ],
)
def test_a_wrong_setting_is_named(settings, message, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises((ParameterError, ModelFileError), match=message):
        parameters_of({"MODEL": "examples/tabular.py"} | settings)


def test_the_verb_says_what_is_missing_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words, told in (
        ([], "MODEL is missing"),
        (["MODEL=x.py"], "'.*x.py' is no file"),
        (["MODLE=x.py"], "did you mean MODEL"),
        (["MODEL=x.py", "WIDTHS=4"], "unknown setting 'WIDTHS=4'"),
    ):
        assert main(["mine", *words]) == 2
        assert re.search(told, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_program_is_not_read(tmp_path):
    (tmp_path / "large.py").write_bytes(b"#" * 1_000_001)
    with pytest.raises(ModelFileError, match="larger than a program is"):
        file_digest(tmp_path / "large.py")


# Bad models: each in one sentence, and nothing is written

BAD = {
    "no build": ("x = 1", r"^mine\.py defines no function build\(\): "),
    "build is no function": ("build = 3", r"defines no function build\(\)"),
    "nothing": ("def build():\n    pass", r"build\(\) returns nothing, and no Keras model\.$"),
    "no model": ("def build():\n    return [1]", r"returns a list, and no Keras model"),
    "uncompiled": (SMALL.replace('    model.compile("adam", "mse")\n', ""),
                   r"returns a model that is not compiled: call model\.compile\(\)\.$"),
    "no number": (SMALL.replace("layers.Dense(1)", "layers.Dense(1, bias_initializer="
                  "keras.initializers.Constant(float('nan')))"),
                  r"loss is not a finite number from the first steps on"),
    "nothing trained": (SMALL.replace("    return", "    model.trainable = False\n    return"),
                        r"returns a model that trains no parameters\.$"),
    "it raises": ("\n1 / 0\n", r"^mine\.py, line 5 \(1 / 0\), running it: ZeroDivisionError: "),
    "build raises": ("def build():\n    return missing\n",
                     r"^mine\.py, line 5 \(return missing\), build\(\): NameError: name 'missing'"),
    "no Python": ("def build(:\n", r"^mine\.py, line 4 \(def build\(:\), running it: SyntaxError"),
    "it leaves": ("raise SystemExit(0)", r"^mine\.py, line 4 .*, running it: SystemExit: 0"),
    "a layer raises": (SMALL.replace("layers.Dense(1)", "layers.Dense(-1)"),
                       r"^mine\.py, line 6 \(.*Dense\(-1\).*\), build\(\): ValueError: "),
    "batch raises": (SMALL + "def batch(size):\n    return open('/no/such')\n",
                     r"^mine\.py, line 10 .*, batch\(128\): FileNotFoundError"),
    "one array": (SMALL + "def batch(size):\n    return np.ones((size, 4))\n",
                  r"batch\(128\) returns no pair of inputs and targets"),
    "too few rows": (SMALL + "def batch(size):\n    return np.ones((9, 4)), np.ones((9, 1))\n",
                     r"returns an array of shape \(9, 4\), whose rows are not 128"),
    "another class": (SMALL.replace('"mse"', '"sparse_categorical_crossentropy"')
                      .replace("Dense(1)", "Dense(3)") + "def batch(size):\n"
                      "    return np.ones((size, 4)), np.full((size,), 8)\n",
                      "returns the class 8 among its targets, and the model's output 1 tells 3"),
    "no shape at all": (SMALL.replace("layers.Input((4,)), ", ""),
                        r"has inputs of no fixed shape: define batch\(size\)"),
    "words": (SMALL + "def batch(size):\n    return np.full((size, 4), 'a'), np.ones((size, 1))\n",
              r"returns an array of <U1, which no device computes"),
    "other targets": (SMALL + "def batch(size):\n    return np.ones((size, 4)), np.ones((size, 3))",
                      r"targets of shape \(128, 3\), and the model's output 1 with the loss "
                      r"meansquarederror takes \(128, 1\)"),
    "other inputs": (SMALL + "def batch(size):\n    return np.ones((size, 5)), np.ones((size, 1))",
                     r"^mine\.py, training in batches of 128: ValueError: "),
    "shapes that change": (SMALL.replace("(4,)", "(None,)").replace("layers.Dense(1)",
                           "layers.Reshape((-1, 1)), layers.GlobalAveragePooling1D(), "
                           "layers.Dense(1)") + "count = iter(range(3, 99))\n"
                           "def batch(size):\n"
                           "    return np.ones((size, next(count))), np.ones((size, 1))\n",
                           "returns other shapes from one call to the next"),
    "an open shape": (SMALL.replace("(4,)", "(None, 4)"),
                      r"has inputs of no fixed shape: define batch\(size\)"),
    "a model of words": (SMALL.replace("layers.Input((4,))", "layers.Input((4,), dtype='string')")
                         .replace("layers.Dense(1)", "layers.Lambda(lambda x: x)"),
                         r"mine\.py"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_told_in_a_sentence(name, tmp_path):
    text, message = BAD[name]
    path = write_model(tmp_path, text)
    with pytest.raises(ModelFileError, match=message) as told:
        repeat_of(path, tmp_path / "out")[0].record()
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600
    assert [one.name for one in tmp_path.iterdir()] == ["mine.py"]
    assert f"| {len(BAD)} files that build no model" in FAULTS.read_text()


def test_the_process_of_its_own_says_the_same_and_the_notebook_stops_at_it(tmp_path):
    path = write_model(tmp_path, "\n\nraise RuntimeError('no\\nluck')\n")
    run = papermill("own.ipynb", tmp_path / "n.ipynb", model=path, output=tmp_path / "out")
    assert run.returncode != 0
    assert (
        "mine.py, line 6 (raise RuntimeError('no\\nluck')), running it: RuntimeError: no luck"
        in (run.stderr)
    )
    assert not (tmp_path / "out").exists()


# Batches


@pytest.mark.parametrize("name", NAMES)
def test_each_example_is_a_few_lines_and_trains_as_it_says(name, tmp_path):
    """A first repeat of some epochs: its sizes, and all that is recorded of it."""
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) < 40
    repeat, said = repeat_of(path, tmp_path, batch_size=16, seconds=2.0)
    run = repeat.record()
    assert said[:2] == ["building the model", "batches of 16"]
    timed = [one.batch_size for one in run.batches if one.epochs]
    assert timed[:2] == [16, 64]
    assert all(len(one.epochs) >= 3 for one in run.batches if one.epochs)
    assert run.parameters == repeat.model.count_params()
    assert run.profile.step_seconds > 0
    assert run.conditions.foreign_fraction is not None
    assert (run.jit_compile, run.precision, run.policy) == (False, "float32", "float32")


def test_the_perceptron_is_the_studys(tmp_path):
    repeat, _ = repeat_of(EXAMPLES / "perceptron.py", tmp_path)
    assert repeat.model.count_params() == parameter_count(128)
    layers = [type(layer).__name__ for layer in repeat.model.layers]
    assert layers == ["Dense", "Dropout"] * 3 + ["Dense"]
    images, labels = repeat.batches
    assert images.shape == (16 * 128, 784)
    assert 0 <= images.min() < 0.01
    assert 0.99 < images.max() < 1
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    assert MOST_STEPS == 422


def test_what_is_drawn_fits_the_losses(tmp_path):
    """Two outputs with losses of their own, whole numbers below the smallest embedding."""
    path = write_model(
        tmp_path,
        """
def build():
    words = layers.Input((5,), dtype="int32")
    inner = layers.Flatten()(layers.Embedding(7, 2)(words))
    kind, yes = layers.Dense(3, name="kind")(inner), layers.Dense(1, name="yes")(inner)
    outputs = {"kind": kind, "yes": yes}
    model = keras.Model(words, outputs)
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "yes": "binary_crossentropy"})
    return model
""",
    )
    file = ModelFile(path)
    inputs, targets = draw_batches(file, file.model(), 200)
    assert inputs.shape == (3200, 5)
    assert sorted(np.unique(inputs)) == list(range(7))
    assert sorted(np.unique(targets["kind"])) == [0, 1, 2]
    assert sorted(np.unique(targets["yes"])) == [0, 1]
    assert targets["yes"].shape == (3200, 1)


def test_rows_repeat_from_the_first():
    file = ModelFile(EXAMPLES / "tabular.py")
    batch = draw_batches(file, file.model(), 3)
    assert batch.height == 48
    longer = batch.rows(100).inputs["shop"]
    np.testing.assert_array_equal(longer, np.resize(batch.inputs["shop"], 100))
    assert np.shares_memory(batch.rows(10).targets, batch.targets)


def test_a_digest_is_of_layers_weights_and_optimizer():
    file = ModelFile(EXAMPLES / "tabular.py")
    digests = set()
    for change in (None, "optimizer", "layer"):
        keras.utils.clear_session()
        model = file.model()
        if change == "optimizer":
            model.compile("sgd", "mse")
        if change == "layer":
            model.layers[-1].trainable = False
        digests.add(model_digest(model))
    assert len(digests) == 3
    keras.utils.clear_session()
    assert model_digest(file.model()) in digests


# Memory and time


def dying(how):
    """A model that ends its own process, or raises, as soon as a batch has 16 rows."""
    return f"""
import os, signal

class Hungry(layers.Layer):
    def call(self, x):
        if x.shape[0] == 16:
            {how}
        return x

def build():
    model = keras.Sequential([layers.Input((4,)), Hungry(), layers.Dense(1)])
    model.compile("adam", "mse", run_eagerly=True)
    return model
"""


def test_a_larger_batch_that_runs_out_of_memory_is_a_result(tmp_path):
    path = write_model(tmp_path, dying("raise MemoryError('Unable to allocate 9 TiB')"))
    run = repeat_of(path, tmp_path / "out", batch_size=4, seconds=3.0)[0].record()
    first, second, *others = run.batches
    assert first.epochs
    assert second.missing.startswith("out of memory: mine.py, line 10 (raise MemoryError(")
    assert [one.missing for one in others] == [
        "larger than 16, which was left out", "larger than 64, which was left out",
    ]  # fmt: skip
    with pytest.raises(OutOfMemoryError, match=r"cannot be trained in batches of 16: .*; give a "):
        repeat_of(path, tmp_path / "out", batch_size=16)[0].record()


def test_a_size_that_memory_no_longer_holds_leaves_the_turns(tmp_path, monkeypatch):
    """Its epochs are dropped, and the others go on with a model built anew."""
    repeat, _ = repeat_of(EXAMPLES / "tabular.py", tmp_path, decided=True, batch_size=4)
    monkeypatch.setattr(own_run, "CALIBRATIONS", (0.01,))
    sizes, fit, fits = list(repeat._sizes()), repeat._fit, []

    def failing(size):
        fits.append(size.batch_size)
        if size is sizes[1] and fits.count(16) == 2:
            raise OutOfMemoryError("OOM")
        return fit(size)

    monkeypatch.setattr(repeat, "_fit", failing)
    model = repeat.model
    repeat._turns(sizes)
    assert repeat.model is not model
    assert sizes[1].missing == "out of memory: OOM"
    assert sizes[1].epochs == []
    # In its second turn: once itself, then the others twice to compile, and on.
    again = [4, 4, 64, 64, 256, 256]
    assert fits[:14] == [4, 16, 64, 256, 4, 16, *again, 64, 256]
    assert len({len(sizes[number].epochs) for number in (0, 2, 3)}) == 1


def test_jax_goes_on_after_a_lack_of_memory(tmp_path):
    """Keras leaves a model there without its weights when a step raises."""
    pytest.importorskip("jax")
    path = write_model(tmp_path, dying("raise MemoryError").replace(", run_eagerly=True", ""))
    asked = asked_of(path, tmp_path / "out", backend="jax", repeats=1, batch_size=4, seconds=3.0)
    (run,) = measure_repeats(asked, "cpu")
    assert run.jit_compile
    assert len(run.batches[0].epochs) >= 3
    assert run.batches[1].missing.startswith("out of memory: ")
    assert run.cost.flops > 0


def test_a_process_that_the_system_ends_costs_its_batch_size_and_no_more(tmp_path, capsys):
    """Then the next repeat does not try that size again."""
    path = write_model(tmp_path, dying("os.kill(os.getpid(), signal.SIGKILL)"))
    asked = asked_of(path, tmp_path / "out", repeats=2, batch_size=4, seconds=3.0)
    runs = list(measure_repeats(asked, "cpu"))
    out = capsys.readouterr().out
    assert out.count("The process was ended at 'batches of 16': once more.") == 1
    assert out.count("Batches of 16 are more than memory holds") == 1
    for run in runs:
        assert run.batches[0].epochs
        assert run.batches[1].missing == (
            "out of memory: the system ended the process that tried it"
        )
    assert [run.repeat for run in runs] == [1, 2]
    assert [run.cost is None for run in runs] == [False, True]
    assert recorded_repeats(asked, "cpu") == runs
    assert list(measure_repeats(asked, "cpu")) == runs


def test_a_model_larger_than_memory_is_told_before_anything_is_written(tmp_path):
    killed = SMALL.replace("    model =", "    import os\n    os.kill(os.getpid(), 9)\n    model =")
    huge = SMALL.replace("(4,)", "(2**22,)").replace("Dense(1)", "Dense(2**22)")
    for text, message in (
        (
            killed,
            r"was ended twice at 'building the model', as the system ends one that needs more",
        ),
        (huge, r"^mine\.py, line 6 .*, build\(\), needs more memory than there is: "),
    ):
        path = write_model(tmp_path, text)
        with pytest.raises(Exception, match=message):
            list(measure_repeats(asked_of(path, tmp_path / "out"), "cpu"))
        assert not (tmp_path / "out").exists()


def test_another_signal_is_no_lack_of_memory(tmp_path):
    text = SMALL.replace(
        "    model =",
        f"    import os\n    os.kill(os.getpid(), {int(signal.SIGSEGV)})\n    model =",
    )
    path = write_model(tmp_path, text)
    with pytest.raises(ModelFileError, match="ended with code -11 at 'building the model'"):
        list(measure_repeats(asked_of(path, tmp_path / "out"), "cpu"))


def test_the_first_repeat_decides_which_sizes_take_part(tmp_path):
    """And none is too slow for a later one."""
    left_out = {16: "too slow: as the first one says"}
    repeat, _ = repeat_of(EXAMPLES / "tabular.py", tmp_path, 2, left_out, decided=True,
                          batch_size=4, seconds=0.1)  # fmt: skip
    missing = [size.missing for size in repeat._sizes()]
    assert missing == [None, left_out[16], "larger than 16, which was left out",
                       "larger than 64, which was left out"]  # fmt: skip
    repeat, _ = repeat_of(EXAMPLES / "tabular.py", tmp_path, 2, {}, decided=True, batch_size=4,
                          seconds=0.1)  # fmt: skip
    assert [size.missing for size in repeat._sizes()] == [None] * 4


def test_a_file_that_changes_while_it_is_measured_is_no_result(tmp_path):
    path = write_model(tmp_path, SMALL)
    repeat, _ = repeat_of(path, tmp_path / "out")
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ModelFileError, match="has changed while it was measured"):
        repeat.record()


@pytest.mark.parametrize(
    ("sizes", "seconds", "reason"),
    [
        ([(128, 0.5, 0)], 20.0, ""),
        ([(128, 0.6, 0)], 20.0, "too slow: a step would take about 2.4 s; SECONDS=22 tries it"),
        ([(128, 1e-3, 10**9), (512, 1e-3, 2 * 10**9)], 20.0, ""),
        (
            [(128, 1e-3, 10**9), (512, 1e-3, 10 * 10**9)],
            20.0,
            "out of memory: it would take 46.0 GB",
        ),
    ],
)
def test_what_is_not_even_tried(sizes, seconds, reason, monkeypatch, tmp_path):
    """Four times as long a step, and as much more memory a row as the last size took."""
    monkeypatch.setattr("crossover.training.own_run.most_memory", lambda: 40 * 10**9)
    repeat, _ = repeat_of(EXAMPLES / "tabular.py", tmp_path, seconds=seconds)
    earlier = [Size(size, step_seconds=step, peak_bytes=peak) for size, step, peak in sizes]
    told = repeat._unfit(Size(4 * sizes[-1][0]), earlier)
    assert told.startswith(reason)
    assert bool(told) == bool(reason)


def test_a_file_that_builds_another_model_than_before_is_refused(tmp_path, monkeypatch):
    """What it imports has changed, and it has not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "units.txt").write_text("3")
    units = "layers.Dense(int(np.loadtxt('units.txt'))), layers.Dense(1)"
    path = write_model(tmp_path, SMALL.replace("layers.Dense(1)", units))
    keras.utils.clear_session()
    first, _ = repeat_of(path, tmp_path / "out")
    keras.utils.clear_session()
    write_own(tmp_path / "out" / own_name(first.asked, "cpu", 1), first.record())
    repeat_of(path, tmp_path / "out", 2, repeats=2)
    keras.utils.clear_session()
    (tmp_path / "units.txt").write_text("5")
    with pytest.raises(ModelFileError, match="builds another model than the recorded repeats"):
        repeat_of(path, tmp_path / "out", 2, repeats=2)


# What a step computes


def test_tensorflow_counts_the_products_of_a_step(tmp_path):
    repeat, _ = repeat_of(EXAMPLES / "perceptron.py", tmp_path)
    cost = repeat.runtime.step_cost(repeat.model, *repeat.batches.rows(128))
    assert cost.flops == pytest.approx(product_flops(128, 128), rel=0.05)
    # The batch is read by the first product forward and backward, and weights are read and written.
    assert cost.data_bytes > 2 * batch_bytes(128) + 10 * 4 * parameter_count(128)


def test_tensorflow_counts_what_attention_multiplies(tmp_path):
    """Forward: four projections, scores and sums over 64 words, two layers; twice backward."""
    repeat, _ = repeat_of(EXAMPLES / "attention.py", tmp_path, batch_size=8)
    cost = repeat.runtime.step_cost(repeat.model, *repeat.batches.rows(8))
    words = 8 * 64
    forward = 4 * 2 * words * 64 * 64 + 2 * 2 * words * 64 * 64 + 2 * 2 * words * 64 * 256
    assert 3 * forward < cost.flops < 1.2 * 3 * forward


def test_a_loop_is_not_counted_by_tensorflow_and_said_so(tmp_path):
    path = write_model(
        tmp_path,
        SMALL.replace("(4,)", "(6, 4)").replace(
            "layers.Dense(1)", "layers.LSTM(3), layers.Dense(1)"
        ),
    )
    run = repeat_of(path, tmp_path / "out")[0].record()
    assert run.cost is None
    assert "counts no loops" in run.uncounted


def test_jax_counts_each_round_of_a_scan():
    jax = pytest.importorskip("jax")
    from crossover.hardware.runtimes.jax import Runtime

    runtime, square = Runtime(jax), np.ones((64, 64), np.float32)

    def rounds(x):
        def nested(carry, _):
            return jax.lax.scan(lambda c, _: (c @ x, None), carry, None, length=3)

        return jax.lax.scan(nested, x, None, length=5)[0] @ x

    flops, moved = runtime._cost_of(jax.make_jaxpr(rounds)(square))
    assert flops == pytest.approx(16 * 2 * 64**3, rel=0.01)
    assert moved >= 16 * 3 * square.nbytes


# Side by side


def repeats(device, *milliseconds, **changes):
    """Repeats whose steps at 128 take so many milliseconds, and at 512 twice as long."""
    return [
        make_run(device, number, times=(2e-3 * step, 4e-3 * step), **changes)
        for number, step in enumerate(milliseconds, 1)
    ]


def test_a_table_of_medians_and_their_limits():
    model = OwnModel((*repeats("cpu", 5, 1, 3, 2, 4), *repeats("gpu", 3, 1)))
    table = model.table().set_index(["device", "batch_size"])
    cpu, gpu = table.loc["cpu", 128], table.loc["gpu", 512]
    assert (cpu["step_ms"], cpu["step_ms_low"], cpu["step_ms_high"]) == pytest.approx((3, 1, 5))
    assert cpu["interval"] == "93.8% interval"
    assert (gpu["step_ms"], gpu["step_ms_low"], gpu["step_ms_high"]) == pytest.approx((4, 2, 6))
    assert gpu["interval"] == "range"
    assert cpu["rows_per_second"] == pytest.approx(128 / 3e-3)
    assert model.step("gpu", 2048).source == "unknown"
    assert np.isnan(OwnModel(tuple(repeats("cpu", 3))).table().iloc[0]["step_ms_low"])


@pytest.mark.parametrize(
    ("cpu", "gpu", "winner"),
    [
        ([3, 3.1, 3.2, 3.3, 3.4], [1, 1.1, 1.2, 1.3, 1.4], "GPU"),
        ([1, 1.1, 1.2, 1.3, 3], [2, 2.1, 2.2, 2.3, 2.4], "either"),
        ([1], [2], "CPU"),
    ],
)
def test_the_verdict_is_the_reports_own(cpu, gpu, winner):
    model = OwnModel((*repeats("cpu", *cpu), *repeats("gpu", *gpu)))
    told = model.verdict()
    assert told.winner == winner
    assert told.about is (len(cpu) < 5)
    times = [Prediction(statistics.median(one) / 1e3, min(one) / 1e3, max(one) / 1e3, "measured",
                        len(one) >= 5) for one in (cpu, gpu)]  # fmt: skip
    assert told.winner == verdict(*times).winner
    assert told.factor == pytest.approx(verdict(*times).factor)


def test_what_differs_is_never_mixed_and_the_last_comes_first():
    day = datetime(2026, 1, 2, tzinfo=UTC)
    runs = [
        *repeats("cpu", 3, 3), *repeats("gpu", 2),
        *repeats("cpu", 9, file_digest="c" * 12, started=day),
        *repeats("cpu", 5, jit_compile=True, backend="jax", started=day - timedelta(days=9)),
        *repeats("cpu", 5, seconds=1.0, started=day - timedelta(days=8)),
        *repeats("cpu", 5, model="other", started=day - timedelta(days=7)),
    ]  # fmt: skip
    told = [
        (m.first.model, m.first.backend, m.first.seconds, len(m.runs), m.devices)
        for m in own_models(runs)
    ]
    assert told == [
        ("mine", "tensorflow", 20.0, 1, ["cpu"]), ("mine", "tensorflow", 20.0, 3, ["cpu", "gpu"]),
        ("other", "tensorflow", 20.0, 1, ["cpu"]), ("mine", "tensorflow", 1.0, 1, ["cpu"]),
        ("mine", "jax", 20.0, 1, ["cpu"]),
    ]  # fmt: skip
    names = section.labels(own_models(runs))
    assert names[0] == "mine (TensorFlow, 128, 20 s, file cccc)"
    assert names[2] == "other"
    assert len(set(names)) == len(names)


def test_a_size_that_some_repeats_left_out_is_told_as_such():
    whole, part = make_run(), make_run(repeat=2)
    batches = [part.batches[0], Batches(batch_size=512, epochs=[], missing="too slow: x")]
    part = part.model_copy(update={"batches": batches})
    row = OwnModel((whole, part)).table().iloc[1]
    assert row["repeats"] == 1
    assert row["missing"] == "in 1 of 2 repeats: too slow: x"


# Estimates


def known_gpu():
    """2 ms of overhead, exactly; products at 10 GFLOP/s, at most 100; memory at 10 GB/s."""
    widths = (4, 128, 512, 1024)
    steps = {w: 2e-3 + 6 * parameter_count(w) * 128 / 1e12 for w in widths}
    # Its ten epochs of 422 steps count, and its first, which takes twice as long.
    records = [make_record(w, device="gpu", fit=11 * 422 * step) for w, step in steps.items()]
    trials = to_frame(records, "there")
    ceilings = make_ceilings(
        "gpu", batch_bytes=batch_bytes(128), large_bytes=10**9, large_copy=[0.1], memory=[0.2],
        peaks=[Peak(way="large", flops=10**11, seconds=[1.0])],
    )  # fmt: skip
    alone = [(one, [one.product_flops / 1e10]) for one in ceilings.widths]
    slow = {"products_call": [1.0]}
    parts = [one.model_copy(update=slow | {"products_loop": seconds}) for one, seconds in alone]
    ceilings = ceilings.model_copy(update={"widths": parts})
    return Recorded("A card", "there", "tensorflow", "gpu", fit_curve(trials, "steady"), ceilings)


def test_an_estimate_adds_overhead_arithmetic_copying_and_memory():
    gpu = known_gpu()
    run = make_run(batch_bytes=batch_bytes(128) + 10**7)
    estimate = gpu.estimate(run, StepCost(flops=10**9, data_bytes=10**8))
    copied = 10**7 / 1e10
    assert estimate.low == pytest.approx(2e-3 + copied + 10**9 / 1e11)
    assert estimate.high == pytest.approx(2e-3 + copied + 10**9 / 1e10 + 10**8 / 1e10)
    assert estimate.prediction.seconds == pytest.approx(math.sqrt(estimate.low * estimate.high))
    assert not estimate.prediction.sure


def test_the_projects_reference_has_a_gpu_to_estimate_with():
    (gpu,) = recorded_gpus()
    assert gpu.source == "nvidia-h100"
    assert gpu.name.startswith("NVIDIA H100")
    run = make_run()
    estimate = gpu.estimate(run, StepCost(flops=product_flops(1024, 128)))
    # The published step that does as much took 1.2 ms there.
    assert estimate.low < 1.3e-3 < estimate.high


# The report's section


@pytest.fixture
def study(tmp_path):
    """A study with both devices, and where own models lie beside it."""
    write_crossing_study(tmp_path / "trials", repeats=1)
    (tmp_path / "own").mkdir()
    return tmp_path


def results_with(study, *runs):
    from test_sections import results_of

    machine = Machine(cpu_model="Test CPU", visible_cores=None, gpu_model="Test GPU")
    for number, run in enumerate(runs):
        own = run.model_copy(update={"machine": machine})
        (study / "own" / f"{number}.json").write_text(own.model_dump_json())
    return results_of(study, own=str(study / "own"))


def test_the_section_tells_both_devices_and_the_verdict(study, capsys):
    results = results_with(study, *repeats("cpu", 3, 3.1, 3.2, 3.3, 3.4),
                           *repeats("gpu", 1, 1.1, 1.2, 1.3, 1.4))  # fmt: skip
    (model,) = results.own_models
    lines = "\n".join(section.Devices(results).lines(model))
    assert "a step takes **3.2 ms** (3 ms to 3.4 ms: 93.8% interval, 5 repeats)" in lines
    assert "■ The GPU is 2.67 times as fast." in lines
    assert "75% matrix products and convolutions, 25% Python" in lines
    assert "512 train 2.00 times as many rows a second as 128" in lines
    assert "512: ■ GPU 2.67×" in lines
    assert "Estimate" not in lines
    assert "⚑" not in lines
    section.show(results)
    section.show_details(results)
    assert "A step of each model" in capsys.readouterr().out
    assert section.overview([model]).iloc[0]["faster"] == "■ GPU 2.67×"
    assert (results.figures / "own.svg").exists()


def test_the_section_estimates_where_no_gpu_was_measured(study):
    results = results_with(study, *repeats("cpu", 3, seconds=1.0))
    lines = section.Devices(results).lines(results.own_models[0])
    (told,) = [line for line in lines if "Estimate" in line]
    assert "NVIDIA H100" in told
    assert "whose overhead is that of JAX" in told
    numbers = re.search(r"at least ([\d.]+) ms and at most ([\d.]+) ms", told)
    low, high = float(numbers[1]), float(numbers[2])
    assert 1.2 < low < high < 40
    assert ("either may be faster" in told) is (low < 3 < high)
    computed = next(line for line in lines if line.startswith("A step computes"))
    assert "1,000 million floating-point operations" in computed
    assert "156 a parameter and row" in computed  # 10⁹ / (50,000 · 128)
    assert "was not tried: that takes a study of this machine" in "\n".join(lines)
    assert "⚑ In 1 s its epochs have 2 steps" in "\n".join(lines)


def test_what_is_not_of_float32_is_not_estimated(study):
    results = results_with(study, *repeats("cpu", 3, policy="mixed_bfloat16"))
    lines = "\n".join(section.Devices(results).lines(results.own_models[0]))
    assert "what is recorded is of float32, and not of mixed&#95;bfloat16" in lines
    assert "products in" not in lines


def test_a_study_beside_is_compared_at_the_models_size(study):
    """At 134,794 parameters the made-up CPU takes 5 + 5.39 s for ten epochs of 422 steps."""
    results = results_with(study, *repeats("cpu", 3, parameters=parameter_count(128)))
    lines = "\n".join(section.Devices(results).lines(results.own_models[0]))
    steady = (5 + 4e-5 * parameter_count(128)) * 10 / 11 / 4220
    assert f"{3e-3 / steady:.3g} times the study's perceptron of as many parameters" in lines


def test_no_model_is_told_with_the_command(study, capsys):
    section.show(results_with(study))
    assert "`make mine MODEL=path/to/model.py`" in section.NONE


def test_what_a_stranger_wrote_stays_text(study):
    """A record that somebody sends holds texts, and no markup."""
    run = make_run(model="<script>*x*", inputs="<b>1</b>", uncounted="<i>", cost=None)
    results = results_with(study, run)
    lines = "\n".join(section.Devices(results).lines(results.own_models[0]))
    assert "<b>" not in lines
    assert "<i>" not in lines


# All of it


def test_the_notebook_measures_goes_on_and_refuses_another_device(tmp_path):
    path = write_model(tmp_path, SMALL)
    given = {"model": path, "seconds": 0.1, "output": tmp_path / "out"}
    first = papermill("own.ipynb", tmp_path / "n.ipynb", repeats=1, **given)
    assert first.returncode == 0, first.stderr
    kept = {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()}
    again = papermill("own.ipynb", tmp_path / "n.ipynb", repeats=2, **given)
    assert again.returncode == 0, again.stderr
    assert "repeat 1/2" not in again.stdout
    assert "repeat 2/2  128: " in again.stdout
    after = {one.name: one.read_bytes() for one in (tmp_path / "out").iterdir()}
    assert len(kept) == 1
    assert len(after) == 2
    assert kept.items() <= after.items()
    run = json.loads(next(iter(kept.values())))
    assert str(tmp_path) not in json.dumps(run)
    assert run["software"]["threads"] >= 1
    other = papermill("own.ipynb", tmp_path / "n.ipynb", device="gpu", **given)
    assert other.returncode != 0
    assert "choose the kernel crossover-gpu" in other.stderr


@pytest.mark.long
def test_the_front_door_measures_tells_and_reports(project):
    """Once more it has nothing to measure; a file that has changed and is bad loses nothing."""
    path = write_model(project, SMALL)
    words = ["mine", f"MODEL={path}", "REPEATS=1", "SECONDS=0.2", "DEVICES=cpu"]
    code, out, err = report(project, *words)
    assert code == 0, err
    assert "1 repeat on the CPU to measure" in out
    assert "  CPU, " in out
    assert "a step takes" in out
    assert out.rstrip().endswith("Report: figures/report.html")
    page = project / "figures" / "report.html"
    shown = bs4.BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    section = shown.find(id="Models-of-your-own").find_parent("section")
    assert section.find_next("table").find("td").get_text() == "mine"
    records = project / "data" / "runs" / "main" / "own"
    kept = {one.name: one.read_bytes() for one in records.iterdir()}
    code, out, err = report(project, *words)
    assert code == 0, err
    assert "all repeats are recorded; nothing to measure" in out
    path.write_text("build = 1")
    code, out, err = report(project, *words)
    assert code == 1
    assert "crossover: mine.py defines no function build()" in err
    assert {one.name: one.read_bytes() for one in records.iterdir()} == kept
