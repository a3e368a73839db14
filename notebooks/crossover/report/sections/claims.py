"""The published claims, tested on the published table and on this machine's trials."""

from crossover.analysis.compared import crossing_of
from crossover.analysis.copying import copying_of
from crossover.records import published
from crossover.report import htmltable
from crossover.report.columns import Column, words
from crossover.report.results import Results

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
        crossing = crossing_of(results.crossings, (machine, machine), "published", "cold")
        if crossing is not None:
            own = ratios[ratios["machine"] == machine]
            copying = copying_of(machine, results.models, results.ceilings)
            claims = published.check_claims(own, crossing["sentence"], copying)
            htmltable.show(claims, f"Claims on {machine}", COLUMNS)
