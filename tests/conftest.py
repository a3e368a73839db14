"""What the tests share: papermill on the real notebooks, and a record to vary."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest

from crossover.hardware.card import nvidia_driver_version
from crossover.hardware.environment import prepare_process
from crossover.paths import NOTEBOOKS, PROJECT
from crossover.problem import parameter_count
from crossover.records.record import Code, Conditions, Machine, Phases, Record, Software
from crossover.records.settings import Settings, protocol_settings
from crossover.records.storage import write_record

# What the tests' own processes are given: not what this one is prepared with.
OUTSIDE = {**os.environ}
prepare_process("tensorflow", "cpu", None)
PREPARED = {**os.environ}

BIN = Path(sys.executable).parent
FIXTURES = Path(__file__).with_name("fixtures")


# By the seconds that their long tests take together: these begin first, so that no worker is left
# with one of them while the others idle.
LONGEST = ("test_faults.py", "test_goes_on.py", "test_setup.py", "test_clock.py", "test_slurm.py",
           "test_offline.py", "test_backends.py", "test_jupyterlab.py")  # fmt: skip


def pytest_collection_modifyitems(items):
    """Put the tests of the longest files first; pytest-xdist hands files out in this order."""
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


def outside(**more):
    """Variables for another process: without what this one was prepared with, and with more."""
    changed = {name: value for name, value in os.environ.items() if PREPARED.get(name) != value}
    unchanged = {
        name: value for name, value in OUTSIDE.items() if os.environ.get(name) == PREPARED.get(name)
    }
    return unchanged | changed | more


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """Close what a test drew: pyplot keeps figures, and warns of the twenty-first."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def nothing_leaks():
    """Fail a test that leaves the process otherwise than it was: variables, folder, signals."""

    def state():
        numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
        variables = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
        # A framework sets variables of its own when it is imported, once and for good.
        loaded = {"tensorflow", "jax", "torch"} & set(sys.modules)
        return loaded, variables, os.getcwd(), [signal.getsignal(number) for number in numbers]

    before = state()
    yield
    after = state()
    if before[0] != after[0]:
        added = after[1].keys() - before[1].keys()
        before[1].update({name: after[1][name] for name in added})
    assert after[1:] == before[1:], "the test has left something behind for the next"


def papermill(notebook, executed, kernel="crossover-cpu", before=(), **parameters):
    """Execute a source notebook as the README says; return the finished process.

    ``before`` are words that start the command, such as those of ``env``.
    """
    command = [*before, BIN / "papermill", NOTEBOOKS / notebook, executed, "--kernel", kernel]
    command += ["--cwd", NOTEBOOKS, "--no-progress-bar", "--log-level", "ERROR"]
    command += ["--stdout-file", "-"]
    for name, value in parameters.items():
        command += ["-p", name, str(value)]
    environment = outside(CROSSOVER_LOCK=str(Path(executed).with_suffix(".lock")))
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, cwd=PROJECT
    )


def make_record(width=4, repeat=1, device="cpu", fit=12.0, **changes):
    """Return a valid record; times and settings vary, the rest stands still."""
    settings = changes.pop("settings", Settings())
    epochs = [fit * 2 / (settings.epochs + 1)] + [fit / (settings.epochs + 1)] * (
        settings.epochs - 1
    )
    fields = {
        "settings": settings,
        "device": device,
        "device_name": f"{device.upper()}:0",
        "width": width,
        "parameters": parameter_count(width),
        "repeat": repeat,
        "seed": 776 + repeat,
        "position": 1,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "phases": Phases(
            runtime_start=5.0,
            warm_up=1.0,
            warm_up_width=12,
            data=1.0,
            build=0.1,
            epochs=epochs,
            fit=fit,
            evaluate=0.5,
        ),
        "test_accuracy": 0.9,
        "test_loss": 0.3,
        "history": {"loss": [1.0] * settings.epochs},
        "machine": Machine(cpu_model="Test CPU", visible_cores=2),
        "software": Software(python="3.11", backend="2.21.0", keras="3.15.1", numpy="2.4.6"),
        "conditions": Conditions(),
        "code": Code(version="0.1.0", digest="0" * 12),
    }
    return Record(**(fields | changes))


CROSSING_WIDTHS = (4, 32, 128, 512)


def crossing_seconds(device, parameters):
    """Seconds of a made-up machine whose GPU wins from 250,000 parameters on."""
    overhead, each = {"cpu": (5.0, 4e-5), "gpu": (14.0, 4e-6)}[device]
    return overhead + each * parameters


