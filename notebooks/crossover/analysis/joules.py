"""Joules of each training, and from which size on a GPU needs less of them."""

from __future__ import annotations

import pandas as pd

from crossover.analysis.comparison import timed
from crossover.analysis.crossing import Crossover, find_crossover, rounded
from crossover.report.tables import number

CELL = ["protocol", "device", "parameters"]


def joules_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with ``joules``: what the CPU, and on the GPU the card too, used during the fit.

    The joules are NaN where a part is unknown: a card's energy alone is not
    that of a training, whose CPU never sleeps. A fit that ended before its
    counter ticked is unknown too.
    """
    card = trials["card_joules"].where(trials["device"] == "gpu", 0.0)
    joules = trials["cpu_joules"] + card
    return trials.assign(joules=joules.where(joules > 0))


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


def energy_crossover(trials: pd.DataFrame, protocol: str) -> Crossover:
    """Find the size at which both devices' trainings need the same energy, on one machine."""
    rows = joules_of(trials[trials["protocol"] == protocol])
    cpu, gpu = (timed(rows[rows["device"] == device], "joules") for device in ("cpu", "gpu"))
    return find_crossover(cpu, gpu)


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
