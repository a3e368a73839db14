"""Beside the faster device: the cheaper one at given prices, and the one that needs less energy."""

import pandas as pd

from crossover.analysis.compared import Comparison
from crossover.analysis.comparison import energy_crossover
from crossover.analysis.verdict import cheaper
from crossover.records.parameters import SummaryParameters
from crossover.records.settings import PROTOCOLS
from crossover.report import text
from crossover.report.results import Results
from crossover.report.rule import COST, ENERGY, measured_rule


def show(results: Results) -> None:
    """Show from which size on the GPU is cheaper, and needs less energy, where that is known."""
    compared = {str(name): results.compared(name, "cold") for name in PROTOCOLS}
    lines = [*cost_lines(compared, results.asked), *energy_lines(results.own_trials)]
    text.show("\n".join(lines))


def cost_lines(compared: dict[str, Comparison], asked: SummaryParameters) -> list[str]:
    """From which size on the GPU is cheaper, a line for each protocol; none without prices."""
    prices = asked.prices
    if prices is None:
        return []
    return [
        f"- **Cost** of a training, *{name}*, {text.hourly(prices)}: "
        f"{measured_rule(cheaper(one.ratio, prices.ratio), COST)}."
        for name, one in compared.items()
        if one.ratio
    ]


def energy_lines(trials: pd.DataFrame) -> list[str]:
    """From which size on one machine's GPU needs less energy, a line for each protocol known."""
    crossings = {name: energy_crossover(trials, name) for name in trials["protocol"].unique()}
    return [
        f"- **Energy** of a training, *{name}*: {measured_rule(one, ENERGY)}."
        for name, one in crossings.items()
        if one.ratio
    ]
