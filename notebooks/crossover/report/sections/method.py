"""Method and limits: how often intervals hold, the code that measured, and what was set aside."""

from collections.abc import Sequence

import pandas as pd

from crossover.analysis.merge import Merged
from crossover.paths import COVERAGE, STATUSES
from crossover.records.jsontext import Problem
from crossover.records.record import Record
from crossover.report import text
from crossover.report.results import Results
from crossover.words import counted

MOST_PROBLEMS = 50
# Rows of the table that are no kind of noise within what the interval is made for.
SMOOTH = "2%, smooth curves"
BEYOND = {
    "4 of 10 trainings twice as slow, one by one": "where 4 of 10 trainings of one device are "
    "twice as slow, each by itself",
    "sweeps that drift": "where a device's speed drifts by 10% from repeat to repeat",
}


def show(results: Results) -> None:
    """Show the method's own measured errors, and the provenance of what is above."""
    text.show(f"{coverage_sentence()} {status_sentence()}")
    text.show(code_sentence(results.merged.records))
    text.show(problems_sentence(results.merged, results.problems))


def code_sentence(records: Sequence[Record]) -> str:
    """Which versions of the project trained; one that was changed since is told by its sources."""
    if not records:
        return ""
    versions = sorted({(record.code.version, record.code.digest) for record in records})
    told = [text.literal(f"crossover {one} (sources {digest})") for one, digest in versions]
    return f"Trained with {', '.join(told)}."


def coverage_sentence() -> str:
    """How often the crossover's interval held in simulated studies, from their table."""
    table = pd.read_csv(COVERAGE)
    kept = table[~table["noise"].isin([SMOOTH, *BEYOND])]
    smooth = table[table["noise"] == SMOOTH]
    counts = ", ".join(map(str, sorted(set(table["repeats"]))))
    beyond = ", and ".join(
        f"{what} ({_shares(table[table['noise'] == name]['coverage'])})"
        for name, what in BEYOND.items()
    )
    return (
        f"In simulation (`benchmarks/coverage.py`: {kept['noise'].nunique()} kinds of noise, "
        f"slow processes and slow sweeps among them; {counts} repeats; "
        f"{table['studies'].iloc[0]:,} studies each) the crossover's interval held the truth in "
        f"{_shares(kept['coverage'])} of studies, the curves being straight between widths. It "
        f"holds less often {beyond}. Where curves are smooth, the limits include what straight "
        f"lines may add: with noise of only 2% they held it in {_shares(smooth['coverage'])}."
    )


def _shares(values: "pd.Series[float]") -> str:
    """The least and the greatest of some shares in words: '93.1 to 98.4%'."""
    return f"{text.span(f'{100 * values.min():.1f}', f'{100 * values.max():.1f}')}%"


def status_sentence() -> str:
    """How often a status was false in simulated studies, from their table."""
    table = pd.read_csv(STATUSES)
    falsely = table.groupby("repeats")["crossed"].max()
    return (
        "A GPU that is always faster, by 3% at the smallest size, was called *crossed* in up to "
        f"{falsely[1]:.0%} of simulated studies of a single repeat, {falsely[2]:.0%} of two, "
        f"{falsely[3]:.0%} of three, and {falsely[falsely.index >= 5].max():.1%} of five or more."
    )


def problems_sentence(merged: Merged, more: Sequence[Problem] = ()) -> str:
    """What was found beside valid trials, as Markdown; empty if nothing was."""
    lists = {"set aside": [*merged.problems, *more], "not compared with": merged.apart}
    lines = []
    for what, problems in lists.items():
        lines += [
            f"- {what}: {text.literal(problem.name)}: {text.literal(problem.reason, text.SENTENCE)}"
            for problem in problems[:MOST_PROBLEMS]
        ]
        if len(problems) > MOST_PROBLEMS:
            lines.append(f"- {what}: and {len(problems) - MOST_PROBLEMS:,} more.")
    if merged.left_out:
        trials, are = counted(merged.left_out, "trial"), "is" if merged.left_out == 1 else "are"
        lines.append(f"- {trials} with other settings {are} not in this report.")
    return "\n".join(lines)
