"""Words and numbers of the page: what was not measured, and strangers' texts that stay texts."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np
from IPython.display import Markdown, display

from crossover.analysis.verdict import BreakEven, Verdict
from crossover.records.parameters import Prices
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


def not_measured(markdown: str) -> None:
    """Say what was not measured, and what adds it.

    The page lists such sentences at its end, and leaves out a part that shows nothing else.
    """
    display(Markdown(markdown, metadata={"crossover": "not measured"}))


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


def first(items: Sequence[str], most: int = 12) -> list[str]:
    """The first items, and how many more there are."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return [*items[:most], *more]


def signed(value: float, plus: str = "") -> str:
    """A whole number with a minus sign that is no hyphen, or with a plus: −750, +29, 0."""
    return f"{round(value):{plus},}".replace("-", "−")


def signed_share(share: float) -> str:
    """A share with its sign as per cent: +12.3%, −0.4%."""
    return f"{share:+.1%}".replace("-", "−")


def signed_points(share: float) -> str:
    """A difference of shares with its sign, in points: +0.83, −1.20."""
    return f"{100 * share:+.2f}".replace("-", "−")


def price(value: float) -> str:
    """A price as it was given, without an exponent: 0.25, 1234567.8."""
    return f"{Decimal(repr(value)):f}"


def hourly(prices: Prices) -> str:
    """What an hour of each device costs."""
    cpu, gpu = map(price, prices)
    return f"an hour of the CPU at {cpu} and of the GPU at {gpu}"


def three_digits(value: float) -> str:
    """A number with three significant digits and no exponent: 25.5, 1,720."""
    return f"{float(f'{value:.3g}'):,.15g}"


def precision(name: str) -> str:
    """A precision as readers write it: float32, TF32, bfloat16."""
    return name.replace("tf32", "TF32")


def billions(rate: float) -> str:
    """A rate in thousand millions a second, as GFLOP/s and GB/s are."""
    return three_digits(rate / 1e9)


def seconds(value: float) -> str:
    """A time with its unit: 12.5 s, or milliseconds where it is under a tenth of a second."""
    if abs(value) < 0.1:
        return f"{value * 1e3:.2g} ms" if abs(value) < 0.01 else f"{value * 1e3:.0f} ms"
    return f"{three_digits(value)} s"


def flagged(flags: str) -> str:
    """What is to be said, or a value, after the mark that all flags bear."""
    return f"⚑ {flags}"


def marked(shown: str, flags: str | bool) -> str:
    """A value as it is shown, with the mark before it where it is flagged."""
    return flagged(shown) if flags else shown


def times(factor: float) -> str:
    """A factor with three significant digits: 0.0123, 1.02, 13.4, 1,340."""
    if factor >= 99.95:
        return f"{factor:,.0f}"
    return f"{Decimal(f'{factor:.2e}'):f}"


def faster(verdict: Verdict) -> str:
    """Which device is faster and by how much, in a few words; MISSING where a time is.

    ≈ says that a time behind it has fewer than five repeats, or is extrapolated.
    """
    about = "≈" if verdict.about else ""
    if verdict.winner == "unknown":
        return MISSING
    if verdict.winner == "either":
        return "too close to call"
    return f"{SYMBOLS[verdict.winner]} {verdict.winner} {about}{times(verdict.factor)}×"


def verdict_sentence(verdict: Verdict) -> str:
    """Which device is faster and by how much, in a sentence."""
    about = "about " if verdict.about else ""
    if verdict.winner == "unknown":
        return "No verdict: a time is missing."
    if verdict.winner == "either":
        return "Too close to call: either may be faster."
    symbol, factor = SYMBOLS[verdict.winner], times(verdict.factor)
    return f"{symbol} The {verdict.winner} is {about}{factor} times as fast."


def cost_sentence(verdict: Verdict) -> str:
    """Which device trains for less, in a sentence."""
    about = "about " if verdict.about else ""
    if verdict.winner == "unknown":
        return "No cost: a time is missing."
    if verdict.winner == "either":
        return "Cost is too close to call: either may be cheaper."
    other = "GPU" if verdict.winner == "CPU" else "CPU"
    return (
        f"{SYMBOLS[verdict.winner]} The {verdict.winner} is cheaper: a training costs {about}"
        f"{times(verdict.factor)} times as much on the {other}."
    )


def break_even(even: BreakEven | None) -> str:
    """A break-even with its limits in few words; MISSING where a time is."""
    if even is None:
        return MISSING
    return f"{'≈' if even.about else ''}{times(even.price_ratio)}{_limits(even)}"


def break_even_sentence(even: BreakEven | None) -> str:
    """At which price of a GPU's hour the cheaper device turns; empty where a time is missing."""
    if even is None:
        return ""
    about = "about " if even.about else ""
    return (
        f"Break-even at this size: an hour of the GPU at {about}{times(even.price_ratio)} times an "
        f"hour of the CPU{_limits(even)}."
    )


def _limits(even: BreakEven) -> str:
    if even.low is None or even.high is None:
        return ""
    return f" ({times(even.low)} to {times(even.high)})"
