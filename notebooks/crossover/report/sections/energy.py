"""The section on energy: joules of trainings."""

import pandas as pd

from crossover.analysis.comparison import joules_of
from crossover.analysis.summary import with_flags
from crossover.report import htmltable, text
from crossover.report.columns import DEVICE, PARAMETERS, PROTOCOL, Column
from crossover.report.results import Results

COLUMNS = [
    PROTOCOL, DEVICE, PARAMETERS, Column("CPU J", "cpu_joules", ",.1f"),
    Column("card J", "card_joules", ",.1f"), Column("together J", "joules", ",.1f"),
]  # fmt: skip
FLAGS = "cold_seconds_flags"  # The joules are of the same whole trainings.
FLAGGED = Column("flags", lambda row: text.flagged(row[FLAGS]) if row[FLAGS] else "", text=True)
NO_COUNTER = (
    "Energy: neither the CPU's counter (RAPL, which most systems let only root read) nor a card's "
    "could be read on this machine."
)


def show(results: Results) -> None:
    """Show the joules where any were recorded."""
    joules = median_joules(results.own_trials)
    if joules.empty:
        text.not_measured(NO_COUNTER)
    else:
        text.show(why_no_crossover(results.own_trials))
        told = with_flags(joules, results.own_cells)
        columns = [*COLUMNS, FLAGGED] if told[FLAGS].any() else COLUMNS
        htmltable.show(told, "Joules of a training, median", columns)


def median_joules(trials: pd.DataFrame) -> pd.DataFrame:
    """Median joules of each protocol, device and size of one machine; no row if none."""
    recorded = joules_of(trials).dropna(subset=["cpu_joules", "card_joules"], how="all")
    cells = recorded.groupby(["protocol", "device", "parameters"])
    return cells[["cpu_joules", "card_joules", "joules"]].median().reset_index()


def why_no_crossover(trials: pd.DataFrame) -> str:
    """Why the size from which a GPU needs less energy is unknown; empty where it stands above."""
    devices = joules_of(trials).dropna(subset="joules")["device"].unique()
    if len(devices) > 1:
        return ""
    unread = " The CPU's counter (RAPL) could not be read." if len(devices) == 0 else ""
    return f"The joules of both devices' trainings are needed for an energy crossover.{unread}"
