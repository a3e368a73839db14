"""Linux's own files in /proc and /sys, each of a word or a number."""

from pathlib import Path

ROOT = Path("/")


def read(path: Path) -> str:
    """The text without white space around it; '' where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(text: str) -> int | None:
    """A count; None where the text says 'max', -1 for no limit, or nothing."""
    return int(text) if text.isdecimal() else None
