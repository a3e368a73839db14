"""Copy executed notebooks to where papermill can write: a folder, S3, Google or Azure storage."""

import json
from pathlib import Path

from crossover.errors import CrossoverError
from crossover.files import write_text

STAMP = "copied.json"
# A report's notebook, and those of its sweeps and ceilings, by device.
EXECUTED = ("*.ipynb", "cpu/*.ipynb", "gpu/*.ipynb")


class CopyError(CrossoverError):
    """A notebook could not be copied."""

    code = 4


def copy_notebooks(folder: Path, target: str) -> int:
    """Copy what is new since the last copy to the same place, and return how many.

    ``target`` is a folder, or a remote one such as ``s3://bucket/study``. Raises `CopyError` if a
    notebook could not be written there.
    """
    from papermill.iorw import papermill_io  # A second and a half, and few copy.

    stamp = folder / STAMP
    copied = _copied(stamp, target)
    fresh = {
        path: about
        for pattern in EXECUTED
        for path in sorted(folder.glob(pattern))
        if copied.get(path.name) != (about := _about(path))
    }
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
    copied |= {path.name: about for path, about in fresh.items()}
    write_text(stamp, json.dumps({"target": target, "copied": copied}, indent=1))
    return len(fresh)


def _about(path: Path) -> list[int]:
    """What tells a notebook from an earlier one of its name; a clock may be set back."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _copied(stamp: Path, target: str) -> dict[str, list[int]]:
    """What was copied to this place before; nothing where that is unknown."""
    try:
        last = json.loads(stamp.read_text(encoding="utf-8"))
        return dict(last["copied"]) if last["target"] == target else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
