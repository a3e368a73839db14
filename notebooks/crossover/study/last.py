"""The settings of the last study, kept beside its trials for the verbs that go back to it."""

import json
from pathlib import Path
from typing import Any

from crossover.files import write_text
from crossover.paths import PROJECT, RUNS

FILE = "settings.json"
NUMBER = "number"
KINDS = {
    "study": dict, "profile": str, "partitions": str, "notebooks": str, "figures": str,
    "tables": str, "quick": bool, "wanted": list, "partial": bool,
}  # fmt: skip


def keep_settings(config: dict[str, Any]) -> None:
    """Keep a study's configuration in its folder, as that of the last study.

    Studies are numbered as they are begun or gone on with: a clock may be set back.
    """
    folder = PROJECT / config["study"]["folder"]
    numbers = [_number(path) for path in folder.parent.glob(f"*/{FILE}")]
    kept = config | {"partial": False, NUMBER: max(numbers, default=0) + 1}
    write_text(folder / FILE, json.dumps(kept, indent=1))


def _read(path: Path) -> dict[str, Any]:
    """What a file holds; empty where it is missing, or holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _number(path: Path) -> int:
    """The number of a study, 0 where an earlier version kept its settings."""
    number = _read(path).get(NUMBER)
    return number if isinstance(number, int) else 0


def read_settings(path: Path) -> dict[str, Any] | None:
    """The configuration in a file; None where it is missing or not one."""
    config = _read(path)
    config.pop(NUMBER, None)
    for earlier in ("limits", "ceilings"):  # Whether they are wanted, in earlier versions.
        if (ceilings := config.pop(earlier, None)) is not None:
            config["wanted"] = ["trials", "ceilings"] if ceilings else ["trials"]
    sound = all(isinstance(config.get(name), kind) for name, kind in KINDS.items())
    return config if sound and "folder" in config["study"] else None


def last_settings(runs: Path = RUNS) -> dict[str, Any] | None:
    """The configuration of the study that was begun last; None where none was."""
    files = sorted(runs.glob(f"*/{FILE}"), key=_number, reverse=True)
    return next((config for path in files if (config := read_settings(path))), None)
