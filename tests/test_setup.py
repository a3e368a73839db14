"""The environment: found, made, and made anew, by the real `make` on a project of three files."""

import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import outside
from crossover.paths import PROJECT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")

# A build backend of the standard library: it installs a link to the project's notebooks.
BACKEND = """
import os, zipfile

def _wheel(folder):
    name = "crossover-1.dist-info"
    files = {
        "crossover.pth": os.path.join(os.getcwd(), "notebooks") + "\\n",
        f"{name}/METADATA": "Metadata-Version: 2.1\\nName: crossover\\nVersion: 1\\n",
        f"{name}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{name}/RECORD"] = "".join(f"{path},,\\n" for path in files)
    wheel = "crossover-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory)

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory)
"""
PYPROJECT = """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "crossover"
version = "1"
"""
FILES = {
    "backend.py": BACKEND,
    "pyproject.toml": PYPROJECT,
    "requirements/cpu.txt": "# Nothing.\n",
    "requirements/test.txt": "# Nothing more.\n",
    "notebooks/tensorflow.py": "",
    "notebooks/keras.py": "",
    "notebooks/papermill.py": "",
    "notebooks/crossover/__init__.py": "",
    "notebooks/crossover/__main__.py": "import sys; print('ran', *sys.argv[1:])",
    "notebooks/crossover/study/__init__.py": "",
    "notebooks/crossover/study/run.py": "",
}


@pytest.fixture
def small(tmp_path):
    """A project with the real Makefile and script, whose locks and packages are empty."""
    folder = tmp_path / "ein Ordner mit é"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in ("Makefile", "requirements/environment.py"):
        shutil.copy(PROJECT / name, folder / name)
    return folder


TOOLS = ("sh", "make", "mktemp", "rmdir", "id", "grep", "sed", "expand")


def environment(folder, **changes):
    """Variables of a machine with make and one Python: no uv, whatever this one has."""
    tools = folder.parent / "tools"
    if not tools.exists():
        tools.mkdir()
        for tool in TOOLS:
            (tools / tool).symlink_to(shutil.which(tool))
    own = {name: value for name, value in outside().items() if not name.startswith("MAKE")}
    own |= {"PATH": str(tools), "HOME": str(tools.parent), "TMPDIR": str(tools.parent)}
    own |= {"PYTHON": sys.executable, "LC_ALL": "C"}
    own.pop("PYTHONPATH", None)
    return {name: value for name, value in (own | changes).items() if value is not None}


def make(folder, *words, **changes):
    """Run make to its end; return exit code, output and errors without make's own line."""
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=folder, capture_output=True, text=True,
        env=environment(folder, **changes), timeout=300,
    )  # fmt: skip
    err = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    return done.returncode, done.stdout, "\n".join(err)


def works(folder, *words, **changes):
    """The same command, twice: the first makes the environment, the second only runs."""
    code, out, err = make(folder, "report", *words, **changes)
    assert (code, err) == (0, ""), out + err
    first = out
    code, out, err = make(folder, "report", *words, **changes)
    assert (code, err) == (0, "")
    assert out == "ran report\n"
    return first


def test_an_environment_is_made_once(small):
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    out = works(small)
    assert out.startswith(f"Creating the environment in .venv with Python {version} (/")
    assert out.endswith("ran report\n")
    assert json.loads((small / ".venv" / "ready").read_text())["project"] == str(small)
    # Test packages are added to what is there.
    code, out, _ = make(small, "tested")
    assert code == 0
    assert out == "Installing the locked test packages; this takes a few minutes once\n"
    assert make(small, "report")[1] == "ran report\n"
    assert make(small, "tested")[1] == ""


@pytest.mark.parametrize("verb", ["report", "predict", "lint", "clean-env"])
def test_a_misspelt_setting_is_refused_before_anything_is_made(verb, small):
    code, out, err = make(small, verb, "WIDTH=4", "PARAMETERS=5")
    assert (code, out) == (2, "")
    assert err == "crossover: unknown setting WIDTH: did you mean WIDTHS?"
    assert "known are WIDTHS, DEVICES" in make(small, verb, "X=1")[2]
    assert not (small / ".venv").exists()


