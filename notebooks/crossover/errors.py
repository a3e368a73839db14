"""The base of the package's own exceptions: a sentence for the user, and a command's exit code."""

import sys


class CrossoverError(Exception):
    """What is wrong and what to do, in one sentence.

    ``code`` is the exit code of a command that this ends, by default the class's own.
    """

    code = 2

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = type(self).code if code is None else code


def tell(sentence: object) -> None:
    """Print a sentence where the user looks for what went wrong."""
    print(f"crossover: {sentence}", file=sys.stderr)
