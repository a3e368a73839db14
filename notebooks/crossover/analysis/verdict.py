"""The one verdict: which device trains a model of so many parameters faster, and how sure that is.

Tables, sentences, the report's form and ``make predict`` all ask here; the form's script holds the
twin of `Rule.winner` and `verdict`. Between the measured sizes the crossover's interval decides,
which is of the repeats' own ratios; elsewhere the two times' intervals must not overlap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from crossover.analysis.crossing import Status, outwards

Source = Literal["interpolated", "extrapolated", "unknown"]
Winner = Literal["CPU", "GPU", "either", "unknown"]
# A ratio that reads 1.00 names no winner.
EQUAL = 1.005


class Prediction(NamedTuple):
    """Seconds with their limits, each None where unknown, and where they come from.

    ``sure`` says that it lies between medians that have an interval, which a range of few repeats
    and a single one are not.
    """

    seconds: float | None
    low: float | None
    high: float | None
    source: Source
    sure: bool


UNKNOWN = Prediction(None, None, None, "unknown", sure=False)


class Verdict(NamedTuple):
    """Who is faster, and by which factor of at least 1 (NaN where unknown).

    *either* is too close to call; ``about`` says that a time behind it is not measured by five
    repeats at least, but by fewer, or extrapolated.
    """

    winner: Winner
    factor: float
    about: bool


@dataclass(frozen=True)
class Rule:
    """Where a comparison's crossover leaves the winner open, and who wins on either side.

    From ``low`` to ``high`` parameters, rounded outwards to two digits as they are shown, it is
    open; they are NaN where nothing is, or single repeats leave no interval.
    """

    status: Status
    estimate: float
    low: float
    high: float

    def winner(self, parameters: float, ratio: float) -> Winner:
        """Who wins at a size where CPU time / GPU time is ``ratio`` by the medians.

        Medians that contradict the crossover leave it open.
        """
        if self.low <= parameters <= self.high:
            return "either"
        told: Winner = "GPU" if ratio > 1 else "CPU"
        if self.status == "crossed":
            turn = self.estimate if np.isnan(self.low) else self.low
            expected = "CPU" if parameters < turn else "GPU"
        else:
            always = {"gpu always faster": "GPU", "cpu always faster": "CPU"}
            expected = always.get(self.status, told)
        return told if told == expected else "either"


def rule_of(crossing: Mapping[str, Any] | None) -> Rule | None:
    """The rule of a row of `crossovers`; None where no size was timed on both devices."""
    if crossing is None or crossing["status"] == "missing device" or not crossing["repeats"]:
        return None
    low, high = outwards(crossing["low"], crossing["high"])
    return Rule(crossing["status"], float(crossing["estimate"]), low, high)


def verdict(
    cpu: Prediction, gpu: Prediction, rule: Rule | None = None, parameters: float = np.nan
) -> Verdict:
    """Which device is faster by the times predicted for a size; ``rule`` is their crossover's."""
    if cpu.seconds is None or gpu.seconds is None:
        return Verdict("unknown", float("nan"), about=False)
    ratio = cpu.seconds / gpu.seconds
    about = not (cpu.sure and gpu.sure)
    winner: Winner
    if rule is not None and cpu.source == gpu.source == "interpolated":
        winner = rule.winner(parameters, ratio)
    elif _ends(cpu)[0] <= _ends(gpu)[1] and _ends(gpu)[0] <= _ends(cpu)[1]:
        winner = "either"
    else:
        winner = "GPU" if ratio > 1 else "CPU"
    factor = max(ratio, 1 / ratio)
    return Verdict("either" if factor < EQUAL else winner, factor, about)


def _ends(predicted: Prediction) -> tuple[float, float]:
    """The limits of a time; itself twice where it has none."""
    assert predicted.seconds is not None
    low = predicted.seconds if predicted.low is None else predicted.low
    return low, predicted.seconds if predicted.high is None else predicted.high
