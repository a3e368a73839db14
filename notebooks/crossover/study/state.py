"""What a report is made of, as one digest: it is made anew where that has changed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from crossover.paths import NOTEBOOKS, REFERENCES
from crossover.records.storage import trial_folders

CODE = ("crossover/**/*.py", "crossover/**/*.mplstyle", "summary.ipynb", "template/*")


def report_state(folder: Path) -> str:
    """Digest of a study's records, the references and the report's own code.

    Records count by name, size and time of change, whichever way that moves; code by its text,
    which a checkout gives other times.
    """
    digest = hashlib.sha256()
    for part in _parts(folder):
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()[:16]


def _parts(folder: Path) -> Iterator[str]:
    records = [*trial_folders(folder / "trials"), *trial_folders(folder / "limits")]
    for place in [*records, *trial_folders(REFERENCES)]:
        for path in sorted(place.iterdir()):
            if not path.is_dir() and not path.name.startswith("."):
                about = path.lstat()
                yield f"{path} {about.st_size} {about.st_mtime_ns}"
        yield f"{place}/rejected {sorted(path.name for path in place.glob('rejected/*'))}"
    for path in sorted(path for pattern in CODE for path in NOTEBOOKS.glob(pattern)):
        yield f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}"
