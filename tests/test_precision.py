"""What products are rounded to: set by the protocol, tried on the device, never mixed."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from conftest import make_record, outside
from crossover.hardware.device import ONE_AND_A_BIT, precision_of
from crossover.records.frame import MixedTrialsError, check_comparable
from crossover.records.parameters import ParameterError, parse_parameters
from crossover.records.settings import Settings, protocol_settings
from crossover.report.sections.machine import machine_table


def rounded(values, bits):
    """Floats whose fraction is rounded to so many bits, ties to even."""
    fraction, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.round(fraction * 2 ** (bits + 1)) / 2 ** (bits + 1), exponent)


@pytest.mark.parametrize(
    ("bits", "precision"),
    # Three products of TF32 for one of float32 keep 21 bits or so.
    [(23, "float32"), (21, "float32"), (10, "tf32"), (7, "bfloat16")],
)
def test_what_is_left_of_the_bits_names_the_precision(bits, precision):
    assert precision_of(rounded(ONE_AND_A_BIT, bits).astype(np.float32)) == precision


SET = """
import json, sys
from crossover.hardware.device import set_precision, start_device
from crossover.hardware.environment import prepare_process
backend = sys.argv[1]
prepare_process(backend, "cpu", None)
start_device(backend, "cpu")
def state():
    if backend == "tensorflow":
        import tensorflow as tf
        return tf.config.experimental.tensor_float_32_execution_enabled()
    if backend == "jax":
        import jax
        return jax.config.jax_default_matmul_precision
    import torch
    return torch.get_float32_matmul_precision()
print(json.dumps([[set_precision(backend, allowed), state()] for allowed in (True, False)]))
"""
STATES = {
    "tensorflow": [True, False],
    "jax": ["default", "highest"],
    # On a CPU the word would allow more than TF32.
    "torch": ["highest", "highest"],
}


@pytest.mark.parametrize("backend", STATES)
def test_a_backend_is_told_and_a_cpu_has_float32_all_the_same(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: make test BACKEND={backend}")
    done = subprocess.run(
        [sys.executable, "-c", SET, backend],
        capture_output=True, text=True,
        env=outside(JAX_DEFAULT_MATMUL_PRECISION="bfloat16"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["float32", state] for state in STATES[backend]]


def test_tuned_may_round_and_published_may_not():
    assert protocol_settings("tuned").allows_tf32
    assert not protocol_settings("published").allows_tf32
    assert protocol_settings("published", tf32=True).allows_tf32
    assert protocol_settings("published", tf32=False) == protocol_settings("published")
    with pytest.raises(ParameterError, match="parameter 'tf32' is False: the protocol 'tuned' dec"):
        parse_parameters({"widths": [4], "output": "x", "protocol": "tuned", "tf32": False})


def test_records_of_earlier_versions_keep_their_names():
    """The digests of the first version's studies, which knew of no TF32."""
    assert Settings().digest == "44136fa3"
    digests = {
        (backend, protocol): protocol_settings(protocol, backend=backend).digest
        for backend in ("tensorflow", "jax")
        for protocol in ("published", "tuned")
    }
    assert digests == {
        ("tensorflow", "published"): "44136fa3", ("tensorflow", "tuned"): "095bd46b",
        ("jax", "published"): "c3753174", ("jax", "tuned"): "ddec9792",
    }  # fmt: skip


def test_products_of_two_precisions_never_share_a_gpus_curve():
    known = make_record(device="gpu", precision="float32")
    for other in ("tf32", None):
        with pytest.raises(MixedTrialsError, match="precision"):
            check_comparable([known, make_record(8, device="gpu", precision=other)])
    # Devices and protocols have their own; a CPU's earlier records did not tell.
    cpu, old = make_record(precision="float32"), make_record(8)
    tuned = make_record(device="gpu", precision="tf32", settings=protocol_settings("tuned"))
    check_comparable([known, tuned, cpu, old])


def test_the_report_tells_what_products_were_rounded_to():
    def told(*records):
        table = machine_table(list(records)).set_index("part")
        return table.loc["matrix products", "this machine"]

    tuned = protocol_settings("tuned")
    assert told(make_record()) == "float32"
    assert told(make_record(), make_record(device="gpu")) == (
        "published, CPU: float32; published, GPU: unknown"
    )
    assert (
        told(
            make_record(device="gpu", precision="float32"),
            make_record(device="gpu", precision="tf32", settings=tuned),
        )
        == "published, GPU: float32; tuned, GPU: TF32"
    )
