"""Words and numbers of the page: what was not measured, and strangers' texts that stay texts."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from IPython.display import Markdown, display

from crossover.words import printable

MISSING = "missing"
SENTENCE = 600  # Letters of a computed sentence at most, the names in it among them.
MARKUP = re.compile(r"[^\w\s.,;%/]|_")
# The figures' markers, so that a winner is told by symbol, weight and words.
SYMBOLS = {"CPU": "●", "GPU": "■"}


def show(markdown: str) -> None:
    """Show a Markdown text, where there is one."""
    if markdown:
        display(Markdown(markdown))


def literal(text: str, length: int = 200) -> str:
    """A stranger's text for Markdown: printable, bounded, and nothing but text."""
    return MARKUP.sub(_reference, printable(text, length))


def _reference(character: re.Match[str]) -> str:
    """A character by its number; in a span of its own where MathJax could take it for a formula."""
    number = f"&#{ord(character[0])};"
    return f"<span>{number}</span>" if character[0] in "$\\" else number


def finite(value: object) -> bool:
    """Whether a cell holds a number."""
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))


def span(low: object, high: object) -> str:
    """The least and the greatest of some values: '3 to 5', or '3' where they are one."""
    return f"{low}" if low == high else f"{low} to {high}"


def listed(names: Iterable[str], last_word: str = "and") -> str:
    """Names as a sentence lists them: *a*, *b* and *c*."""
    *others, last = (f"*{name}*" for name in names)
    return f"{', '.join(others)} {last_word} {last}" if others else last


def signed(value: float, plus: str = "") -> str:
    """A whole number with a minus sign that is no hyphen, or with a plus: −750, +29, 0."""
    return f"{round(value):{plus},}".replace("-", "−")


def three_digits(value: float) -> str:
    """A number with three significant digits and no exponent: 25.5, 1,720."""
    return f"{float(f'{value:.3g}'):,g}"


def faster(cpu_seconds: Any, gpu_seconds: Any) -> str:
    """Which device is faster and by how much, in words; MISSING where one time is."""
    if not finite(cpu_seconds) or not finite(gpu_seconds):
        return MISSING
    ratio = cpu_seconds / gpu_seconds
    winner, factor = ("GPU", ratio) if ratio > 1 else ("CPU", 1 / ratio)
    return f"{SYMBOLS[winner]} {winner} {factor:.2f}×"
