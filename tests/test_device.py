"""The device: the card that CUDA means, sentences of refusal, and the kernels' environment."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from conftest import papermill
from crossover.hardware.refusal import GpuFacts, why_no_gpu
from crossover.hardware.runtimes import jax, tensorflow
from crossover.kernels import HIDDEN, install_kernels

CARD = GpuFacts(
    driver="555.42",
    cards=("GeForce RTX 3060",),
    driver_cuda=(12, 5),
    capability=(8, 6),
    built_for="12.5.1",
    architectures=("sm_60", "sm_89", "compute_90"),
)
PRESENT = "NVIDIA driver 555.42 shows GeForce RTX 3060, but "


def run(script, *folders, **variables):
    """Run Python with libraries from the folders; what it printed, read as JSON."""
    environment = {k: v for k, v in os.environ.items() if k not in HIDDEN} | variables
    environment["LD_LIBRARY_PATH"] = ":".join(map(str, folders))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FIND = """
import json
from dataclasses import asdict
from crossover.hardware.card import find_card, used_card
card = find_card()
print(json.dumps(card and [card.model, card.memory_bytes, card.handle is not None, card.shared,
                           used_card("NVIDIA Fast Card") == card, used_card("Slow Card")]))
"""


def test_the_card_is_the_one_that_cuda_calls_first(driver):
    found = run(FIND, driver["nvml"], driver["cuda"])
    assert found == ["Fast Card", 8 * 2**30, True, False, True, None]


def test_a_card_without_nvml_is_known_by_name_and_memory(driver):
    assert run(FIND, driver["cuda"])[:3] == ["Fast Card", 8 * 2**30, False]


def test_without_cuda_or_hidden_from_it_there_is_no_card(driver):
    assert run(FIND, driver["nvml"]) is None
    assert run(FIND, *driver.values(), CUDA_VISIBLE_DEVICES="-1") is None


WATCH = """
import time
from crossover.hardware.card import find_card
from crossover.hardware.conditions import Watched
watched = Watched(find_card())
for phase in ("build", "fit", "evaluate"):
    time.sleep(0.01 if phase == "build" else 0.2)
    watched.ends(phase)
print(watched.so_far().model_dump_json())
"""


def test_clocks_reasons_and_joules_are_of_that_card(driver):
    found = run(WATCH, driver["nvml"], driver["cuda"])
    # A phase that is shorter than the counter's period has joules of another one.
    assert found["gpu_joules"] == {"build": None, "fit": 2.5, "evaluate": 2.5}
    assert found["gpu_energy_joules"] == 7.5
    # 50 and 5 ms of the 210 ms or more from the start to the end of the fit.
    assert 0.1 < found["gpu_power_cap_fraction"] <= 0.05 / 0.21
    assert found["gpu_thermal_fraction"] == pytest.approx(found["gpu_power_cap_fraction"] / 10)
    assert (found["gpu_clock_mhz_before"], found["gpu_memory_clock_mhz_after"]) == (1001, 1002)
    assert found["gpu_throttle_reasons_after"] == "power cap, software thermal"
    assert found["gpu_throttled"] is True


def test_a_shared_card_tells_no_energy(driver):
    found = run(WATCH, driver["nvml"], driver["cuda"], FIXTURE_MIG="1")
    assert found["gpu_joules"] is None
    assert found["gpu_energy_joules"] is None


def test_without_a_card_nothing_is_told_of_one():
    found = run(WATCH)
    assert {name: value for name, value in found.items() if "gpu" in name and value} == {}


CACHES = """
import json, os
from crossover.hardware.environment import prepare_process
prepare_process("jax", "gpu", None)
names = ("JAX_COMPILATION_CACHE_DIR", "NVIDIA_TF32_OVERRIDE", "XLA_FLAGS", "TF_XLA_FLAGS")
print(json.dumps([os.environ.get(name) for name in names]))
"""


def test_every_process_compiles_anew():
    found = run(
        CACHES,
        JAX_COMPILATION_CACHE_DIR="/tmp/cache",
        NVIDIA_TF32_OVERRIDE="0",
        XLA_FLAGS="--xla_gpu_per_fusion_autotune_cache_dir=/tmp/x --xla_gpu_graph_level=0",
        TF_XLA_FLAGS="--tf_xla_persistent_cache_directory=/tmp/x",
    )
    assert found == [None, None, "--xla_gpu_graph_level=0", None]


REFUSALS = [
    ({"driver": None}, "A GPU was asked for but no NVIDIA driver is present: use the kernel "),
    ({"built_for": None}, PRESENT + "torch is installed without CUDA: run 'make clean-env report"),
    ({"hidden_by": "CUDA_VISIBLE_DEVICES=7"}, PRESENT + "CUDA_VISIBLE_DEVICES=7 hid"),
    ({"driver_cuda": (11, 4)}, PRESENT + "runs CUDA up to 11.4 and torch needs 12: update the dri"),
    ({"capability": (3, 5)}, PRESENT + "its compute capability 3.5 is too old for torch, which n"),
    ({"capability": (12, 0)}, PRESENT + "its compute capability 12.0 is newer than this torch, wh"),
    ({}, PRESENT + "torch cannot start it: the libraries of CUDA 12.5.1 are missing or broken: r"),
]


@pytest.mark.parametrize(("changes", "start"), REFUSALS)
def test_each_reason_has_its_sentence_and_remedy(changes, start):
    sentence = why_no_gpu("torch", replace(CARD, **changes))
    assert sentence.startswith(start)
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_a_card_that_is_too_new_for_tensorflow_is_one_for_jax():
    built = ("sm_60", "sm_70", "sm_80", "sm_89", "compute_90")
    new = replace(CARD, capability=(12, 0), architectures=built)
    assert why_no_gpu("tensorflow", new) == (
        PRESENT + "its compute capability 12.0 is newer than this tensorflow, which knows cards up "
        "to 9.0: run 'make report BACKEND=jax', for JAX makes its code for the card it finds."
    )
    assert why_no_gpu("jax", new).endswith("which knows cards up to 9.0: update jax.")


def test_an_old_card_is_told_apart_by_jax_too():
    old = replace(CARD, capability=(6, 1), architectures=tuple(jax.CARDS["13"]))
    assert "6.1 is too old for jax, which needs 7.5: use the kernel" in why_no_gpu("jax", old)


FACTS = """
import json
from dataclasses import asdict
from crossover.hardware.refusal import gather_facts
from crossover.hardware.runtimes.jax import Runtime
print(json.dumps(asdict(gather_facts(Runtime(None)))))
"""


def test_the_capability_is_that_of_the_card_that_cuda_calls_first(driver):
    assert run(FACTS, *driver.values(), FIXTURE_CAPABILITY="12.0")["capability"] == [12, 0]
    assert run(FACTS, driver["nvml"])["capability"] is None


@pytest.mark.parametrize("broken", ["cast", "nn.relu", "random.uniform", "function"])
def test_a_card_on_which_part_of_a_step_fails_is_not_started(broken, monkeypatch):
    """As a card does that is newer than TensorFlow: its products work, other kernels don't."""
    # Other tests may have started it in this process.
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    tf = pytest.importorskip("tensorflow")

    def fails(*_, **__):
        raise tf.errors.InternalError(None, None, "CUDA_ERROR_INVALID_HANDLE")

    class Part:
        def __init__(self, whole, path):
            self.whole, self.path = whole, path

        def __getattr__(self, name):
            path = f"{self.path}.{name}".lstrip(".")
            if path == broken:
                return fails
            found = getattr(self.whole, name)
            return Part(found, path) if broken.startswith(f"{path}.") else found

    assert tensorflow.Runtime(Part(tf, "")).start("cpu") is None
    assert tensorflow.Runtime(tf).start("cpu") == "CPU:0"


