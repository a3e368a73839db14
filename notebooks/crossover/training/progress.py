"""Progress of a notebook: the plan first, then a line now and then with the time left."""

import time
from collections.abc import Callable, Sequence

from crossover.records.record import Record

LINE_EVERY_SECONDS = 10.0


def clock_text(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Print where a notebook stands, at most once in ten seconds and once a width.

    ``expected`` are the widths in training order and a first guess of each one's seconds, which is
    rescaled by what has been measured so far; each has as many ``parts``. ``words`` name a part,
    what is done at one width, and all of it.
    """

    def __init__(
        self,
        expected: Sequence[tuple[int, float]],
        parts: int,
        say: Callable[[str], None] = lambda line: print(line, flush=True),
        now: Callable[[], float] = time.monotonic,
        words: tuple[str, str, str] = ("epoch", "trial", "sweep"),
    ) -> None:
        self.expected = list(expected)
        self.parts = parts
        self.part, self.one, self.all = words
        self.say, self.now = say, now
        self.done = 0
        self.done_fraction = 0.0
        self.started = self.last_line = now()

    def left_seconds(self) -> float:
        """Seconds left: the first guess, scaled by progress once there is some."""
        total = sum(seconds for _, seconds in self.expected)
        finished = sum(seconds for _, seconds in self.expected[: self.done])
        if self.done < len(self.expected):
            finished += self.done_fraction * self.expected[self.done][1]
        guess = total - finished
        if finished <= 0.02 * total:
            return guess
        return guess * (self.now() - self.started) / finished

    def epoch(self, number: int) -> None:
        """Note a finished part of the current width."""
        self.done_fraction = number / self.parts
        if self.now() - self.last_line >= LINE_EVERY_SECONDS and number < self.parts:
            self._line(f"{self.part} {number}/{self.parts}")

    def trial(self, record: Record) -> None:
        """Note that the current trial has ended and its record is written."""
        accuracy = "no accuracy" if record.test_accuracy is None else f"{record.test_accuracy:.4f}"
        self.ended(f"{record.cold_seconds:.1f} s, accuracy {accuracy}")

    def ended(self, text: str) -> None:
        """Note that the current width has ended, and what came of it."""
        self.done_fraction = 1.0
        self._line(text)
        self.done += 1
        self.done_fraction = 0.0

    def _line(self, text: str) -> None:
        self.last_line = self.now()
        width, _ = self.expected[self.done]
        place = f"{self.one} {self.done + 1}/{len(self.expected)}"
        left = clock_text(self.left_seconds())
        self.say(f"{place}  width {width:>5}  {text:<28}  {self.all}: {left} left")
