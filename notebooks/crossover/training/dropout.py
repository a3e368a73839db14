"""Dropout whose random numbers cost next to nothing: a hash of each unit's number.

Keras's own layer draws from a generator meant for cryptographic-strength streams; at width 256 that
took a third of a tuned epoch on a CPU. Here each unit's number is mixed with two keys of the step
by MurmurHash3's finalizer (Appleby 2011), which compilers fuse into the arithmetic around it.
"""

from typing import Any

import keras
from keras import ops

GOLDEN = 0x9E3779B1


class HashDropout(keras.layers.Layer):  # type: ignore[misc]
    """Zero a share of the units in training and scale up the others, as Keras's Dropout does."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Inputs of shape (batch, units) with about ``rate`` of them zero."""
        if not training or not self.rate:
            return inputs
        state = ops.cast(self.seed_generator.next(), "uint32")
        kept = kept_units(state[0], state[1], ops.shape(inputs), self.rate)
        return ops.where(kept, inputs / (1 - self.rate), 0.0)


def kept_units(seed: Any, step: Any, shape: tuple[int, int], rate: float) -> Any:
    """Which units a step keeps: a bool tensor (batch, units), about ``rate`` of it False.

    The layer's seed and the training's step are integer tensors ().
    """
    layer, step = mix(ops.cast(seed, "uint32")), ops.cast(step, "uint32")
    first, second = mix(layer + step), mix(layer - step * word(GOLDEN))
    number = ops.cast(ops.reshape(ops.arange(shape[0] * shape[1], dtype="int32"), shape), "uint32")
    # An odd multiplier of its own for each step: no two steps share a stretch of masks.
    return mix(number * (first | word(1)) + second) >= word(int(rate * 2**32))


def mix(bits: Any) -> Any:
    """MurmurHash3's 32-bit finalizer (public domain), elementwise on uint32."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ ops.right_shift(bits, word(shift))) * word(factor)
    return bits ^ ops.right_shift(bits, word(16))


def word(number: int) -> Any:
    """A 32-bit constant."""
    return ops.convert_to_tensor(number, dtype="uint32")
