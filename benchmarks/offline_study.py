"""The whole study on a machine without a network: pack here, run there.

    python3.12 benchmarks/offline_study.py pack WHEELS      here, with the other's Python version
    python3.12 benchmarks/offline_study.py run WHEELS WORK --plan jax --archive OUT/study.tar.gz
    python3.12 benchmarks/offline_study.py run WHEELS WORK BACKEND=jax REPEATS=3

What the other machine has already (Python, NumPy, pandas, JAX or PyTorch) is
used as it is; its Python needs pip, and no ensurepip. Nothing outside WORK and
the archive is written there: the archive holds the trials, ceilings, executed
notebooks and logs so far and is renewed every 20 seconds, so that whatever is
cut off, what had ended is kept. The same command goes on in the same WORK, and
on another machine of the same hardware and software where the archive was
unpacked into WORK/study, or where `make record` kept it as
`data/reference/NAME.jsonl`, with --from NAME. Unpacked into an empty
`data/runs/main`, `make record` and `make partial BACKEND=jax` read it.
Only the standard library is imported here.
"""

import argparse
import os
import re
import site
import subprocess
import sys
import time
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# What the training notebook imports beside a framework; the rest is what these need.
PACKAGES = ["keras", "papermill", "ipykernel", "pydantic", "psutil", "py-cpuinfo"]
PACKAGES += ["nvidia-ml-py", "archspec", "threadpoolctl", "filelock", "pandas"]
# Every framework brings it: what is there satisfies pip and is never replaced.
PRESENT = "numpy-"


def pack(wheels: Path) -> None:
    """Download the packages, in the versions of the lock, for this Python and system."""
    wheels.mkdir(parents=True, exist_ok=True)
    lock = (PROJECT / "requirements" / "jax.txt").read_text(encoding="utf-8")
    pins = wheels / "constraints.txt"
    pins.write_text("".join(f"{pin}\n" for pin in re.findall(r"^\S+==[^\\\n]*", lock, re.M)))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    subprocess.run([*command, f"--dest={wheels}", f"--constraint={pins}", *PACKAGES], check=True)
    for path in wheels.glob("*.whl"):
        if path.name.startswith(PRESENT):
            path.unlink()
    megabytes = sum(path.stat().st_size for path in wheels.iterdir()) / 1e6
    print(f"{len(list(wheels.glob('*.whl')))} wheels, {megabytes:.0f} MB")


def install(wheels: Path, environment: Path, own: dict[str, str]) -> Path:
    """Create an environment on top of this Python's packages; return its Python."""
    venv.create(environment, system_site_packages=True)
    python = environment / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    # This Python's own packages too, where it is itself an environment, and so its pip.
    paths = [str(PROJECT / "notebooks"), *site.getsitepackages()]
    (packages / "crossover.pth").write_text("".join(f"{path}\n" for path in paths))
    command = [python, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={wheels}"]
    # Compiling all modules takes as long as installing them; few are imported.
    command += ["--no-compile", "--no-cache-dir", "--disable-pip-version-check"]
    subprocess.run([*command, *PACKAGES], check=True, env=own)
    subprocess.run([python, "-m", "crossover", "kernels"], check=True, env=own)
    return python


def variables(work: Path) -> dict[str, str]:
    """The environment's variables: all that libraries write lands in a folder of ours."""
    home = work / "home"
    home.mkdir(parents=True, exist_ok=True)
    own = {
        name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    }
    own |= {name: str(home / name.lower()) for name in
            ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR",
             "MPLCONFIGDIR", "PYTHONPYCACHEPREFIX")}  # fmt: skip
    return os.environ | own | {"CROSSOVER_LOCK": str(work / "timing.lock"), "TMPDIR": str(home)}


def setting_names() -> list[str]:
    """The names of a study's settings, as the Makefile lists them, but those of a cluster."""
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    names = re.findall(r"^NAMES := (.*)$", text, re.MULTILINE)[0].split()
    return [name for name in names if name not in ("PROFILE", "PARTITIONS", "NOTEBOOKS")]


def main(words: list[str]) -> int:
    """Pack or run, as the command line says."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack", help="download what the other machine lacks")
    packing.add_argument("wheels", type=Path)
    running = verbs.add_parser("run", help="install and run there; NAME=value: the study's")
    running.add_argument("wheels", type=Path)
    running.add_argument("work", type=Path, help="a folder for the environment and the study")
    running.add_argument("--plan", help="one of benchmarks/plans, or a file: its jobs in its order")
    running.add_argument("--archive", type=Path, help="keep all in this file, renewed meanwhile")
    running.add_argument("--from", dest="reference", metavar="NAME", help="go on with a reference")
    running.add_argument("--seconds", type=float, default=570.0, help="the deadline")
    given, settings = parser.parse_known_args(words)
    names = [] if given.verb == "pack" else setting_names()
    if wrong := [word for word in settings if "=" not in word or word.split("=")[0] not in names]:
        parser.error(f"unknown: {wrong[0]}; settings are {', '.join(names)}")
    if given.verb == "pack":
        pack(given.wheels)
        return 0
    started, work = time.monotonic(), given.work.resolve()
    own = variables(work)
    try:
        python = install(given.wheels.resolve(), work / "environment", own)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"crossover: the packages could not be installed (exit code {error.returncode}, see "
            "above): pack them with this machine's version of Python."
        )
    left = given.seconds - (time.monotonic() - started)
    print(f"Installed; {left:.0f} s left", flush=True)
    command = [python, "-m", "crossover", "offline", f"FOLDER={work / 'study'}", f"SECONDS={left}"]
    if given.plan:
        shipped = PROJECT / "benchmarks" / "plans" / f"{given.plan}.csv"
        plan = shipped if shipped.exists() else Path(given.plan).resolve()
        backend = [f"BACKEND={given.plan}"] if shipped.exists() else []
        command += [f"PLAN={plan}", *backend]
    if given.archive:
        command += [f"ARCHIVE={given.archive.resolve()}"]
    if given.reference is not None:
        command += [f"FROM={given.reference}"]
    # In place of this process: whoever stops it stops the study.
    os.chdir(work)
    os.execve(python, list(map(str, [*command, *settings])), own)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
