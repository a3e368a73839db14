"""A table with numbers and two categories a row: three inputs, one number to predict."""

import keras
import numpy as np
from keras import layers

NUMBERS, SHOPS, GOODS = 20, 500, 3_000


def build():
    numbers = layers.Input((NUMBERS,), name="numbers")
    shop = layers.Input((), dtype="int32", name="shop")
    good = layers.Input((), dtype="int32", name="good")
    parts = [numbers, layers.Embedding(SHOPS, 8)(shop), layers.Embedding(GOODS, 16)(good)]
    hidden = layers.Concatenate()(parts)
    for _ in range(2):
        hidden = layers.Dense(128, activation="relu")(hidden)
    model = keras.Model({"numbers": numbers, "shop": shop, "good": good}, layers.Dense(1)(hidden))
    model.compile("adam", "mse")
    return model


def batch(size):
    random = np.random.default_rng()
    inputs = {
        "numbers": random.normal(size=(size, NUMBERS)).astype("float32"),
        "shop": random.integers(SHOPS, size=size, dtype="int32"),
        "good": random.integers(GOODS, size=size, dtype="int32"),
    }
    return inputs, inputs["numbers"].sum(axis=1, keepdims=True)
