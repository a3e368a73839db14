"""Copy executed notebooks to where papermill can write: a folder, S3, Google or Azure storage."""

from __future__ import annotations

from pathlib import Path

from papermill.iorw import papermill_io

STAMP = "copied.txt"


class CopyError(Exception):
    """A notebook could not be copied."""


def copy_notebooks(folder: Path, target: str) -> int:
    """Copy what is new since the last copy to the same place, and return how many.

    Parameters
    ----------
    folder : Path
        The executed notebooks.
    target : str
        A folder, or a remote one such as ``s3://bucket/study``.

    Raises
    ------
    CopyError
        One sentence, if a notebook could not be written there.
    """
    stamp = folder / STAMP
    known = stamp.exists() and stamp.read_text(encoding="utf-8") == target
    since = stamp.stat().st_mtime if known else 0.0
    fresh = [path for path in sorted(folder.glob("*.ipynb")) if path.stat().st_mtime > since]
    if "://" not in target:
        Path(target).mkdir(parents=True, exist_ok=True)
    for path in fresh:
        try:
            papermill_io.write(path.read_text(encoding="utf-8"), f"{target}/{path.name}")
        except Exception as error:  # Each storage's library has errors of its own.
            raise CopyError(
                f"NOTEBOOKS: {path.name} could not be copied to {target} ({error}): check the "
                "address and its credentials, then run the same command again."
            ) from error
    stamp.write_text(target, encoding="utf-8")
    return len(fresh)
