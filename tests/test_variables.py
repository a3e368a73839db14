"""The environment: what is set, what is not heeded, and what is heeded and stands in a record."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from conftest import make_record, outside, papermill
from crossover.hardware import pools
from crossover.hardware.machine import describe_machine
from crossover.hardware.variables import (
    CHOOSING,
    DEFAULTS,
    NOT_HEEDED,
    RECORDED,
    THREADS,
    cleaned,
    ignored_environment,
    ignored_keras_file,
    is_cleared,
    recorded_environment,
)
from crossover.records.frame import MixedTrialsError, check_comparable
from crossover.records.record import Machine, Record, Software
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records, write_record

# Each with a value that would change time or arithmetic, and what is left of it in the record.
HEEDED = {
    "TF_ENABLE_ONEDNN_OPTS": ("0", "0"),
    "XLA_FLAGS": ("--xla_cpu_enable_fast_math=true", "--xla_cpu_enable_fast_math=true"),
    "LD_PRELOAD": ("/home/alice/lib/libjemalloc.so.2:/opt/x.so", "libjemalloc.so.2:x.so"),
    "GLIBC_TUNABLES": ("glibc.malloc.arena_max=1", "glibc.malloc.arena_max=1"),
    "MALLOC_ARENA_MAX": ("1", "1"),
    "OPENBLAS_CORETYPE": ("Haswell", "Haswell"),
    "MKL_CBWR": ("AVX2", "AVX2"),
    "OMP_PROC_BIND": ("close", "close"),
    "CUBLAS_WORKSPACE_CONFIG": (":4096:8", ":4096:8"),
}


@pytest.mark.parametrize("name", HEEDED)
def test_what_is_heeded_is_recorded_without_paths(name):
    given, kept = HEEDED[name]
    assert recorded_environment({name: given, "SECRET_TOKEN": "x", "HOME": "/home/alice"}) == {
        name: kept
    }


def test_defaults_and_empty_values_are_not_recorded():
    assert recorded_environment({**DEFAULTS, "LD_PRELOAD": "", "MALLOC_CONF": "  "}) == {}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("--xla_gpu_cuda_data_dir=/home/alice", "--xla_gpu_cuda_data_dir=(path)"),
        ("prof:true,prof_prefix:/home/alice/p", "prof:true,prof_prefix:(path)"),
        (r"C:\Users\alice\x.dll", "C:x.dll"),
        ("/home/Al Ice/lib/x.so", "(path) x.so"),
        ("~alice alice@host:/x", "(path) (path):(path)"),
        ("a\nb\x1b[31m", "a b[31m"),
        ("../../etc/passwd", "(path)"),
    ],
)
def test_values_are_bounded_and_hold_no_path(value, kept):
    assert cleaned(value) == kept


def test_long_values_that_differ_stay_different():
    flags = "--xla_a=1 " * 30
    name = "--xla_cpu_enable_fast_math"
    one, other = (cleaned(f"{flags}{name}={word}") for word in ("true", "false"))
    assert len(one) == len(other) == 200
    assert one != other


def test_the_lists_know_what_this_tensorflow_reads():
    """The names of oneDNN's and of types' variables in its library, as strings finds them."""
    place = importlib.util.find_spec("tensorflow")
    if place is None:
        pytest.skip("tensorflow is not installed: make test BACKEND=tensorflow")
    found = set()
    for library in Path(place.origin).parent.glob("libtensorflow_*.so.2"):
        names = re.findall(rb"\x00(TF_[A-Z0-9_]*(?:ONEDNN|MKL|FPMATH|ZENDNN)[A-Z0-9_]*)\x00",
                           library.read_bytes())  # fmt: skip
        found |= {name.decode() for name in names}
    assert "TF_ENABLE_ONEDNN_OPTS" in found
    assert [name for name in sorted(found) if name not in RECORDED and not is_cleared(name)] == []


def test_every_variable_has_one_fate():
    fates = [THREADS, NOT_HEEDED, CHOOSING, RECORDED]
    names = [name for fate in fates for name in fate]
    assert len(names) == len(set(names))
    assert not any(is_cleared(name) for name in (*THREADS, *CHOOSING, *RECORDED))
    assert is_cleared("JAX_ENABLE_X64")
    assert is_cleared("KERAS_MAX_EPOCHS")


def test_what_is_not_heeded_is_told():
    given = {
        "OMP_NUM_THREADS": "1", "JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu", "PATH": "/bin",
        "XLA_FLAGS": "--xla_dump_to=/tmp/x --xla_cpu_multi_thread_eigen=false --xla_a=1 flags.txt",
    }  # fmt: skip
    assert ignored_environment(2, given) == {
        "JAX_ENABLE_X64": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_dump_to=(path) --xla_cpu_multi_thread_eigen=false flags.txt",
    }
    assert ignored_environment(2, {"PATH": "/bin", "OMP_NUM_THREADS": "2"}) == {}
    assert recorded_environment(given) == {"XLA_FLAGS": "--xla_a=1"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"floatx": "float64", "epsilon": 1e-07}', ["floatx float64"]),
        ('{"epsilon": 0.1, "image_data_format": "channels_first"}',
         ["epsilon 0.1", "image_data_format channels_first"]),
        ('{"floatx": "float32", "epsilon": 1e-07, "backend": "jax"}', []),
        ("{broken", []),
        ("[1]", []),
        (None, []),
    ],
)  # fmt: skip
def test_what_keras_file_says_otherwise_is_told(text, told, tmp_path):
    if text is not None:
        (tmp_path / "keras.json").write_text(text)
    assert ignored_keras_file({"KERAS_HOME": str(tmp_path)}) == told


HOSTILE = {
    "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1", "NPROC": "1", "PJRT_NPROC": "1", "JAX_ENABLE_X64": "1",
    "JAX_DISABLE_JIT": "1", "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16", "KERAS_MAX_EPOCHS": "1",
    "KERAS_MAX_STEPS_PER_EPOCH": "1", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "TF_FUNCTION_JIT_COMPILE_DEFAULT": "1", "CUDA_LAUNCH_BLOCKING": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false --xla_force_host_platform_device_count=2",
}  # fmt: skip
STATE = """
import json, os, sys
from crossover.hardware.environment import prepare_process, visible_cores
backend, threads = sys.argv[1], json.loads(sys.argv[2])
prepare_process(backend, "cpu", threads)
from crossover.hardware.device import start_device
start_device(backend, "cpu")
import keras
from crossover.hardware.machine import describe_software
found = describe_software(backend, "cpu")
wide = backend == "jax" and __import__("jax").config.jax_enable_x64
print(json.dumps([found.threads, found.pools, found.cuda, visible_cores(), keras.config.floatx(),
                  keras.config.epsilon(), wide]))
