"""The section on energy: joules of trainings, and from which size on a GPU needs fewer."""

import pandas as pd

from crossover.analysis.comparison import energy_crossover, joules_of
from crossover.analysis.crossing import Crossover, rounded
from crossover.report import htmltable, text
from crossover.report.columns import DEVICE, PARAMETERS, PROTOCOL, Column
from crossover.report.results import Results

COLUMNS = [
    PROTOCOL, DEVICE, PARAMETERS, Column("CPU J", "cpu_joules", ",.1f"),
    Column("card J", "card_joules", ",.1f"), Column("together J", "joules", ",.1f"),
]  # fmt: skip

NO_COUNTER = (
    "Energy: neither the CPU's counter (RAPL, which most systems let only root read) nor a card's "
    "could be read on this machine."
)


def show(results: Results) -> None:
    """Show the energy crossovers, and the joules where any were recorded."""
    joules = median_joules(results.own_trials)
    if joules.empty:
        text.not_measured(NO_COUNTER)
    else:
        text.show(energy_sentences(results.own_trials))
        htmltable.show(joules, "Joules of a training, median", COLUMNS)


def median_joules(trials: pd.DataFrame) -> pd.DataFrame:
    """Median joules of each protocol, device and size of one machine; no row if none."""
    recorded = joules_of(trials).dropna(subset=["cpu_joules", "card_joules"], how="all")
    cells = recorded.groupby(["protocol", "device", "parameters"])
    return cells[["cpu_joules", "card_joules", "joules"]].median().reset_index()


def energy_sentences(trials: pd.DataFrame) -> str:
    """Where the energy crossover of each protocol lies, or why it is unknown, as Markdown."""
    if joules_of(trials)["joules"].isna().all():
        return (
            "The card's energy was recorded, the CPU's counter (RAPL) could not be read: the "
            "energy crossover is unknown."
        )
    protocols = trials["protocol"].unique()
    return "\n".join(f"- {name}: {_sentence(energy_crossover(trials, name))}" for name in protocols)


def _sentence(crossover: Crossover) -> str:
    told = {
        "gpu always faster": "the GPU needs less energy at every measured size.",
        "cpu always faster": "the CPU needs less energy at every measured size.",
        "unresolved": "which device needs less energy is unresolved: "
        f"{crossover.reason.replace('times overlap', 'joules overlap')}.",
        "missing device": "the joules of only one device are known.",
    }
    return told.get(crossover.status) or (
        f"the GPU needs less energy from about {rounded(crossover.estimate)} parameters on "
        f"({crossover.spread()}{crossover.once()}), between the widths of "
        f"{crossover.bracket_low:,.0f} and {crossover.bracket_high:,.0f} parameters."
    )
