"""Files: written in one step or not at all, and read only where they are plain files."""

import errno
import glob
import os
import shutil
import stat
import tempfile
from pathlib import Path

from crossover.errors import CrossoverError

LEAST_FREE_BYTES = 5_000_000


class StorageError(CrossoverError):
    """A file could not be written, or a folder could not be read."""

    code = 4


class ThereError(StorageError):
    """A file that was to be created is there already."""


def check_folder(folder: Path) -> None:
    """Raise StorageError unless records can be written there; nothing is created."""
    place = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not place.is_dir():
        raise _unwritable(folder.name, NotADirectoryError(errno.ENOTDIR, "it is no folder"))
    if not os.access(place, os.W_OK | os.X_OK):
        raise _unwritable(folder.name, PermissionError(errno.EACCES, "not permitted"))
    if shutil.disk_usage(place).free < LEAST_FREE_BYTES:
        raise _unwritable(folder.name, OSError(errno.ENOSPC, "the disk is full"))


def write_text(path: Path, text: str) -> None:
    """Replace a file's text in one step; see ``write_bytes``."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, new: bool = False) -> None:
    """Replace a file's content in one step: temporary file, flush, rename.

    What a killed attempt at the same file left behind is removed.

    Parameters
    ----------
    new : bool
        Create the file; one that is there is never replaced.

    Raises
    ------
    StorageError
        One sentence, if the disk is full or the folder cannot be written.
    ThereError
        If the file was to be created, and is there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            if new:
                _create(temporary, path)
            else:
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
        for left_behind in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            left_behind.unlink(missing_ok=True)
    except FileNotFoundError as error:
        if new and os.path.lexists(path):  # Whoever took the name has tidied up after both.
            raise ThereError(f"{path.name} was written meanwhile") from None
        raise _unwritable(path.name, error) from None
    except OSError as error:
        raise _unwritable(path.name, error) from None


def _create(temporary: Path, path: Path) -> None:
    """Give a written file its name; raises ``ThereError`` where that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise ThereError(f"{path.name} is there already") from None
    except FileNotFoundError:
        raise
    except OSError:  # No hard links there: take the name first, then fill it.
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            raise ThereError(f"{path.name} is there already") from None
        temporary.replace(path)


def _unwritable(name: str, error: OSError) -> StorageError:
    return StorageError(
        f"{name} could not be written ({error.strerror}): make room or check the folder's "
        "permissions, then run the same command again."
    )


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def regular_size(path: Path) -> int:
    """Bytes of a regular file; links, pipes and devices are never opened."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return status.st_size
