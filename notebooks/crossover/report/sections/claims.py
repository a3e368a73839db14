"""The published claims, tested on the published table and on this machine's trials."""

import statistics
from math import nan

from crossover.records import published
from crossover.report import htmltable
from crossover.report.columns import Column, words
from crossover.report.results import Results, crossing_row

VERDICTS = {True: htmltable.Strong("✓ holds"), False: htmltable.Strong("✗ does not hold")}
COLUMNS = [
    *words("claim", "published"),
    Column("verdict", lambda row: VERDICTS.get(row["holds"], "cannot be tested"), text=True),
    *words("evidence"),
]


def show(results: Results) -> None:
    """Show the claims' verdicts on each machine that has both devices in one protocol."""
    ratios = results.ratios[results.ratios["protocol"] == "published"]
    for machine in dict.fromkeys([published.MACHINE, results.merged.own]):
        crossing = crossing_row(results.crossings, machine, machine)
        if crossing is not None:
            own = ratios[ratios["machine"] == machine]
            claims = published.check_claims(own, crossing["sentence"], *_gpu_step(results, machine))
            htmltable.show(claims, f"Claims on {machine}", COLUMNS)


def _gpu_step(results: Results, machine: str) -> tuple[float, float]:
    """Seconds of copying a batch to this machine's GPU, and its published step's overhead.

    NaN where they were not measured, as for the published machine.
    """
    ceilings = [one for one in results.ceilings if one.device == "gpu"]
    wanted = "machine == @machine and device == 'gpu' and protocol == 'published'"
    model = results.models.query(wanted)
    if not ceilings or model.empty or machine == published.MACHINE:
        return nan, nan
    return statistics.median(ceilings[0].batch_copy), model["overhead_seconds"].iloc[0]