def test_unknown_facts_are_never_the_reason():
    bare = GpuFacts(driver="555.42", cards=("Card",), built_for="12.5")
    assert "are missing or broken" in why_no_gpu("jax", bare)


@pytest.mark.parametrize(
    ("variables", "hidden_by"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES=-1"),
        ({"JAX_PLATFORMS": "cpu"}, "JAX_PLATFORMS=cpu"),
        ({"JAX_PLATFORMS": "cuda,cpu"}, None),
    ],
)
def test_the_variable_that_hides_the_card_is_named(driver, variables, hidden_by):
    assert run(FACTS, *driver.values(), **variables)["hidden_by"] == hidden_by


def test_a_driver_whose_card_tensorflow_cannot_start_is_told_apart(driver, tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(driver["nvml"]))
    run = papermill("train.ipynb", tmp_path / "t.ipynb", "crossover-gpu", output=tmp_path / "out")
    assert run.returncode != 0
    assert "NVIDIA driver 555.42 shows Slow Card, Fast Card, but tensorflow cannot" in run.stderr
    assert not (tmp_path / "out").exists()


def test_a_backend_that_is_not_installed_is_one_sentence():
    script = """
import json, sys
sys.modules["torch"] = None
from crossover.hardware.device import DeviceError, start_device
try:
    start_device("torch", "cpu")
except DeviceError as error:
    print(json.dumps(str(error)))
"""
    assert run(script).startswith("the backend torch is not installed in this environment: run '")


def test_the_cpu_kernel_hides_every_accelerator_and_the_gpu_kernel_leaves_the_scheduler_s(tmp_path):
    install_kernels(str(tmp_path))
    kernels = tmp_path / "share" / "jupyter" / "kernels"
    cpu, gpu = (
        json.loads((kernels / f"crossover-{device}" / "kernel.json").read_text())["env"]
        for device in ("cpu", "gpu")
    )
    assert cpu["CUDA_VISIBLE_DEVICES"] == "-1"
    assert cpu["JAX_PLATFORMS"] == cpu["KERAS_TORCH_DEVICE"] == "cpu"
    assert gpu == {"CROSSOVER_DEVICE": "gpu"}


def test_a_scheduler_s_card_stays_the_process_s(monkeypatch):
    script = """
import json, os
from crossover.hardware.environment import prepare_process
prepare_process("jax", "gpu", None)
print(json.dumps([os.environ["CUDA_VISIBLE_DEVICES"],
                  os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"]]))
"""
    assert run(script, CUDA_VISIBLE_DEVICES="GPU-8f1e") == ["GPU-8f1e", "false"]
