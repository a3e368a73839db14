"""Make the environment of a backend from the locks beside this file, or find it whole.

    python3 requirements/environment.py VENV BACKEND LOCK [LOCK ...]
    python3 requirements/environment.py VENV BACKEND --remove

`make` calls it before every verb. An environment is whole when its file `ready`, written when all
of it had worked, names this folder, its Python and these locks; anything else is made anew. While
that goes on, a file `VENV.making` lies beside it. What neither file claims is somebody's own and
is never removed. Any Python from 3.7 on reads this script, which needs the standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

REQUIREMENTS = Path(__file__).resolve().parent
PROJECT = REQUIREMENTS.parent
# What installing the project itself reads.
PACKAGE = PROJECT / "pyproject.toml"
LOG = PROJECT / "data" / "runs" / "environment.log"
SUPPORTED = ("3.13", "3.12", "3.11")
# The command that the user typed, for sentences that say what to type next.
COMMAND = os.environ.get("CROSSOVER_COMMAND") or "make report"
FACTS = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
# The lock of the same framework with CUDA, which serves where the plain one is wanted.
WITH_CUDA = {"cpu": "cuda", "jax": "jax-cuda"}
OTHER_LOCK = "holds other packages than the lock"
NO_CUDA = "was made without CUDA, and there is an NVIDIA card now"
# The driver's libraries, and for each how to start it and to count its cards. WSL 2 keeps them in a
# folder of its own; containers and it often lack `nvidia-smi`.
DRIVERS = {
    "libnvidia-ml.so.1": ("nvmlInit_v2", "nvmlDeviceGetCount_v2"),
    "libcuda.so.1": ("cuInit", "cuDeviceGetCount"),
}
DRIVER_FOLDERS = ("", "/usr/lib/wsl/lib/")
# What a framework of the system's is used with: itself and all that it needs. But Keras, which the
# project pins, and two of plain Python of which newer packages need newer ones.
KEPT = """
import importlib.metadata as m, re, sys
left, kept = m.packages_distributions().get(sys.argv[1], []), set()
while left:
    name = re.sub("[-_.]+", "-", left.pop()).lower()
    if name in kept or name in ("keras", "packaging", "typing-extensions"):
        continue
    try:
        needs = m.requires(name) or []
    except m.PackageNotFoundError:
        continue
    kept.add(name)
    left += [re.match("[A-Za-z0-9._-]+", need)[0] for need in needs if "extra ==" not in need]
print(*sorted(kept | set(sys.argv[1:] if kept else [])))
"""


class SetupError(Exception):
    """The environment cannot be made; the text is one sentence."""


class StepError(Exception):
    """A command failed; the text says why in one line."""


class Way(NamedTuple):
    """A way to make an environment: the command that does, and the installer of packages."""

    name: str
    make: list[str]
    install: list[str]


def main(words: list[str]) -> int:
    """Make the environment unless it is whole; return an exit code."""
    folder, backend, locks = (PROJECT / words[0]), words[1], words[2:]
    for stream in (sys.stdout, sys.stderr):  # A folder's name may be in another encoding.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        check_settings()
        with one_at_a_time():
            clean(folder) if locks == ["--remove"] else setup(folder, backend, locks)
    except SetupError as error:
        return refuse(str(error))
    except StepError as error:
        return refuse(f"the environment could not be made: {error}. Then run '{COMMAND}' again.")
    except OSError as error:
        return refuse(
            f"the environment could not be made ({error.strerror}): check the free space and the "
            f"folder's permissions, then run '{COMMAND}' again."
        )
    except KeyboardInterrupt:
        refuse(f"stopped: '{COMMAND}' begins the environment anew.")
        return 130
    return 0


def check_settings() -> None:
    """Refuse a setting that no verb knows before minutes are spent on it."""
    known = os.environ.get("CROSSOVER_KNOWN", "").split()
    for name in os.environ.get("CROSSOVER_UNKNOWN", "").split():
        near = difflib.get_close_matches(name.upper(), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
        raise SetupError(f"unknown setting {name}: {hint}")


def refuse(sentence: str) -> int:
    """Say what is wrong; return an exit code."""
    print(f"crossover: {sentence}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let a second `make` in this folder wait until the first has made the environment."""
    try:
        import fcntl

        descriptor = os.open(str(REQUIREMENTS), os.O_RDONLY)
        # Installers hold it too: one that outlives a killed make is waited for.
        os.set_inheritable(descriptor, True)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another make sets the environment up: waiting for it.", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError):  # Windows, or a file system without locks.
        descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def setup(folder: Path, backend: str, locks: list[str]) -> None:
    """Do what is missing, from nothing at all to the whole environment."""
    with contextlib.suppress(OSError):  # Libraries write here; IPython wants the folder to exist.
        (PROJECT / "data" / "runs" / "cache").mkdir(parents=True, exist_ok=True)
    recover(folder, backend)
    stamp = read_stamp(folder)
    locks = serving(folder, stamp, locks)
    reason = fault(folder, stamp, locks)
    if reason is None and stamp is not None:
        extend(folder, backend, stamp, locks)
        return
    if reason:
        print(f"The environment in {shown(folder)} {reason}: making it anew.", flush=True)
    try:
        make_anew(folder, backend, locks)
    except (SetupError, StepError) as error:
        if reason not in (OTHER_LOCK, NO_CUDA) or stamp is None:
            raise
        refuse(f"{error}. Going on with the packages that are there.")


