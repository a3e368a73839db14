"""The packed step, which a GPU runs, trains what Keras's layers do, which a CPU runs."""

import importlib.util
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from crossover.training.packed import pack, unpack

# Trains three epochs by both programs from the same weights, dropout included; the last batch of
# an epoch is filled up. The steps of a batch in halves have masks of their own.
BOTH = """
import json, sys
from crossover.hardware.environment import prepare_process
backend = sys.argv[1]
prepare_process(backend, "cpu", None)
import keras
import numpy as np
from crossover.training.model import build_model
from crossover.records.settings import protocol_settings
from crossover.training.tuned import TunedTraining
random = np.random.default_rng(0)
images = random.integers(0, 256, (1050, 784), dtype=np.uint8)
labels = random.integers(0, 10, 1050, dtype=np.uint8)

def trained(width, optimizer, program):
    settings = protocol_settings("tuned", backend=backend, batch_size=100, optimizer=optimizer)
    keras.utils.set_random_seed(1)
    model = build_model(width, settings)
    before = [weights.copy() for weights in model.get_weights()]
    training = TunedTraining(model, images, labels, settings, 3, program)
    logs = [training.epoch() for _ in range(3)]
    training.program.finish()
    after = [keras.ops.convert_to_numpy(each.value) for each in model.trainable_variables]
    moved = [float(np.abs(a - b).max()) for a, b in zip(after, before)]
    return {"weights": [weights.tolist() for weights in after], "logs": logs, "moved": moved}

found = [[trained(int(width), optimizer, program) for program in ("LayersProgram", "PackedProgram")]
         for width, optimizer in (case.split("/") for case in sys.argv[2:])]
print(json.dumps(found))
"""


def both(*words):
    done = subprocess.run(
        [sys.executable, "-c", BOTH, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


CASES = ["4/adam", "13/sgd"]


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_packed_step_trains_as_keras_layers_do(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: make test BACKEND={backend}")
    for case, (layers, packed) in zip(CASES, both(backend, *CASES), strict=True):
        for wanted, found in zip(layers["weights"], packed["weights"], strict=True):
            np.testing.assert_allclose(found, wanted, atol=3e-5, err_msg=case)
        for wanted, found in zip(layers["logs"], packed["logs"], strict=True):
            assert found == pytest.approx(wanted, rel=1e-4), case
        # Thirty-three steps, each of Adam's up to 0.001: many times more than the tolerance.
        assert min(layers["moved"]) > (1e-4 if "sgd" in case else 3e-3), case


@pytest.mark.parametrize("width", [1, 4, 10, 64])
def test_what_is_packed_is_unpacked(width):
    random = np.random.default_rng(0)
    sizes = [784, width, width, width, 10]
    shapes = [shape for ins, out in itertools.pairwise(sizes) for shape in [(out, ins), out]]
    weights = [random.random(shape, dtype=np.float32) for shape in shapes]
    values = pack(weights)
    rows = 10 + 3 + -(-10 // width)
    assert [value.shape for value in values] == [
        (832, width), (width, width), (width, width), (rows, width)
    ]  # fmt: skip
    assert not np.any(values[0][784:])
    for found, wanted in zip(unpack(values), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
