"""The model and both protocols, against NumPy and against Keras's own counts."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from crossover.problem import parameter_count
from crossover.records.settings import Settings, protocol_settings
from crossover.training import mnist
from crossover.training.model import build_model
from crossover.training.published_training import fit_published
from crossover.training.tuned import fit_tuned
from crossover.training.tuned_tensorflow import WIDTHS_IN_HALVES

PUBLISHED_PARAMETERS = {
    4: 3230, 8: 6514, 16: 13274, 32: 27562, 64: 59210,
    128: 134794, 256: 335114, 512: 932362, 1024: 2913290,
}  # fmt: skip


def ignore(*_):
    pass


@pytest.mark.parametrize(("width", "parameters"), PUBLISHED_PARAMETERS.items())
def test_parameters_are_the_published_ones(width, parameters):
    assert parameter_count(width) == parameters
    assert build_model(width, Settings()).count_params() == parameters


def test_the_model_is_the_published_one():
    weights = (model := build_model(8, Settings())).get_weights()
    x = np.random.default_rng(0).random((5, 784), dtype=np.float32)
    hidden = x
    for kernel, bias in zip(weights[0:6:2], weights[1:6:2], strict=True):
        hidden = np.maximum(hidden @ kernel + bias, 0)
    logits = hidden @ weights[6] + weights[7]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4)


@pytest.mark.parametrize("jit", [False, True])
def test_xla_is_what_the_settings_say(jit):
    assert build_model(4, Settings(jit_compile=jit)).jit_compile is jit


def test_keras_would_choose_otherwise_and_is_refused():
    """Under determinism Keras drops XLA with a mere warning; a record never may."""
    script = """
import warnings; warnings.simplefilter("ignore")
import tensorflow as tf
from crossover.training.model import build_model
from crossover.records.settings import Settings
build_model(4, Settings(jit_compile=True))
tf.config.experimental.enable_op_determinism()
print(build_model(4, Settings(jit_compile=False)).jit_compile)
build_model(4, Settings(jit_compile=True))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["False"]
    assert "Keras resolved jit_compile to False, not True" in done.stderr.splitlines()[-1]


def first_images(count):
    data = mnist.load_mnist()
    return data.x_train[:count].reshape(-1, 784), data.y_train[:count]


def numpy_epoch(weights, images, labels, batch_size, rate):
    """Plain stochastic gradient descent, written out in NumPy."""
    weights = [w.astype(np.float64) for w in weights]
    for start in range(0, len(images), batch_size):
        x, y = images[start : start + batch_size], labels[start : start + batch_size]
        layers = [x]
        for kernel, bias in zip(weights[0:6:2], weights[1:6:2], strict=True):
            layers.append(np.maximum(layers[-1] @ kernel + bias, 0))
        logits = layers[-1] @ weights[6] + weights[7]
        softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        delta = (softmax - y) / len(x)
        for layer in (3, 2, 1, 0):
            kernel = weights[2 * layer].copy()
            weights[2 * layer] -= rate * layers[layer].T @ delta
            weights[2 * layer + 1] -= rate * delta.sum(axis=0)
            delta = (delta @ kernel.T) * (layers[layer] > 0)
    return weights


@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("batch_size", [30, 32, 75, 128, 300])
def test_tuned_training_is_gradient_descent(batch_size, width):
    """Without dropout and with SGD, an epoch has one right answer; so has its order.

    The batch sizes give an even and an odd number of steps, with and without a last batch
    that has to be filled up, and a single step; the widths, a batch in whole and in halves.
    """
    assert (width in WIDTHS_IN_HALVES) == (width == 32)
    images, labels = first_images(300)
    learning = {"dropout": 0.0, "optimizer": "sgd", "learning_rate": 0.1, "batch_size": batch_size}
    settings = Settings(protocol="tuned", epochs=1, validation_split=0.0, **learning)
    keras.utils.set_random_seed(1)
    model = build_model(width, settings)
    order = np.random.default_rng(7).permutation(300)
    # The tuned model keeps its kernels as (units, inputs), NumPy's epoch as (inputs, units).
    before = [weights.T for weights in model.get_weights()]
    expected = numpy_epoch(
        before, mnist.scale(images)[order], mnist.one_hot(labels)[order], batch_size, 0.1
    )
    fit_tuned(model, images, labels, settings, 7, ignore)
    for found, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found.T, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_tuned_accuracy_is_within_noise_of_published():
    images, labels = first_images(12_000)
    test = mnist.load_mnist()
    accuracies = {"published": [], "tuned": []}
    for seed in range(4):
        for protocol, found in accuracies.items():
            settings = protocol_settings(protocol, epochs=3)
            keras.utils.set_random_seed(seed)
            model = build_model(64, settings)
            if protocol == "tuned":
                fit_tuned(model, images, labels, settings, seed, ignore)
            else:
                fit_published(model, mnist.scale(images), mnist.one_hot(labels), settings, ignore)
            predicted = model.predict(mnist.scale(test.x_test), verbose=0).argmax(axis=1)
            found.append(np.mean(predicted == test.y_test))
    published, tuned = map(np.array, accuracies.values())
    spread = np.sqrt(published.var(ddof=1) / 4 + tuned.var(ddof=1) / 4)
    assert abs(published.mean() - tuned.mean()) < 4 * spread + 0.003
    assert tuned.min() > 0.9


def test_every_epoch_is_timed_and_announced():
    images, labels = first_images(2000)
    seen = []
    settings = protocol_settings("tuned", epochs=3)
    model = build_model(4, settings)
    trained = fit_tuned(model, images, labels, settings, 1, seen.append)
    assert seen == [1, 2, 3]
    assert len(trained.epochs) == 3
    assert min(trained.epochs) > 0
    assert {name: len(values) for name, values in trained.history.items()} == dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), 3
    )


def test_a_diverged_training_is_a_result(tmp_path):
    images, labels = first_images(1000)
    settings = protocol_settings("published", epochs=1, optimizer="sgd", learning_rate=10.0)
    model = build_model(64, settings)
    _, history, _ = fit_published(
        model, mnist.scale(images) * 1e20, mnist.one_hot(labels), settings, ignore
    )
    assert not np.isfinite(history["loss"][0])


def test_the_cpu_process_hides_every_accelerator():
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert tf.config.list_physical_devices("GPU") == []


@pytest.mark.parametrize(
    "change", [{"data": "device"}, {"steps_per_execution": 4}, {"jit_compile": True}]
)
def test_a_change_of_execution_trains_the_same(change):
    """Where the data lie, or how many steps a call runs, must not change what is learnt."""
    images, labels = first_images(1000)
    histories = []
    for given in ({}, change):
        settings = protocol_settings("published", epochs=2, dropout=0.0, **given)
        keras.utils.set_random_seed(3)
        model = build_model(16, settings)
        _, history, _ = fit_published(
            model, mnist.scale(images), mnist.one_hot(labels), settings, ignore
        )
        histories.append(
            history | {"weights": np.concatenate([w.ravel() for w in model.get_weights()])}
        )
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=2e-3, atol=1e-4)


def test_validation_and_metrics_can_be_left_out():
    images, labels = first_images(500)
    settings = protocol_settings("published", epochs=2, validation=False, metrics=False)
    _, history, _ = fit_published(
        build_model(4, settings), mnist.scale(images), mnist.one_hot(labels), settings, ignore
    )
    assert list(history) == ["loss"]
