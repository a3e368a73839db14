"""The dense layer with a transposed kernel, against Keras's own and against NumPy."""

import keras
import numpy as np
import pytest

from crossover.training.linear import Linear


@pytest.mark.parametrize("activation", [None, "relu"])
def test_it_computes_what_dense_computes(activation):
    x = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")
    linear, dense = Linear(3, activation), keras.layers.Dense(3, activation)
    dense(x)
    linear(x)
    kernel = np.random.default_rng(1).normal(size=(7, 3))
    bias = np.random.default_rng(2).normal(size=3)
    dense.set_weights([kernel, bias])
    linear.set_weights([kernel.T, bias])
    np.testing.assert_allclose(linear(x), dense(x), rtol=1e-5, atol=1e-6)
    expected = x @ kernel + bias
    if activation:
        expected = np.maximum(expected, 0)
    np.testing.assert_allclose(linear(x), expected, rtol=1e-5, atol=1e-6)


def test_it_begins_as_dense_begins():
    """Glorot's uniform distribution has the limit (6 / (inputs + units)) ** 0.5."""
    layer = Linear(400)
    layer.build((None, 200))
    kernel, bias = layer.get_weights()
    limit = (6 / 600) ** 0.5
    assert kernel.shape == (400, 200)
    assert not bias.any()
    assert limit * 0.999 < np.abs(kernel).max() <= limit
    assert np.isclose(kernel.std(), limit / 3**0.5, rtol=0.01)