"""


def state(backend, threads, tmp_path, **variables):
    """Threads, pools, CUDA, cores, and Keras's settings in a process that was prepared."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: make test BACKEND={backend}")
    (tmp_path / ".keras").mkdir()
    settings = {"floatx": "float64", "epsilon": 1e-3, "image_data_format": "channels_first"}
    (tmp_path / ".keras/keras.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-c", STATE, backend, json.dumps(threads)],
        capture_output=True, text=True,
        env=outside(**{"HOME": str(tmp_path), "KERAS_HOME": ""} | HOSTILE | variables),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("threads", [None, 1])
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_pools_have_the_threads_that_are_meant_whatever_the_environment_says(
    backend, threads, tmp_path
):
    used, pools, cuda, cores, floatx, epsilon, wide = state(backend, threads, tmp_path)
    assert used == pools["arithmetic"] == cores
    assert threads is None or cores == threads
    assert cuda is None
    assert (floatx, epsilon, wide) == ("float32", 1e-7, False)


AGAIN = """
import json, sys
before, after = json.loads(sys.argv[1])
exec(before)
from crossover.hardware.environment import prepare_process, visible_cores
from crossover.hardware.device import DeviceError, start_device
said = []
for threads in after:
    try:
        prepare_process(sys.argv[2], "cpu", threads)
        start_device(sys.argv[2], "cpu")
        said.append(visible_cores())
    except DeviceError as error:
        said.append(str(error))
print(json.dumps(said))
"""


