"""One timed sweep at a time on a machine, whatever started it."""

import errno
import getpass
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from crossover.errors import CrossoverError
from crossover.files import regular_size

if os.name == "posix":
    import fcntl
    import pwd

LOCK_VARIABLE = "CROSSOVER_LOCK"
WAIT_SECONDS = 6 * 3600.0
SAY_EVERY_SECONDS = 120.0


class LockError(CrossoverError):
    """Another sweep is being timed on this machine."""


def _stranger(path: Path) -> str:
    """Why a file cannot be the lock; empty where it is missing or this user's own."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ""
    if not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
        return "" if stat.S_ISREG(status.st_mode) else "is no regular file"
    try:
        return f"belongs to user {pwd.getpwuid(status.st_uid).pw_name}"
    except KeyError:
        return f"belongs to user {status.st_uid}"


def _held_by_stranger(path: Path) -> bool:
    """Whether somebody holds a lock that is another user's file, as far as it can be read."""
    try:
        regular_size(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def _choose_path(wait_seconds: float) -> Path:
    """Choose the lock's file, one a user in the machine's temporary folder.

    Names that another user's file has taken are passed over, so that all sweeps of one user find
    the same one; it is said whose they are, and what is being timed under them is waited for.
    """
    user = os.getuid() if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir())
    names = [folder / f"crossover-{user}{ending}.lock" for ending in ("", "-2", "-3", "-4")]
    path = next((name for name in names if not _stranger(name)), names[0])
    ends = time.monotonic() + wait_seconds
    for passed in names[: names.index(path)]:
        said = f"The lock file {passed.name} {_stranger(passed)}"
        if _held_by_stranger(passed):
            print(f"{said} and is held: waiting for that sweep to end.", flush=True)
        while _held_by_stranger(passed):
            if time.monotonic() >= ends:
                raise LockError(
                    f"{said} and was held for {wait_seconds:.0f} s: wait for that sweep, or name "
                    f"another file in {LOCK_VARIABLE}."
                )
            time.sleep(1.0)
        print(f"{said}: using {path.name}.", flush=True)
    return path


@contextmanager
def timing_lock(wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the machine for timing; wait for a sweep that holds it.

    The operating system releases the lock when its process ends, however it ends: a killed sweep
    never blocks the next one. Raises `LockError` if the machine is still held after
    ``wait_seconds``, or the lock's file cannot be opened.
    """
    given = os.environ.get(LOCK_VARIABLE)
    path = _choose_path(wait_seconds) if given is None else Path(given)
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