def test_nothing_is_installed_without_hashes(small):
    assert make(small, "tested")[0] == 0
    log = (small / "data" / "runs" / "environment.log").read_text()
    installs = [shlex.split(line) for line in log.splitlines() if " install --quiet " in line]
    assert len(installs) == 3
    for words in installs:
        assert "--require-hashes" in words or {"--no-deps", "--no-index"} <= set(words)


def spoil_unfinished(folder):
    (folder / ".venv" / "ready").rename(folder / ".venv.making")
    shutil.rmtree(folder / ".venv" / "lib")


def spoil_half_made(folder):
    shutil.rmtree(folder / ".venv")
    (folder / ".venv.making").touch()
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)


def spoil_python(folder):
    (folder / ".venv" / "bin" / "python").unlink()
    (folder / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3.0")


def spoil_stamp(folder):
    (folder / ".venv" / "ready").write_text("")


def spoil_lock(folder):
    (folder / "requirements" / "cpu.txt").write_text("# Something else.\n")


SPOILT = {
    spoil_unfinished: "was not finished, or is of an earlier version",
    spoil_half_made: "was not finished, or is of an earlier version",
    spoil_python: "has lost its Python 3.",
    spoil_stamp: "was not finished, or is of an earlier version",
    spoil_lock: "holds other packages than the lock",
}


@pytest.mark.long
def test_a_spoilt_environment_is_made_anew(small):
    works(small)
    for spoil, reason in SPOILT.items():
        spoil(small)
        assert f"The environment in .venv {reason}" in works(small), spoil
        assert not (small / ".venv.before").exists()
        assert not (small / ".venv.making").exists()


@pytest.mark.long
def test_a_moved_or_copied_project_gets_its_own_environment(small, tmp_path):
    works(small)
    copy = Path(shutil.copytree(small, tmp_path / "copy", symlinks=True))
    moved = small.rename(tmp_path / "moved")
    for folder in (copy, moved):
        package = folder / "notebooks" / "crossover" / "__main__.py"
        package.write_text("print(__file__)")
        code, out, err = make(folder, "report")
        assert (code, err) == (0, "")
        assert f"was made for {small}: making it anew" in out
        assert Path(out.splitlines()[-1]).resolve() == package


def test_a_link_to_the_project_is_the_same_project(small, tmp_path):
    works(small)
    (tmp_path / "link").symlink_to(small)
    assert make(tmp_path / "link", "report")[1] == "ran report\n"


@pytest.mark.long
@pytest.mark.parametrize("moment", ["pyvenv.cfg", "bin/pip", "lib"])
def test_a_kill_while_it_is_made_strands_nobody(moment, small):
    door = subprocess.Popen(
        ["make", "report"], cwd=small, env=environment(small), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (small / ".venv" / moment).exists():
        assert door.poll() is None
        time.sleep(0.01)
    os.killpg(door.pid, signal.SIGKILL)
    door.wait()
    assert "was not finished" in works(small)


@pytest.mark.long
def test_a_failed_installation_keeps_what_was_whole(small):
    works(small)
    (small / ".venv" / "mark").touch()
    lock = small / "requirements" / "cpu.txt"
    lock.write_text("unhashed==1.0\n")
    for _ in range(2):  # Only the lock has changed: what is there still serves.
        code, out, err = make(small, "report", "WIDTHS=4 8")
        assert (code, out.splitlines()[-1]) == (0, "ran report WIDTHS=4 8")
        assert "all messages: data/runs/environment.log. Going on with the packages that" in err
        assert (small / ".venv" / "mark").exists()
    moved = small.rename(small.parent / "moved")
    for _ in range(2):
        code, _, err = make(moved, "report", "WIDTHS=4 8")
        assert code != 0
        assert err.startswith("crossover: the environment could not be made: ")
        assert "all messages: data/runs/environment.log. Then run 'make report WIDTHS=" in err
        assert (moved / ".venv" / "mark").exists()
    small = moved.rename(small)
    lock.write_text("# Mended.\n")
    works(small)
    assert not (small / ".venv" / "mark").exists()


@pytest.mark.long
def test_what_cannot_be_added_leaves_what_was_whole(small):
    works(small)
    lock = small / "requirements" / "test.txt"
    lock.write_text("unhashed==1.0\n")
    for _ in range(2):
        code, _, err = make(small, "tested")
        assert code != 0
        assert err.startswith("crossover: the environment could not be made: ")
        assert make(small, "report")[1] == "ran report\n"
    # Cut off where nothing can be written back, it is looked at by the next command.
    (small / ".venv" / "ready").rename(small / ".venv" / "ready.old")
    assert make(small, "report")[1] == "ran report\n"
    (small / ".venv" / "ready").rename(small / ".venv" / "ready.old")
    (small / "notebooks" / "keras.py").write_text("raise ImportError('torn')")
    assert "was not finished" in make(small, "report")[1]


@pytest.mark.long
def test_a_lock_with_cuda_serves_where_no_card_is_seen(small):
    (small / "requirements" / "cuda.txt").write_text("# With CUDA.\n")
    code, out, _ = make(small, "report", "LOCK=cuda")
    assert (code, "packages (cuda)" in out) == (0, True)
    assert make(small, "report")[1] == "ran report\n"
    assert "holds other packages than the lock" in make(small, "report", "LOCK=cpu")[1]


@pytest.mark.long
def test_a_card_that_the_drivers_library_shows_brings_cuda(small, driver):
    """Without `nvidia-smi`, as on WSL 2 and in containers; and where the driver came later."""
    (small / "requirements" / "cuda.txt").write_text("# With CUDA.\n")
    assert "packages (cpu)" in make(small, "report")[1]
    shown = {"LD_LIBRARY_PATH": str(driver["nvml"])}
    out = make(small, "report", **shown)[1]
    assert out.startswith("The environment in .venv was made without CUDA, and there is an NVIDIA ")
    assert "packages (cuda)" in out
    assert make(small, "report", **shown)[1] == "ran report\n"
    # The advice of a refusal, `make clean-env`, brings them back; a lock that is named is meant.
    make(small, "clean-env", **shown)
    assert "packages (cpu)" in make(small, "report", "LOCK=cpu", **shown)[1]


@pytest.mark.parametrize(("libraries", "there"), [(["nvml"], True), (["cuda"], True), ([], False)])
def test_either_of_the_drivers_libraries_shows_the_card(driver, libraries, there):
    script = "import environment; print(environment.card_is_there())"
    shown = {"LD_LIBRARY_PATH": ":".join(str(driver[name]) for name in libraries)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT / "requirements", capture_output=True,
        text=True, env=outside(**shown, CUDA_VISIBLE_DEVICES="0"),
    )  # fmt: skip
    assert done.stdout == f"{there}\n", done.stderr


@pytest.mark.long
def test_a_system_framework_stays_as_it_is(small, driver):
    (small / "requirements" / "cuda.txt").write_text("# With CUDA.\n")
    out = make(small, "report", "VENV=system", LD_LIBRARY_PATH=str(driver["nvml"]))[1]
    assert "(cuda)" not in out
    assert "ran report" in out


@pytest.mark.long
def test_packages_that_cannot_be_imported_are_not_called_ready(small):
    path = small / "notebooks" / "tensorflow.py"
    path.write_text("raise ImportError('half unpacked')")
    code, _, err = make(small, "report")
    assert code != 0
    assert "could not be made: ImportError: half unpacked; all messages" in err
    assert not (small / ".venv").exists()
    path.write_text("")
    works(small)


@pytest.mark.long
def test_pip_installs_what_uv_cannot(small, tmp_path):
    environment(small)
    uv = tmp_path / "tools" / "uv"
    fails = "#!/bin/sh\necho error: no such index >&2; exit 2\n"
    creates = f'#!/bin/sh\n[ "$1" = venv ] && exec "{sys.executable}" -m venv --without-pip .venv\n'
    for script, what in ((fails, "create it"), (creates + fails[10:], "install the packages")):
        uv.write_text(script)
        uv.chmod(0o755)
        out = works(small)
        assert f"uv could not {what} (no such index; all messages: data/runs/environ" in out
        assert "environment.log); trying venv.\n" in out
        shutil.rmtree(small / ".venv")
    uv.write_text("#!/nonexistent/python\n")
    assert "uv could not create it (" in works(small)
    uv.unlink()  # What installed the environment may be gone when more is to be installed.
    assert make(small, "tested")[0] == 0


def test_a_folder_that_is_no_environment_is_never_removed(small, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("thesis.txt", "pyvenv.cfg"):  # An environment of somebody's is not ours either.
        (tmp_path / "mine" / name).touch()
        code, _, err = make(small, "report", f"VENV={tmp_path}/mine")
        assert code != 0
        assert err.startswith(f"crossover: VENV is {tmp_path}/mine, which `make` has not made")
        assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.long
def test_somebodys_own_environment_is_kept_aside(small):
    for number in (1, 2):
        (small / ".venv").mkdir()
        for name in ("pyvenv.cfg", "mine"):
            (small / ".venv" / name).touch()
        out = make(small, "report")[1]
        kept = f".venv is not of this project's making: kept as .venv.other-{number}.\n"
        assert out.startswith(kept)
        assert (small / f".venv.other-{number}" / "mine").exists()
        (small / ".venv.before").mkdir(exist_ok=True)  # A name that somebody may use as well.
        assert make(small, "clean-env")[1] == (
            "No environment is left in .venv; the next verb makes one.\n"
        )
        assert (small / ".venv.before").exists()
        assert not (small / ".venv").exists()


def bare_python(folder, *packages):
    """A Python of its own folder with no ensurepip, and of this one's packages only these."""
    base = Path(sys.base_prefix)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "bin").mkdir(parents=True)
    shutil.copy(Path(os.path.realpath(sys.executable)), folder / "bin" / name)
    library = Path(os.__file__).parent
    inside = folder / library.relative_to(base)
    inside.mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in ("ensurepip", "site-packages", "dist-packages"):
            (inside / path.name).symlink_to(path)
    (inside / "site-packages").mkdir()
    for package in packages:
        found = importlib.util.find_spec(package)
        if found is None:
            pytest.skip(f"this environment, made by uv, has no {package}")
        (inside / "site-packages" / package).symlink_to(Path(found.origin).parent)
    python = folder / "bin" / name
    command = [python, "-I", "-c", "import sys; print(sys.prefix)"]
    if subprocess.run(command, capture_output=True, text=True).stdout.strip() != str(folder):
        pytest.skip("this Python does not run from another folder")
    return python


@pytest.mark.long
def test_a_python_without_ensurepip_is_told_what_it_lacks(small, tmp_path):
    python = bare_python(tmp_path / "bare")
    for _ in range(2):
        code, _, err = make(small, "report", "WIDTHS=4", PYTHON=str(python))
        assert code != 0
        assert f"({python}) cannot make an environment, for its ensurepip is missing" in err
        assert err.endswith("then run 'make report WIDTHS=\"4\"' again.")
        assert not (small / ".venv").exists()
    library = next((tmp_path / "bare").glob("lib*/python3*"))
    (library / "ensurepip").symlink_to(Path(os.__file__).parent / "ensurepip")
    works(small, PYTHON=str(python))


@pytest.mark.long
def test_the_systems_pip_installs_where_there_is_no_ensurepip(small, tmp_path):
    python = bare_python(tmp_path / "bare", "pip")
    works(small, PYTHON=str(python))
    assert not (small / ".venv" / "bin" / "pip").exists()


def pretender(path, version):
    """A command that gives itself out for a Python of a version; '' runs nothing at all."""
    script = "#!/bin/sh\nexit 127\n"  # As version managers leave one that is not installed.
    if version:
        script = f'#!/bin/sh\ncase "$3" in *executable*) echo {version}; echo {sys.executable};;\n'
        script += f'*) exec "{sys.executable}" "$@";; esac\n'
    path.write_text(script)
    path.chmod(0o755)


def test_the_right_python_is_found_among_others(small, tmp_path):
    """The default is 3.14: an older one that can make an environment is taken, and named."""
    environment(small)
    places = tmp_path / "tools"
    for name, version in (("python3", "3.14"), ("python3.13", ""), ("python3.12", "3.12")):
        pretender(places / name, version)
    only_here = {"PYTHON": None}
    out = make(small, "ready", **only_here)[1]
    assert "Creating the environment in .venv with Python 3.12 (" in out
    (places / "python3.12").unlink()
    shutil.rmtree(small / ".venv", ignore_errors=True)
    code, _, err = make(small, "ready", "WIDTHS=4 8", **only_here)
    assert code != 0
    assert "3.12 or 3.13; found here: 3.14 (python3). Get one with '" in err
    assert err.endswith('or name one: make ready WIDTHS="4 8" PYTHON=/path/to/python3.13')


LOCK = """numpy==0.1 ; python_version > '3' \\
    --hash=sha256:{0}
tensorflow==0.1 \\
    --hash=sha256:{0}
    # via crossover
""".format("0" * 64)


@pytest.mark.long
def test_the_systems_framework_is_used_and_what_it_needs(small, tmp_path):
    (small / "requirements" / "cpu.txt").write_text(LOCK)  # No such version can be installed.
    (small / "notebooks" / "tensorflow.py").unlink()
    python = bare_python(tmp_path / "bare", "pip")
    for _ in range(2):
        code, _, err = make(small, "report", "VENV=system", PYTHON=str(python))
        assert code != 0
        assert err.startswith(f"crossover: VENV=system: {python} has no tensorflow: leave VENV out")
        assert not (small / ".venv-system").exists()
    packages = next((tmp_path / "bare").glob("lib*/python3*/site-packages"))
    (packages / "tensorflow").mkdir()
    (packages / "tensorflow" / "__init__.py").touch()
    for name, needs in (("tensorflow", ["NumPy>=0.1", "keras", "x; extra == 'y'"]), ("numpy", [])):
        about = packages / f"{name}-9.dist-info"
        about.mkdir()
        requires = "".join(f"Requires-Dist: {need}\n" for need in needs)
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 9\n"
        (about / "METADATA").write_text(head + requires)
        (about / "top_level.txt").write_text(name)
    works(small, "VENV=system", PYTHON=str(python))
    assert (small / ".venv-system" / "cpu.txt").read_text() == ""


WHERE = """import os
for name in ("HOME", "MPLCONFIGDIR", "IPYTHONDIR"):
    print(name, os.environ[name])
assert "MPLBACKEND" not in os.environ
"""


@pytest.mark.long
def test_what_libraries_write_goes_to_the_project(small, tmp_path):
    (small / "notebooks" / "crossover" / "__main__.py").write_text(WHERE)
    runs = small / "data" / "runs"
    own = {
        "MPLCONFIGDIR": runs / "cache" / "matplotlib",
        "IPYTHONDIR": runs / "cache" / "ipython",
    }

    def told(**changes):
        clean = dict.fromkeys(own)
        code, out, err = make(small, "report", **(clean | changes))
        assert (code, err) == (0, "")
        return dict(line.split(" ", 1) for line in out.splitlines()[-3:])

    home = {"HOME": str(tmp_path)}
    assert told(**home) == home | {name: str(path) for name, path in own.items()}
    assert told(HOME="/nonexistent")["HOME"] == str(runs / "home")
    assert told(HOME=None)["HOME"] == str(runs / "home")
    assert told(HOME="/proc")["HOME"] == str(runs / "home")  # Nobody can write there, not root.
    assert told(MPLCONFIGDIR="/mine")["MPLCONFIGDIR"] == "/mine"
    told(MPLBACKEND="module://a_notebooks_own.backend")
