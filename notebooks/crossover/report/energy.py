"""The section on energy: joules of trainings, and from which size on a GPU needs fewer."""

from __future__ import annotations

import pandas as pd

from crossover.analysis.crossing import Crossover, rounded
from crossover.analysis.joules import energy_crossover, joules_of
from crossover.report.tables import number

CELL = ["protocol", "device", "parameters"]


def joules_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Median joules of each protocol, device and size of one machine; text, no row if none."""
    known = joules_of(trials).dropna(subset=["cpu_joules", "card_joules"], how="all")
    medians = known.groupby(CELL)[["cpu_joules", "card_joules", "joules"]].median().reset_index()
    return pd.DataFrame(
        {
            "protocol": medians["protocol"],
            "device": medians["device"].str.upper(),
            "parameters": medians["parameters"].map("{:,}".format),
            "CPU J": medians["cpu_joules"].map(lambda value: number(value, ",.1f")),
            "card J": medians["card_joules"].map(lambda value: number(value, ",.1f")),
            "together J": medians["joules"].map(lambda value: number(value, ",.1f")),
        }
    )


def energy_sentences(trials: pd.DataFrame) -> str:
    """Where the energy crossover of each protocol lies, or why it is unknown, as Markdown."""
    if joules_table(trials).empty:
        return (
            "No energy was recorded: neither the CPU's counter (RAPL) nor a card's could be read "
            "on this machine."
        )
    if joules_of(trials)["joules"].isna().all():
        return (
            "The card's energy was recorded, the CPU's counter (RAPL) could not be read: the "
            "energy crossover is unknown."
        )
    protocols = trials["protocol"].unique()
    return "\n".join(f"- {name}: {_sentence(energy_crossover(trials, name))}" for name in protocols)


def _sentence(found: Crossover) -> str:
    known = {
        "gpu always faster": "the GPU needs less energy at every measured size.",
        "cpu always faster": "the CPU needs less energy at every measured size.",
        "unresolved": "which device needs less energy is unresolved: "
        f"{found.reason.replace('times overlap', 'joules overlap')}.",
        "missing device": "the joules of only one device are known.",
    }
    return known.get(found.status) or (
        f"the GPU needs less energy from about {rounded(found.estimate)} parameters on "
        f"({found.spread()}{found.once()}), between the widths of {found.bracket_low:,.0f} and "
        f"{found.bracket_high:,.0f} parameters."
    )
