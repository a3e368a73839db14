"""Joules of each training, and from which size on a GPU needs less of them."""

import pandas as pd

from crossover.analysis.comparison import timed
from crossover.analysis.crossing import Crossover, find_crossover


def joules_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with ``joules``: what the CPU, and on the GPU the card too, used during the fit.

    The joules are NaN where a part is unknown: a card's energy alone is not that of a training,
    whose CPU never sleeps. A fit that ended before its counter ticked is unknown too.
    """
    card = trials["card_joules"].where(trials["device"] == "gpu", 0.0)
    joules = trials["cpu_joules"] + card
    return trials.assign(joules=joules.where(joules > 0))


def energy_crossover(trials: pd.DataFrame, protocol: str) -> Crossover:
    """Find the size at which both devices' trainings need the same energy, on one machine."""
    rows = joules_of(trials[trials["protocol"] == protocol])
    cpu, gpu = (timed(rows[rows["device"] == device], "joules") for device in ("cpu", "gpu"))
    return find_crossover(cpu, gpu)
