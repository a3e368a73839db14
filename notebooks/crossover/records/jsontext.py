"""JSON as others may have written it: without its byte order mark, and no key twice."""

from __future__ import annotations

import codecs
import json
from contextlib import suppress
from typing import Any

from crossover.words import printable


class TwiceError(ValueError):
    """A key stands twice in one object, so that nobody can tell which value is meant."""


def sound_json(text: bytes) -> bytes:
    """The text without a byte order mark.

    Raises
    ------
    TwiceError
        Names the key. What else may be wrong with the text is left to its schema.
    """
    text = text.removeprefix(codecs.BOM_UTF8)
    with suppress(json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        json.loads(text, object_pairs_hook=_each_once, parse_int=str)
    return text


def _each_once(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object that names a key twice; its values are not kept."""
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise TwiceError(f"the key '{printable(key, 80)}' stands there twice")
        seen.add(key)
