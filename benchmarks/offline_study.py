"""The whole study on a machine without a network: pack here, run there.

    python3.12 benchmarks/offline_study.py pack WHEELS    here, with the other's Python version
    python3.12 benchmarks/offline_study.py run WHEELS OUT there: install them, run the study

What the other machine has already (Python, NumPy, pandas, JAX or PyTorch) is
used as it is; nothing outside OUT is written there. Only the standard library
is imported here.
"""

from __future__ import annotations

import argparse
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
PACKAGES += ["nvidia-ml-py", "threadpoolctl", "filelock"]
# Compiled for the other machine's own framework: never replaced.
PRESENT = ("numpy-", "ml_dtypes-")


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


def install(wheels: Path, environment: Path) -> Path:
    """Create an environment on top of this Python's packages; return its Python."""
    venv.create(environment, system_site_packages=True, with_pip=True)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    # This Python's own packages too, where it is itself an environment.
    paths = [str(PROJECT / "notebooks"), *site.getsitepackages()]
    (packages / "crossover.pth").write_text("".join(f"{path}\n" for path in paths))
    command = [python, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={wheels}"]
    subprocess.run([*command, *PACKAGES], check=True)
    subprocess.run([python, "-m", "crossover.kernels"], check=True)
    return python


def main(words: list[str]) -> int:
    """Pack or run, as the command line says."""
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack", help="download what the other machine lacks")
    packing.add_argument("wheels", type=Path)
    running = verbs.add_parser("run", help="install and run there; further options: the study's")
    running.add_argument("wheels", type=Path)
    running.add_argument("out", type=Path)
    running.add_argument("--seconds", type=float, default=570.0, help="the deadline")
    given, study = parser.parse_known_args(words)
    if given.verb == "pack":
        pack(given.wheels)
        return 0
    started = time.monotonic()
    python = install(given.wheels, given.out.resolve() / "environment")
    left = given.seconds - (time.monotonic() - started)
    print(f"Installed; {left:.0f} s left", flush=True)
    command = [python, "-m", "crossover.study.offline", given.out.resolve() / "study"]
    command += [f"--seconds={left}", *study]
    return subprocess.run(list(map(str, command)), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
