"""One block of attention on sequences of 64 words, read from left to right in two classes."""

import keras
from keras import layers

WORDS, LENGTH, SIZE = 10_000, 64, 64


def build():
    words = layers.Input((LENGTH,), dtype="int32")
    embedded = layers.Embedding(WORDS, SIZE)(words)
    attended = layers.MultiHeadAttention(num_heads=4, key_dim=SIZE // 4)(embedded, embedded)
    normed = layers.LayerNormalization()(embedded + attended)
    thought = layers.Dense(4 * SIZE, activation="gelu")(normed)
    block = layers.LayerNormalization()(normed + layers.Dense(SIZE)(thought))
    likely = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(block))
    model = keras.Model(words, likely)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model
