"""What a model computes in is looked at before and after it trains, and never only believed."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from crossover.hardware.device import DeviceError, assert_float32
from crossover.records.parameters import parse_parameters
from crossover.records.settings import protocol_settings
from crossover.training import mnist, sweep
from crossover.training.assertions import assert_model
from crossover.training.model import build_model
from crossover.training.published_training import Trained

BATCH = np.zeros((8, 784), dtype=np.uint8)


@pytest.fixture
def policy():
    """Set Keras's policy of types for one test."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("protocol", ["published", "tuned"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("float64", "kernel is in float64, not in float32: nothing was recorded"),
        ("mixed_bfloat16", "computes in bfloat16, not in float32: nothing was recorded"),
        ("bfloat16", "kernel is in bfloat16"),
    ],
)
def test_a_model_of_another_type_is_refused(policy, protocol, name, said):
    policy(name)
    model = build_model(4, protocol_settings(protocol))
    policy("float32")
    with pytest.raises(DeviceError, match=said):
        assert_model(model, BATCH, "tensorflow", "cpu")


@pytest.mark.parametrize("protocol", ["published", "tuned"])
def test_a_model_in_float32_passes(protocol):
    assert_model(build_model(4, protocol_settings(protocol)), BATCH, "tensorflow", "cpu")


SET = """
from crossover.hardware.environment import prepare_process
prepare_process("jax", "cpu", None)
import keras
keras.config.set_dtype_policy("float64")
keras.config.set_floatx("float64")
keras.config.set_epsilon(1e-3)
from crossover.hardware.device import start_device
start_device("jax", "cpu")
print(keras.config.floatx(), keras.config.epsilon(), keras.config.dtype_policy().name)
"""


def test_starting_a_device_sets_what_another_has_set():
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, "-c", SET], capture_output=True, text=True)
    assert done.stdout.split() == ["float32", "1e-07", "float32"], done.stderr


def test_numbers_that_count_are_of_any_type():
    assert_float32("a step's number is", "int64")
    assert_float32("a seed is", "uint32")
    with pytest.raises(DeviceError, match="a moment is in float16"):
        assert_float32("a moment is", "float16")


def runner(protocol):
    """A sweep's runner on the first images."""
    parameters = parse_parameters({"widths": [4], "protocol": protocol, "output": "x", "epochs": 1})
    data = mnist.load_mnist()
    images, labels = data.x_train[:600].reshape(600, -1), data.y_train[:600]
    test = mnist.scale(data.x_test[:100]), mnist.one_hot(data.y_test[:100])
    if protocol == "published":
        images, labels = mnist.scale(images), mnist.one_hot(labels)
    prepared = sweep.Prepared(images, labels, *test, 0.0)
    return sweep.Runner(parameters, "cpu", "CPU:0", prepared, 0.0)


@pytest.mark.parametrize("protocol", ["published", "tuned"])
def test_weights_and_both_moments_are_looked_at_after_a_fit(protocol, monkeypatch):
    name = f"fit_{protocol}"
    real, seen = getattr(sweep, name), []

    def watched(*given):
        trained = real(*given)
        seen.extend(trained.values)
        return trained

    monkeypatch.setattr(sweep, name, watched)
    assert runner(protocol).trial(4, 1, lambda *_: None).settings.dtype == "float32"
    sizes = [int(np.prod(value.shape)) for value in seen if "float" in str(value.dtype)]
    # The parameters and two moments of each, of the throw-away training (width 12) and the trial.
    assert sum(size for size in sizes if size > 1) == 3 * (9_862 + 3_230)


@pytest.mark.parametrize("protocol", ["published", "tuned"])
def test_a_moment_of_another_type_is_no_trial(protocol, monkeypatch):
    name = f"fit_{protocol}"
    real = getattr(sweep, name)

    def widened(*given):
        trained = real(*given)
        wide = keras.ops.cast(trained.values[-1], "float64")
        return Trained(trained.epochs, trained.history, [wide])

    monkeypatch.setattr(sweep, name, widened)
    with pytest.raises(DeviceError, match="moments too, is in float64"):
        runner(protocol).trial(4, 1, lambda *_: None)
