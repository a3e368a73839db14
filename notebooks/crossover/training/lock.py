"""One timed sweep at a time on a machine, whatever started it."""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

LOCK_VARIABLE = "CROSSOVER_LOCK"
WAIT_SECONDS = 6 * 3600.0
SAY_EVERY_SECONDS = 120.0


class LockError(Exception):
    """Another sweep is being timed on this machine."""


def lock_path() -> Path:
    """The lock's file: one a user, in the machine's temporary folder."""
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    default = Path(tempfile.gettempdir()) / f"crossover-{user}.lock"
    return Path(os.environ.get(LOCK_VARIABLE, default))


@contextmanager
def timing_lock(wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the machine for timing; wait for a sweep that holds it.

    The operating system releases the lock when its process ends, however it
    ends: a killed sweep never blocks the next one.

    Raises
    ------
    LockError
        If the machine is still held after ``wait_seconds``, or the lock's file
        cannot be opened.
    """
    path = lock_path()
    lock = FileLock(path)
    try:
        _acquire(lock, wait_seconds)
    except OSError as error:
        raise LockError(
            f"the lock {path.name} cannot be opened ({error.strerror}): remove it, or name another "
            f"file in {LOCK_VARIABLE}."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: BaseFileLock, wait_seconds: float) -> None:
    """Acquire the lock at once or later, and say every few minutes that it is waited for."""
    ends = time.monotonic() + wait_seconds
    patience = 0.0
    while True:
        try:
            lock.acquire(timeout=patience)
            return
        except Timeout:
            left = ends - time.monotonic()
        if left <= 0:
            raise LockError(
                f"another sweep has held this machine for {wait_seconds:.0f} s: "
                "stop it, or run again when it has ended."
            )
        print("Another sweep is being timed on this machine: waiting for it to end.", flush=True)
        patience = min(left, SAY_EVERY_SECONDS)