def make_anew(folder: Path, backend: str, locks: list[str]) -> None:
    """Choose a Python and make the environment with it."""
    check_place(folder)
    python, version, ways = choose_python(folder)
    print(
        f"Creating the environment in {shown(folder)} with Python {version} ({python})", flush=True
    )
    with replaced(folder):
        install = build(folder, backend, locks, python, ways)
        write_stamp(folder, locks, version, python, install)


def clean(folder: Path) -> None:
    """Remove the environment, if this script has made it."""
    check_place(folder)
    if read_stamp(beside(folder, "before")):
        remove(beside(folder, "before"))
    remove(folder)
    remove(beside(folder, "making"))
    print(f"No environment is left in {shown(folder)}; the next verb makes one.")


def check_place(folder: Path) -> None:
    """Leave alone what this script has not made: move it aside, or refuse what VENV names."""
    if known(folder) or not os.path.lexists(str(folder)):
        return
    if folder.parent != PROJECT or not folder.name.startswith(".venv"):
        raise SetupError(
            f"VENV is {shown(folder)}, which `make` has not made: leave VENV out, or name a folder "
            "that does not exist."
        )
    names = (beside(folder, f"other-{number}") for number in range(1, 1000))
    aside = next(path for path in names if not os.path.lexists(str(path)))
    folder.rename(aside)
    print(f"{shown(folder)} is not of this project's making: kept as {shown(aside)}.", flush=True)


def known(folder: Path) -> bool:
    """Whether this script has made a folder, or had begun to."""
    marks = (folder / "ready", folder / "ready.old", beside(folder, "making"))
    return any(mark.exists() for mark in marks)


def beside(folder: Path, ending: str) -> Path:
    """A name next to the environment's."""
    return folder.with_name(f"{folder.name}.{ending}")


def shown(path: Path) -> str:
    """A path as short as it can be told."""
    try:
        return str(path.relative_to(PROJECT))
    except ValueError:
        return str(path)


# What is there.


def python_of(folder: Path) -> Path:
    """The environment's own Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def digest(path: Path) -> str:
    """A short digest of a file's text."""
    return hashlib.sha256(path.read_text(encoding="utf-8").encode()).hexdigest()[:16]


def lock_digests(locks: Iterable[str]) -> dict[str, str]:
    """The digest of each lock by its name."""
    return {lock: digest(REQUIREMENTS / f"{lock}.txt") for lock in locks}


