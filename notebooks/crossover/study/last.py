"""The settings of the last study, kept beside its trials for the verbs that go back to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossover.files import write_text
from crossover.paths import PROJECT, RUNS

FILE = "settings.json"
KINDS = {
    "study": dict, "profile": str, "partitions": str, "notebooks": str, "figures": str,
    "tables": str, "quick": bool, "limits": bool, "partial": bool,
}  # fmt: skip


def keep_settings(config: dict[str, Any]) -> None:
    """Keep a study's configuration in its folder, as that of the last study."""
    folder = PROJECT / config["study"]["folder"]
    write_text(folder / FILE, json.dumps(config | {"partial": False}, indent=1))


def read_settings(path: Path) -> dict[str, Any] | None:
    """The configuration in a file; None where it is missing or not one."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict):
        return None
    sound = all(isinstance(config.get(name), kind) for name, kind in KINDS.items())
    return config if sound and "folder" in config["study"] else None


def last_settings(runs: Path = RUNS) -> dict[str, Any] | None:
    """The configuration of the study that was begun last; None where none was."""
    files = sorted(runs.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return next((config for path in files if (config := read_settings(path))), None)
