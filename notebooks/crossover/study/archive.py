"""A study's files in one archive that is whole at every moment, whatever is cut off."""

import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crossover.errors import tell

ARCHIVE_SECONDS = 20.0


@contextmanager
def archived(folder: Path, archive: Path) -> Iterator[None]:
    """Keep a folder in an archive that is renewed every ``ARCHIVE_SECONDS`` and at the end."""
    over = threading.Event()

    def renew() -> None:
        seen: object = None
        while not over.wait(ARCHIVE_SECONDS):
            with suppress(OSError):  # A full disk, or a file that vanishes: tried again.
                now = [(path, path.stat().st_mtime) for path in _files(folder)]
                if now != seen:  # Packing takes time of a core that a trial may need.
                    write_archive(folder, archive)
                seen = now

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        try:
            write_archive(folder, archive)
        except OSError as error:
            tell(
                f"{archive} could not be written ({error.strerror}); all that has ended is in "
                f"{folder}."
            )


def write_archive(folder: Path, archive: Path) -> None:
    """Pack trials, ceilings, executed notebooks and logs of a study into one file.

    It is written beside and then put in the place of the last.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    packed = folder / ".archive.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for path in _files(folder):
            with suppress(OSError):  # A file that vanishes.
                content = path.read_bytes()  # At once: a notebook may be written meanwhile.
                member = tar.gettarinfo(path, str(path.relative_to(folder)))
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    beside = archive.with_name(f"{archive.name}.new")
    shutil.copyfile(packed, beside)
    beside.replace(archive)


def _files(folder: Path) -> list[Path]:
    """The files of a study that are worth keeping, those that are being written left out."""
    kinds = {".json", ".ipynb", ".log", ".txt"}
    files = [path for path in folder.rglob("*") if path.suffix in kinds and path.is_file()]
    return sorted(path for path in files if not path.name.startswith("."))