def read_stamp(folder: Path) -> dict[str, Any] | None:
    """What `ready` says, None where it is missing or says nothing."""
    try:
        stamp = json.loads((folder / "ready").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kinds = {"project": str, "python": str, "base": str, "install": list, "locks": dict}
    sound = isinstance(stamp, dict) and all(isinstance(stamp.get(n), k) for n, k in kinds.items())
    return stamp if sound else None


def write_stamp(
    folder: Path, locks: list[str], version: str, base: str, install: list[str]
) -> None:
    """Say that all of the environment has worked, and with which installer."""
    stamp = {
        "project": str(PROJECT), "python": version, "base": base, "install": install,
        "locks": lock_digests(locks), "package": digest(PACKAGE),
    }  # fmt: skip
    (folder / "ready.new").write_text(json.dumps(stamp), encoding="utf-8")
    (folder / "ready.new").replace(folder / "ready")


def serving(folder: Path, stamp: dict[str, Any] | None, locks: list[str]) -> list[str]:
    """The locks wanted, with CUDA's where there is a card, or where they are installed.

    A login node may show no card. A lock that the user has named is meant, and
    a framework of the system's stays as it is.
    """
    if os.environ.get("CROSSOVER_LOCK_NAMED") or on_system(folder):
        return locks
    installed = stamp["locks"] if stamp else {}
    # The card is asked for only where it matters: its driver may take seconds to start.
    return [WITH_CUDA[k] if k in WITH_CUDA and (WITH_CUDA[k] in installed or card_is_there())
            else k for k in locks]  # fmt: skip


def card_is_there() -> bool:
    """Whether the NVIDIA driver's own libraries show a card; CUDA's packages are Linux's."""
    if not sys.platform.startswith("linux"):
        return False
    for library, (start, number) in DRIVERS.items():
        for place in DRIVER_FOLDERS:
            with contextlib.suppress(OSError, AttributeError):
                driver, count = ctypes.CDLL(place + library), ctypes.c_int()
                getattr(driver, start)(0)
                if getattr(driver, number)(ctypes.byref(count)) == 0 and count.value > 0:
                    return True
    return False


def recover(folder: Path, backend: str) -> None:
    """Call an environment ready again if adding to it was cut off and did no harm."""
    if (folder / "ready.old").exists() and not (folder / "ready").exists():
        with contextlib.suppress(StepError):
            try_imports(folder, backend)
            (folder / "ready.old").replace(folder / "ready")


def fault(folder: Path, stamp: dict[str, Any] | None, locks: list[str]) -> str | None:
    """Why the environment must be made anew: '' if there is none, None if it need not be."""
    if not known(folder):
        return ""
    if stamp is None:
        return "was not finished, or is of an earlier version"
    if stamp["project"] != str(PROJECT):
        return f"was made for {stamp['project']}"
    if facts(python_of(folder))[0] != stamp["python"]:
        return f"has lost its Python {stamp['python']}"
    installed = {lock: found for lock, found in stamp["locks"].items() if lock in locks}
    if not installed and any(WITH_CUDA.get(lock) in locks for lock in stamp["locks"]):
        return NO_CUDA
    if not installed or installed != lock_digests(installed):
        return OTHER_LOCK
    return None


def facts(python: Path | str) -> tuple[str, str]:
    """Version and path of a Python, ('', '') where it does not run."""
    try:
        version, path = asked([str(python), "-I", "-c", FACTS], 60).splitlines()[:2]
    except (StepError, ValueError):
        return "", ""
    return version, path


# Which Python, and how it can make an environment.


def choose_python(folder: Path) -> tuple[str, str, list[Way]]:
    """Find the first Python that is supported and can make an environment.

    Returns its path, its version, and its ways to do so.
    """
    named = os.environ.get("PYTHON")
    names = [named] if named else [f"python{version}" for version in SUPPORTED] + ["python3"]
    if on_system(folder):
        names.reverse()  # The system's framework is its default Python's.
    found: dict[str, str] = {}
    unable = None
    for name in [*names, *([] if named else uv_pythons())]:
        path = which(name, folder)
        version, python = facts(path) if path else ("", "")
        if version:
            found.setdefault(version, name)
        if version in SUPPORTED:
            ways = list(ways_to_make(python, folder))
            if ways:
                return python, version, ways
            unable = unable or (python, version)
    raise SetupError(no_maker(*unable) if unable else no_python(named, found))


def which(name: str, folder: Path) -> str | None:
    """The path of a command that is not the environment's own."""
    own = str(python_of(folder).parent)
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    places = [place for place in places if os.path.realpath(place or ".") != os.path.realpath(own)]
    # Where user installations put commands, on PATH or not.
    places.append(os.path.expanduser("~/.local/bin"))
    return shutil.which(name, path=os.pathsep.join(places))


def uv_pythons() -> list[str]:
    """The Pythons that uv has installed."""
    uv = which("uv", PROJECT / ".venv")
    if uv is None:
        return []
    command = [uv, "python", "find", "--no-project", "--offline", "--no-python-downloads"]
    try:
        return asked([*command, ">=3.11,<3.14"], 60).splitlines()[:1]
    except StepError:
        return []


def ways_to_make(python: str, folder: Path) -> Iterator[Way]:
    """Name, command and installer of each way to make an environment, the best first."""
    inside = str(python_of(folder))
    flags = ["--system-site-packages"] if on_system(folder) else []
    uv, virtualenv = which("uv", folder), which("virtualenv", folder)
    if uv is not None:
        install = [uv, "pip", "install", "--python", inside, "--quiet", "--compile-bytecode"]
        make = [uv, "venv", "--quiet", "--no-project", "--python", python, *flags, str(folder)]
        yield Way("uv", make, install)
    pip = [inside, "-m", "pip", "install", "--quiet"]
    if can(python, "import ensurepip, venv"):
        yield Way("venv", [python, "-m", "venv", *flags, str(folder)], pip)
    if can(python, "import virtualenv"):
        make = [python, "-m", "virtualenv", "--quiet", *flags, str(folder)]
        yield Way("virtualenv", make, pip)
    elif virtualenv is not None:
        make = [virtualenv, "--quiet", "--python", python, *flags, str(folder)]
        yield Way("virtualenv", make, pip)
    if can(python, "import venv; from pip._internal.cli.cmdoptions import python"):
        # pip 22.3 and newer install into another environment than their own.
        install = [python, "-m", "pip", "--python", inside, "install", "--quiet"]
        make = [python, "-m", "venv", "--without-pip", *flags, str(folder)]
        yield Way("the system's pip", make, install)


def can(python: str, statement: str) -> bool:
    """Whether a Python runs a statement."""
    command, nothing = [python, "-I", "-c", statement], subprocess.DEVNULL
    return subprocess.call(command, stdin=nothing, stdout=nothing, stderr=nothing) == 0


def on_system(folder: Path) -> bool:
    """Whether the environment uses the system's packages."""
    return "-system" in folder.name


def no_maker(python: str, version: str) -> str:
    """Say that a Python lacks what makes environments, and how to get it."""
    get = "install uv or virtualenv"
    if distribution() & {"debian", "ubuntu"} and python.startswith("/usr/bin/"):
        get = f"install it with '{as_root()}apt install python{version}-venv'"
    return (
        f"Python {version} ({python}) cannot make an environment, for its ensurepip is missing: "
        f"{get}, then run '{COMMAND}' again."
    )


def no_python(named: str | None, found: dict[str, str]) -> str:
    """Say that no supported Python is there, and how to get one."""
    if named:
        version = next(iter(found), None)
        here = f"PYTHON={named} is {version}" if version else f"PYTHON={named} does not run"
    else:
        here = "found here: " + (", ".join(f"{v} ({n})" for v, n in found.items()) or "none")
    system = distribution()
    get = "uv python install 3.13"
    if which("uv", PROJECT / ".venv") is None:
        if system & {"debian", "ubuntu"}:
            get = f"{as_root()}apt install pipx && pipx install uv && ~/.local/bin/{get}"
        elif system & {"fedora"}:
            get = f"{as_root()}dnf install python3.13"
        elif sys.platform == "darwin":
            get = "brew install python@3.13"
        else:
            get = f"pipx install uv && ~/.local/bin/{get}"
    return (
        f"Crossover needs Python 3.11, 3.12 or 3.13; {here}. Get one with '{get}', or name one: "
        f"{COMMAND} PYTHON=/path/to/python3.13"
    )


def distribution() -> set[str]:
    """The names that a Linux distribution gives itself and its kin."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return set()
    found = re.findall(r"^(?:ID|ID_LIKE)=(.*)$", text, re.MULTILINE)
    return {word for value in found for word in value.strip("\"'").split()}


def as_root() -> str:
    """What goes before a command that only root may run."""
    return "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "


# Making it.


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[None]:
    """Make a folder anew; what was whole before comes back if that fails."""
    before, making = beside(folder, "before"), beside(folder, "making")
    if read_stamp(folder) and not before.exists():
        folder.rename(before)
    making.touch()
    remove(folder)
    try:
        yield
    except BaseException:
        remove(folder)
        if read_stamp(before):
            before.rename(folder)
        raise
    else:
        if read_stamp(before):
            remove(before)
    finally:
        remove(making)


def remove(folder: Path) -> None:
    """Remove a folder, or what stands in its place."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def build(folder: Path, backend: str, locks: list[str], python: str, ways: list[Way]) -> list[str]:
    """Create the environment and fill it; return the installer. Where uv cannot, pip may."""
    reason = ""
    for name, make, install in ways:
        if reason:
            print(f"{reason}; trying {name}.", flush=True)
        try:
            remove(folder)
            run(make)
        except StepError as error:
            reason = f"{name} could not create it ({error})"
            continue
        try:
            fill(folder, backend, locks, python, install)
            return install
        except StepError as error:
            if name != "uv" or len(ways) == 1:
                raise
            reason = f"uv could not install the packages ({error})"
    raise StepError(reason)


def fill(folder: Path, backend: str, locks: list[str], python: str, install: list[str]) -> None:
    """Install the locks and the project, then see that both can be imported."""
    if on_system(folder):
        share_packages(folder, python)
        print(f"Using {backend} and what it needs as {python} has them", flush=True)
    for lock in locks:
        what = "test packages" if lock == "test" else f"packages ({lock})"
        print(f"Installing the locked {what}; this takes a few minutes once", flush=True)
        requirements, flags = REQUIREMENTS / f"{lock}.txt", ["--require-hashes"]
        if on_system(folder):
            requirements, flags = without_kept(folder, backend, python, lock), [*flags, "--no-deps"]
        run([*install, *flags, "-r", str(requirements)])
    finish(folder, backend, install)


def finish(folder: Path, backend: str, install: list[str]) -> None:
    """Install the project itself and its kernels, and import what a study imports."""
    python = str(python_of(folder))
    run([*install, "--no-deps", "--no-build-isolation", "--no-index", "-e", "."])
    for link in folder.glob("lib/python*/site-packages/*crossover*.pth"):
        # Relative, thus in ASCII: in the locale C, Python 3.11 dies of a path with an accent.
        own = os.path.relpath(str(PROJECT / "notebooks"), str(link.parent))
        link.write_text(f"{own}\n", encoding="utf-8")
    run([python, "-I", "-m", "crossover", "kernels"])
    try_imports(folder, backend)


def try_imports(folder: Path, backend: str) -> None:
    """Import what a study imports, and take note only if that fails."""
    names = f"{backend}, keras, papermill, crossover.study.run"
    run([str(python_of(folder)), "-I", "-c", f"import {names}"], backend)


def extend(folder: Path, backend: str, stamp: dict[str, Any], locks: list[str]) -> None:
    """Add to a whole environment the locks that it lacks, or the project's own new version."""
    more = [lock for lock in locks if lock not in stamp["locks"]]
    if not more and stamp.get("package") == digest(PACKAGE):
        return
    install = installer(folder, stamp)
    (folder / "ready").replace(folder / "ready.old")
    try:
        if more:
            fill(folder, backend, more, stamp["base"], install)
        else:
            finish(folder, backend, install)
    except BaseException:
        recover(folder, backend)
        raise
    locks = list(dict.fromkeys([*stamp["locks"], *locks]))
    write_stamp(folder, locks, stamp["python"], stamp["base"], install)
    (folder / "ready.old").unlink()


def installer(folder: Path, stamp: dict[str, Any]) -> list[str]:
    """What installed the environment, or what can now that it is gone."""
    if shutil.which(stamp["install"][0]):
        return list(stamp["install"])
    for way in ways_to_make(stamp["base"], folder):
        if not way.install[0].startswith(str(folder)):
            return way.install
    raise StepError(f"{stamp['install'][0]} is gone, and nothing else can install")


def share_packages(folder: Path, python: str) -> None:
    """Let an environment see the packages of a Python that is itself an environment."""
    code = (
        "import site, sys; print(sys.prefix != sys.base_prefix, *site.getsitepackages(), sep='\\n')"
    )
    inside, *paths = asked([python, "-I", "-c", code]).splitlines()
    for packages in folder.glob("lib/python*/site-packages"):
        text = "".join(f"{path}\n" for path in paths if inside == "True")
        (packages / "system.pth").write_text(text, encoding="utf-8")


def without_kept(folder: Path, backend: str, python: str, lock: str) -> Path:
    """Write a lock without what the system's framework brings; return its path."""
    kept = asked([python, "-I", "-c", KEPT, backend]).split()
    if not kept:
        raise SetupError(f"VENV=system: {python} has no {backend}: leave VENV out to install it.")
    text = (REQUIREMENTS / f"{lock}.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    wanted = [entry for entry in entries if re.split("[^A-Za-z0-9._-]", entry)[0] not in kept]
    path = folder / f"{lock}.txt"
    path.write_text("".join(wanted), encoding="utf-8")
    return path


def asked(command: list[str], seconds: float | None = None) -> str:
    """What a command prints; raises StepError if it fails, or takes longer."""
    nothing = subprocess.DEVNULL
    try:
        return subprocess.check_output(
            command, text=True, stderr=nothing, stdin=nothing, timeout=seconds
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        raise StepError(f"{command[0]} does not tell what it was asked") from None


def run(command: list[str], backend: str = "") -> None:
    """Run a command whose words go to the log, and its last error to the user.

    Raises StepError if it fails.
    """
    LOG.parent.mkdir(parents=True, exist_ok=True)
    own = {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment = {**os.environ, **own, **({"KERAS_BACKEND": backend} if backend else {})}
    environment.pop("PYTHONHOME", None)
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, env=environment, cwd=str(PROJECT), close_fds=False,
        )  # fmt: skip
    except OSError as error:
        raise StepError(f"{command[0]} does not run: {error.strerror}") from None
    said = done.stdout.decode("utf-8", "replace")
    with LOG.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"$ {' '.join(shlex.quote(word) for word in command)}\n{said}\n")
    if done.returncode:
        raise StepError(told(said, done.returncode))


UNREACHABLE = (
    "NewConnectionError", "NameResolutionError", "ConnectTimeout", "Failed to fetch",
    "name resolution", "Network is unreachable", "Connection refused",
)  # fmt: skip


def told(said: str, code: int) -> str:
    """What went wrong in one line: the network, the disk, or the last error."""
    log = f"all messages: {shown(LOG)}"
    if "No space left on device" in said:
        return f"the disk is full; {log}"
    if any(word in said for word in UNREACHABLE):
        return f"the package index cannot be reached; {log}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)(error|fatal|\w*Error)\b", line)]
    last = (errors or lines or [f"exit code {code}"])[-1]
    return f"{re.sub(r'^(?i:error): *', '', last)[:300]}; {log}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
