"""``python -m crossover VERB NAME=value ...``: the one entry to all that can be run.

A verb's module is imported when it is called: the front door opens at once, and a report needs
nothing of what trains. Ctrl-C ends it without a traceback even while it imports.
"""

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Nothing has begun that would need clearing up.

from pkgutil import resolve_name

from crossover.errors import CrossoverError, tell

STUDY = "crossover.study.run:run"
# What each verb does, and its function: that takes the verb and the words after it, and returns an
# exit code.
VERBS = {
    "report": ("train what is missing, merge, plot, render figures/report.html", STUDY),
    "quick": ("a quick look: three widths, one epoch", STUDY),
    "partial": ("report what is recorded so far, train nothing", STUDY),
    "explain": ("why: the path from published to tuned, trained in turns, then the report", STUDY),
    "map": ("batch size x width: where the GPU pays off, then the report", STUDY),
    "mine": ("a model of your own, measured", "crossover.study.mine:mine"),
    "repeat": ("one repeat of that, in this process", "crossover.training.own_repeats:repeat"),
    "offline": ("a study against the clock", "crossover.study.offline:offline"),
    "predict": ("which device for my model", "crossover.report.ask:predict"),
    "record": ("keep this machine's trials", "crossover.records.reference:record"),
    "render": ("an executed notebook as a page", "crossover.report.render:render_page"),
    "kernels": ("install both kernels", "crossover.kernels:kernels"),
}


def main(words: list[str]) -> int:
    """Do what the first word says with the NAME=value words after it; return an exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        lines = [f"  {name:<9}{does}" for name, (does, _) in VERBS.items()]
        print("python -m crossover VERB NAME=value ...", *lines, sep="\n")
        return 0
    verb, *given = words
    try:
        if verb not in VERBS:
            raise CrossoverError(f"unknown verb {verb!r:.80}: known are {', '.join(VERBS)}.")
        return int(resolve_name(VERBS[verb][1])(verb, given))
    except CrossoverError as error:
        tell(error)
        return error.code
    except OSError as error:
        tell(
            f"{error.strerror or error}: check the folder's permissions and the free space, "
            "then run the same command again."
        )
        return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
