"""NAME=value words of a command line."""

import difflib
from collections.abc import Iterable, Sequence

from crossover.errors import CrossoverError


def assigned(words: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """The values by their names, an empty one left out; refuse what is none of these NAME=value."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in names or not equals:
            raise CrossoverError(f"unknown setting {word!r:.80}: {_hint(name, names)}")
        if value:
            values[name] = value
    return values


def _hint(name: str, names: Sequence[str]) -> str:
    """What may have been meant."""
    if name in names:
        return f"write {name}=value."
    near = difflib.get_close_matches(name.upper(), names, 1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known are {', '.join(names)}." if names else "this verb has none."
