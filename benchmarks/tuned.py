"""Ratios of the tuned protocol: against a hand-written scan, `fit`, and the matrix products.

    make lint   # or any verb that installs the test packages, JAX among them
    .venv/bin/python benchmarks/tuned.py [widths...]

For each width, in one run, alternating: the tuned epoch (Keras, TensorFlow), a
hand-written ``jax.lax.scan`` over a whole epoch of the same step that gathers
its batch of float rows each step, and the published epoch of Keras's ``fit``.
The scan runs in a process of its own that stays asleep between its turns, so
that two thread pools never compete. The last column is the rate of the tuned
epoch's matrix products as a share of the rate that the same products reach
alone (`crossover.training.stepparts`). Medians and the range over the rounds.
"""

import importlib.util
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crossover.problem import BATCH_SIZE, TRAIN_IMAGES, WIDTHS, trained_images

PROJECT = Path(__file__).parents[1]
# More rounds at the narrow widths: their epochs are short, and what disturbs one is not.
ROUNDS, ROUNDS_NARROW, NARROW = 11, 15, 128
BATCH, TRAINED = BATCH_SIZE, trained_images()


def scan_server(width: int) -> None:
    """Hand-written JAX: each line on standard input trains one epoch, its seconds go out."""
    import jax
    import jax.numpy as jnp

    from crossover.training import mnist

    data = mnist.load_mnist()
    images = jnp.asarray(mnist.scale(data.x_train))
    labels = jnp.asarray(mnist.one_hot(data.y_train))
    sizes = [784, width, width, width, 10]
    rng = np.random.default_rng(0)
    weights = [
        (jnp.asarray(rng.normal(0, (2 / (a + b)) ** 0.5, (a, b)), jnp.float32), jnp.zeros(b))
        for a, b in itertools.pairwise(sizes)
    ]
    state = (weights, *[jax.tree.map(jnp.zeros_like, weights) for _ in range(2)], jnp.float32(0))

    def loss_of(weights: Any, key: Any, x: Any, y: Any) -> tuple[Any, Any]:
        for (kernel, bias), layer in zip(weights[:-1], jax.random.split(key, 3), strict=True):
            x = jax.nn.relu(x @ kernel + bias)
            x = jnp.where(jax.random.bernoulli(layer, 0.8, x.shape), x / 0.8, 0)
        logits = x @ weights[-1][0] + weights[-1][1]
        loss = -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=1))
        return loss, jnp.mean(logits.argmax(1) == y.argmax(1))

    def step(carry: Any, rows: Any) -> tuple[Any, Any]:
        (weights, first, second, count), key = carry
        key, dropout = jax.random.split(key)
        found = jax.value_and_grad(loss_of, has_aux=True)
        (loss, hits), slopes = found(weights, dropout, images[rows], labels[rows])
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slopes)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slopes)
        rate = 0.001 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        weights = jax.tree.map(
            lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, first, second
        )
        return ((weights, first, second, count), key), (loss, hits)

    @jax.jit
    def epoch(state: Any, key: Any) -> tuple[Any, Any]:
        key, shuffle = jax.random.split(key)
        order = jax.random.permutation(shuffle, TRAINED)
        full = TRAINED // BATCH
        rows = order[: full * BATCH].reshape(full, BATCH)
        (state, key), logs = jax.lax.scan(step, (state, key), rows)
        (state, key), _ = step((state, key), order[full * BATCH :])
        held_out = loss_of(state[0], key, images[TRAINED:], labels[TRAINED:])
        return (state, key), (logs[0].mean(), logs[1].mean(), held_out)

    carry = (state, jax.random.key(0))
    for _ in sys.stdin:
        started = time.perf_counter()
        carry, logs = epoch(*carry)
        jax.block_until_ready((carry, logs))
        print(json.dumps(time.perf_counter() - started), flush=True)


class Scan:
    """The scan's process: asleep on its input until an epoch is asked for."""

    def __init__(self, width: int) -> None:
        command = [sys.executable, __file__, "--scan", str(width)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def epoch(self) -> float:
        """Train one epoch and return its seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def stop(self) -> None:
        """End the process."""
        self.process.communicate()


def keras_epochs(width: int) -> tuple[Callable[[], float], Callable[[], float]]:
    """Functions that train one more epoch by each protocol and return its seconds."""
    from crossover.records.settings import protocol_settings
    from crossover.training.model import build_model
    from crossover.training.published_training import fit_published
    from crossover.training.sweep import prepare_data
    from crossover.training.tuned import TunedTraining

    published = protocol_settings("published", epochs=1)
    tuned = protocol_settings("tuned", epochs=1)
    plain, bytes_ = prepare_data(published), prepare_data(tuned)
    model = build_model(width, published)
    training = TunedTraining(build_model(width, tuned), bytes_.images, bytes_.labels, tuned, 0)

    def fit() -> float:
        done = fit_published(model, plain.images, plain.labels, published, lambda *_: None)
        return done.epochs[0]

    def epoch() -> float:
        started = time.perf_counter()
        training.epoch()
        return time.perf_counter() - started

    return epoch, fit


def compare(width: int) -> dict[str, Any]:
    """Train in turns at one width and return the ratios."""
    from crossover.training.stepparts import measure_width

    scan = Scan(width)
    epoch, fit = keras_epochs(width)
    ways: list[tuple[str, Callable[[], float]]] = [
        ("tuned", epoch), ("scan", scan.epoch), ("published", fit),
    ]  # fmt: skip
    for _, way in ways:
        way()
    seconds: dict[str, list[float]] = {name: [] for name, _ in ways}
    seconds["products"] = []
    steps = -(-TRAINED // BATCH)
    for round_ in range(ROUNDS_NARROW if width <= NARROW else ROUNDS):
        for name, way in ways if round_ % 2 else ways[::-1]:
            seconds[name].append(way())
        if round_ < ROUNDS:  # Compiling the products' loops takes longer than the round.
            seconds["products"].append(measure_width("tensorflow", width, BATCH).products_seconds())
    scan.stop()
    tuned = np.array(seconds["tuned"])
    # The epoch also evaluates the images held out: a third of a training step's products each.
    products = np.array(seconds["products"]) * (steps + (TRAIN_IMAGES - TRAINED) / BATCH / 3)
    return {
        "width": width,
        "tuned s": f"{np.median(tuned):.3f}",
        "tuned / scan": spread(tuned / seconds["scan"], ".2f"),
        "published / tuned": spread(seconds["published"] / tuned, ".2f"),
        "share of products' rate": spread(products / tuned[:ROUNDS], ".0%"),
    }


def spread(ratios: Any, form: str) -> str:
    """Median and range, in words."""
    return f"{np.median(ratios):{form}} ({ratios.min():{form}} to {ratios.max():{form}})"


def main(words: list[str]) -> None:
    """Print the table, a row as soon as it is known."""
    import pandas as pd

    rows = []
    for width in [int(word) for word in words] or WIDTHS:
        rows.append(compare(width))
        print(pd.DataFrame(rows).tail(1).to_string(index=False, header=len(rows) == 1), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(PROJECT / "notebooks"))
    if importlib.util.find_spec("jax") is None:
        sys.exit("JAX is not installed: run 'make lint' first, which installs the test packages.")
    if sys.argv[1:2] == ["--scan"]:
        scan_server(int(sys.argv[2]))
    else:
        main(sys.argv[1:])