def in_one_process(backend, before, threads):
    """What several starts in one process say, after what else was done in it."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: make test BACKEND={backend}")
    script = [sys.executable, "-c", AGAIN, json.dumps([before, threads]), backend]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_other_threads_in_one_process_need_another_kernel(backend):
    cores = len(os.sched_getaffinity(0))
    first, same, more, many = in_one_process(backend, "", [1, 1, None, cores + 1])
    assert (first, same) == (1, 1)
    if cores > 1:
        assert "restart the kernel, then run all cells" in more
    assert many == f"threads is {cores + 1} but this process may use {cores} cores." or cores == 1


def test_a_tensorflow_that_something_else_started_is_refused():
    before = "import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads(1)\n"
    before += "tf.constant(1)"
    cores = len(os.sched_getaffinity(0))
    (said,) = in_one_process("tensorflow", before, [None])
    assert "had started in this process before" in str(said) or cores == 1


def test_a_user_without_a_home_is_told_all_the_same(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert ignored_keras_file({}) == []


def test_a_broken_keras_file_stops_nothing(tmp_path):
    (tmp_path / "keras.json").write_text('{"floatx": "float8"}')
    script = (
        "from crossover.hardware.environment import prepare_process\n"
        "prepare_process('jax', 'cpu', None)\nimport keras\nprint(keras.config.floatx())"
    )
    environment = outside(KERAS_HOME=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          env=environment)  # fmt: skip
    assert done.stdout.strip() == "float32", done.stderr


def test_a_training_heeds_no_such_variable_and_records_the_others(tmp_path, monkeypatch):
    for name, value in (HOSTILE | {"TF_ENABLE_ONEDNN_OPTS": "0"}).items():
        monkeypatch.setenv(name, value)
    run = papermill("train.ipynb", tmp_path / "t.ipynb", widths="4", epochs=2,
                    output=tmp_path / "trials")  # fmt: skip
    assert run.returncode == 0, run.stderr
    (record,) = read_records(tmp_path / "trials").records
    assert record.environment == {"TF_ENABLE_ONEDNN_OPTS": "0"}
    assert len(record.phases.epochs) == 2
    assert record.history["loss"][0] > record.history["loss"][1]


@pytest.mark.long
def test_a_study_is_not_gone_on_with_in_another_environment(tmp_path, monkeypatch):
    versions = {name: version(name) for name in ("keras", "numpy")}
    first = make_record(
        settings=protocol_settings("published", epochs=1),
        machine=describe_machine("cpu", "CPU:0"),
        software=Software(
            backend=version("tensorflow"), threads=len(os.sched_getaffinity(0)), **versions
        ),
        environment={},
    )
    write_record(tmp_path / "trials", first)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    again = papermill("train.ipynb", tmp_path / "2.ipynb", widths="4", epochs=1, repeat=2,
                      output=tmp_path / "trials")  # fmt: skip
    assert again.returncode != 0
    assert "different environment ('none' and 'TF_ENABLE_ONEDNN_OPTS=0')" in again.stderr
    assert len(read_records(tmp_path / "trials").records) == 1


def with_threads(count):
    return make_record().software.model_copy(update={"threads": count})


UNLIKE = [
    ({"environment": {"A": "1"}}, r"environment \('none' and 'A=1'\)"),
    ({"environment": {}, "software": with_threads(1)}, r"threads \(2 and 1\)"),
    ({"environment": {}, "machine": Machine(cpu_model="Test CPU", visible_cores=2, cpu_quota=0.5)},
     r"CPU quota \(None and 0.5\)"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field"), UNLIKE)
def test_trials_in_other_environments_share_no_curve(changes, field):
    known = {"environment": {}, "software": with_threads(2)}
    with pytest.raises(MixedTrialsError, match=field):
        check_comparable([make_record(**known), make_record(8, **(known | changes))])


def test_records_of_earlier_versions_agree_with_any_environment():
    old = make_record()
    assert old.environment is None
    check_comparable([old, make_record(8, environment={"A": "1"})])
    with pytest.raises(MixedTrialsError, match="environment"):
        check_comparable([old, make_record(8, environment={"A": "1"}),
                          make_record(16, environment={})])  # fmt: skip


def test_nothing_of_it_enters_the_name_of_a_trial(tmp_path):
    old = write_record(tmp_path / "a", make_record())
    new = write_record(tmp_path / "b", make_record(environment={"A": "1"}))
    assert old.name == new.name
    assert protocol_settings("published").digest == make_record().settings.digest
    content = json.loads(old.read_text())
    del content["environment"]
    assert Record.model_validate(json.loads(json.dumps(content)), strict=False).environment is None


def test_threads_that_cannot_be_named_are_unknown_and_fatal_to_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(pools, "OWN", tmp_path / "no" / "comm")
    with pools.naming_threads("mine"):
        assert pools.count_threads() == {}
    (tmp_path / "comm").mkdir()
    monkeypatch.setattr(pools, "OWN", tmp_path / "comm")
    with pools.naming_threads("mine"):
        pass


def test_a_thread_begins_with_the_name_of_the_one_that_starts_it():
    if not pools.OWN.exists():
        pytest.skip("this system does not tell the names of threads")
    leave = threading.Event()
    with pools.naming_threads("mine"):
        threads = [threading.Thread(target=leave.wait) for _ in range(3)]
        for thread in threads:
            thread.start()
    assert pools.count_threads()["mine"] == 3
    leave.set()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 10
    while "mine" in pools.count_threads() and time.monotonic() < until:
        time.sleep(0.01)  # The system ends a thread a moment after Python does.
    assert "mine" not in pools.count_threads()
