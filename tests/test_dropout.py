"""The hashed dropout: its mixing against a written-out one, its masks against chance."""

import keras
import numpy as np
import pytest

from crossover.training.dropout import HashDropout, mix


def python_mix(value):
    """MurmurHash3's finalizer with Python's own integers."""
    value ^= value >> 16
    value = value * 0x85EBCA6B % 2**32
    value ^= value >> 13
    value = value * 0xC2B2AE35 % 2**32
    return value ^ value >> 16


def masks(rate, steps, shape=(128, 256)):
    keras.utils.set_random_seed(5)
    layer = HashDropout(rate)
    ones = np.ones(shape, dtype="float32")
    return np.stack([np.array(layer(ones, training=True)) for _ in range(steps)])


def test_the_mixing_is_murmurs():
    values = [0, 1, 12345, 2**31, 2**32 - 1]
    found = np.array(mix(keras.ops.convert_to_tensor(values, dtype="uint32")))
    assert found.tolist() == [python_mix(value) for value in values]


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_the_share_of_zeros_is_the_rate_and_the_mean_stays(rate):
    found = masks(rate, 4)
    assert set(np.unique(found)) == {0.0, np.float32(1 / (1 - rate))}
    error = np.sqrt(rate * (1 - rate) / found.size)
    assert abs((found == 0).mean() - rate) < 4 * error


def test_masks_are_unrelated_between_units_steps_and_layers():
    """Correlations of 32,768 fair draws lie within four standard errors of none."""
    first, second, third = masks(0.5, 3) > 0
    limit = 4 / np.sqrt(first.size)
    pairs = [(first, second), (second, third), (first, third), (first[:, 1:], first[:, :-1]),
             (first[1:], first[:-1]), (first.ravel()[:-7], first.ravel()[7:])]  # fmt: skip
    other = HashDropout(0.5)(np.ones(first.shape, dtype="float32"), training=True)
    pairs.append((first, np.array(other) > 0))
    for one, two in pairs:
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < limit


def test_nothing_is_dropped_outside_training():
    ones = np.ones((3, 4), dtype="float32")
    assert np.array_equal(HashDropout(0.5)(ones), ones)
    assert np.array_equal(HashDropout(0.0)(ones, training=True), ones)
