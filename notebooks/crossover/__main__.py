"""``python -m crossover VERB NAME=value ...``: the one entry to all that can be run.

A verb's module is imported when it is called: the front door opens at once, and a report needs
nothing of what trains. Ctrl-C ends it without a traceback even while it imports.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Nothing has begun that would need clearing up.

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from crossover.errors import CrossoverError, tell


@dataclass(frozen=True)
class Verb:
    """What a verb does, and where its function is: called with the verb and the words after it."""

    does: str
    place: str

    @property
    def function(self) -> Callable[[str, list[str]], int]:
        """The function itself, which returns an exit code; its module is imported."""
        function: Callable[[str, list[str]], int] = resolve_name(self.place)
        return function


STUDY = "crossover.study.run:run"
VERBS = {
    "report": Verb("train what is missing, merge, plot, render figures/report.html", STUDY),
    "quick": Verb("a quick look: three widths, one epoch", STUDY),
    "partial": Verb("report what is recorded so far, train nothing", STUDY),
    "explain": Verb("what each change of the published protocol buys, then the report", STUDY),
    "map": Verb("batch size x width: where the GPU pays off, then the report", STUDY),
    "offline": Verb("a study against the clock", "crossover.study.offline:offline"),
    "predict": Verb("which device for my model", "crossover.report.ask:predict"),
    "record": Verb("keep this machine's trials", "crossover.records.reference:record"),
    "render": Verb("an executed notebook as a page", "crossover.report.render:render_page"),
    "kernels": Verb("install both kernels", "crossover.kernels:kernels"),
}


def main(words: list[str]) -> int:
    """Do what the first word says with the NAME=value words after it; return an exit code."""
    if not words:
        print("python -m crossover VERB NAME=value ...", *map(_line, VERBS), sep="\n")
        return 0
    try:
        return _verb(words[0]).function(words[0], words[1:])
    except CrossoverError as error:
        tell(error)
        return error.code
    except OSError as error:
        tell(
            f"{error.strerror}: check the folder's permissions and the free space, "
            "then run the same command again."
        )
        return 4


def _line(name: str) -> str:
    return f"  {name:<9}{VERBS[name].does}"


def _verb(name: str) -> Verb:
    if name not in VERBS:
        raise CrossoverError(f"unknown verb {name!r:.80}: known are {', '.join(VERBS)}.")
    return VERBS[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
