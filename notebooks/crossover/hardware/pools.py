"""The threads of this process by their names, where the system tells."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crossover.hardware.sysfiles import read

# The pool that multiplies on the CPU; threads of TensorFlow's are given this name.
ARITHMETIC = "arithmetic"
TASKS = Path("/proc/self/task")
OWN = Path("/proc/thread-self/comm")


def count_threads() -> Counter[str]:
    """How many threads have each name; empty where the system does not tell."""
    if not OWN.exists():
        return Counter()
    return Counter(read(task / "comm") for task in TASKS.iterdir())  # '' for one that has ended.


@contextmanager
def naming_threads(name: str) -> Iterator[None]:
    """Let the threads that are started meanwhile, and get no name of their own, have this one.

    A thread begins with the name of the one that starts it.
    """
    before = read(OWN)
    with suppress(OSError):  # Another system, or one that lets nothing be renamed.
        OWN.write_text(name)
    try:
        yield
    finally:
        with suppress(OSError):
            OWN.write_text(before)