def write_crossing_study(folder, repeats=5, **machine):
    """Write the records of a made-up machine with both devices, in both protocols."""
    owner = Machine(**({"cpu_model": "Test CPU", "gpu_model": "Test GPU"} | machine))
    for protocol, gain in (("published", 1), ("tuned", 4)):
        settings = protocol_settings(protocol)
        for device, width, repeat in product(
            ("cpu", "gpu"), CROSSING_WIDTHS, range(1, repeats + 1)
        ):
            spread = 1 + 0.01 * (repeat - (repeats + 1) / 2)
            seconds = crossing_seconds(device, parameter_count(width)) / gain * spread
            changes = {"settings": settings, "repeat": repeat, "machine": owner}
            write_record(folder, make_record(width, device=device, fit=seconds, **changes))


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A small real sweep in each protocol: the folder of its records and both runs."""
    folder = tmp_path_factory.mktemp("trained")
    runs = [
        papermill(
            "train.ipynb",
            folder / f"{protocol}.ipynb",
            widths="8 4",
            epochs=2,
            protocol=protocol,
            output=folder / "trials",
        )
        for protocol in ("published", "tuned")
    ]
    return folder, runs


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Build stand-ins of the driver's libraries, loaded as the real ones are; their folders."""
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip("the driver's stand-in needs gcc on Linux")
    if nvidia_driver_version() is not None:
        pytest.skip("this machine has a driver of its own")
    folders = {}
    for name, library in (("nvml", "libnvidia-ml.so.1"), ("cuda", "libcuda.so.1")):
        folders[name] = tmp_path_factory.mktemp(name)
        command = ["gcc", "-shared", "-fPIC", f"-D{name.upper()}", FIXTURES / "driver.c"]
        subprocess.run([*command, "-o", folders[name] / library], check=True)
    return folders


@pytest.fixture(scope="session")
def chromium():
    """The path of a Chromium; the test is skipped with its reason where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    return path


@pytest.fixture
def project(tmp_path):
    """A copy of the project without trials, its folder's name holding a space."""
    return copy_project(tmp_path / "a project")


def copy_project(folder):
    """Copy what a study needs; MNIST is linked."""
    for name in ("notebooks", "workflow", "data/reference"):
        skip = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(PROJECT / name, folder / name, ignore=skip)
    (folder / "data" / "mnist.npz").symlink_to(PROJECT / "data" / "mnist.npz")
    return folder


def front_door(project, *words, before=(), **options):
    """Start the project's front door as make does; return the running process."""
    command = [*before, sys.executable, "-m", "crossover", *words]
    paths = [str(project / "notebooks"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = outside(
        PYTHONPATH=os.pathsep.join(paths), CROSSOVER_LOCK=str(project / "timing.lock")
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with heard_signals():
        return subprocess.Popen(command, cwd=project, env=environment, **(pipes | options))


@contextmanager
def heard_signals():
    """Let programs started now hear Ctrl-C and SIGHUP, to which a background job or nohup is deaf.

    A new program ignores what this one ignores, and takes the default of what this one handles.
    """
    signals = (signal.SIGINT, signal.SIGHUP)
    ignored = [one for one in signals if signal.getsignal(one) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def report(project, *words, before=()):
    """Run the front door to its end; return exit code, standard output and error."""
    process = front_door(project, *words, before=before)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


# A limit's files in both versions of control groups, and what each writes for half a core and 2 GB.
HALF_A_CORE = ("cpu", {"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000"})
TWO_GIGABYTES = ("memory", {"memory.limit_in_bytes": "2000000000", "memory.max": "2000000000"})


@pytest.fixture
def granted():
    """Make a real control group with a limit; what is returned are words that start a command."""
    made = []

    def make(controller, files):
        for place in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
            group = place / f"crossover-test-{os.getpid()}"
            with suppress(OSError, StopIteration, subprocess.CalledProcessError):
                group.mkdir()
                made.append(group)
                name = next(name for name in files if (group / name).exists())
                (group / name).write_text(files[name])
                words = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
                subprocess.run([*words, "true"], check=True, capture_output=True)
                return words
        pytest.skip("no control group with a limit can be made here: that needs root, on Linux")

    yield make
    for group in made:
        for _ in range(50):  # Until the last process in it has ended.
            with suppress(OSError):
                group.rmdir()
            if not group.exists():
                break
            time.sleep(0.1)
