"""The one verdict: which device trains a model of so many parameters faster, and how sure that is.

Tables, sentences, the report's form and ``make predict`` all ask here; the form's script holds
their twins. Between the measured sizes the crossover's interval decides, which is of the repeats'
own ratios; elsewhere the two times' intervals must not overlap. The same verdict on times
multiplied by what an hour costs tells which device is cheaper.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from crossover.analysis.band import Ratio
from crossover.analysis.crossing import Crossover, Status, crossover_of, outwards

Source = Literal["measured", "interpolated", "extrapolated", "unknown"]
Winner = Literal["CPU", "GPU", "either", "unknown"]
# A ratio that reads 1.00 names no winner.
EQUAL = 1.005


class Prediction(NamedTuple):
    """Seconds with their limits, each None where unknown, and where they come from.

    ``sure`` says that it lies between medians that have an interval, which a range of few repeats
    and a single one are not; ``flags`` are what is to be said against those medians, and of which.
    """

    seconds: float | None
    low: float | None
    high: float | None
    source: Source
    sure: bool
    flags: str = ""

    def priced(self, price: float) -> "Prediction":
        """What a training costs where a second costs ``price``."""
        times = (self.seconds, self.low, self.high)
        seconds, low, high = (None if time is None else time * price for time in times)
        return self._replace(seconds=seconds, low=low, high=high)


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
    open; they are NaN where nothing is, or single repeats leave no interval. ``about`` says that
    these are no interval: fewer than five repeats. Up to ``cpu_until`` and from ``gpu_from`` on,
    which are measured sizes, nothing is open, wherever two digits put the limits.
    """

    status: Status
    estimate: float
    low: float
    high: float
    about: bool = False
    cpu_until: float = np.nan
    gpu_from: float = np.nan

    def winner(self, parameters: float, ratio: float) -> Winner:
        """Who wins at a size where CPU time / GPU time is ``ratio`` by the medians.

        Medians that contradict the crossover leave it open.
        """
        sure = parameters <= self.cpu_until or parameters >= self.gpu_from
        if self.low <= parameters <= self.high and not sure:
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
    about = crossing["interval_kind"] != "interval"
    sure = crossing["cpu_until"], crossing["gpu_from"]
    return Rule(crossing["status"], float(crossing["estimate"]), low, high, about, *sure)


def cheaper(ratio: Ratio, price_ratio: float) -> Crossover:
    """From which size on the GPU is cheaper, at ``price_ratio``: its hour's price / the CPU's."""
    return crossover_of(ratio.dearer(price_ratio))


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


class BreakEven(NamedTuple):
    """The price of a GPU's hour, in hours of the CPU, at which a training costs both the same.

    ``low`` and ``high`` are its limits, None where unknown; ``about`` is as in `Verdict`.
    """

    price_ratio: float
    low: float | None
    high: float | None
    about: bool


def break_even(
    cpu: Prediction, gpu: Prediction, ratio: Ratio | None = None, parameters: float = np.nan
) -> BreakEven | None:
    """The break-even of a size; ``ratio`` is of the two curves' times. None without both times.

    Between sizes that both have measured its limits are `Ratio.limits`, where there are repeats;
    elsewhere they are those of the times.
    """
    if cpu.seconds is None or gpu.seconds is None:
        return None
    even = cpu.seconds / gpu.seconds
    low = high = None
    if ratio is not None and ratio.parameters[0] <= parameters <= ratio.parameters[-1]:
        if ratio.band.repeats.max() > 1:
            low, high = ratio.limits(parameters)
            low, high = min(low, even), max(high, even)
    elif cpu.low is not None and gpu.low is not None:
        low, high = _ends(cpu)[0] / _ends(gpu)[1], _ends(cpu)[1] / _ends(gpu)[0]
    return BreakEven(even, low, high, about=not (cpu.sure and gpu.sure))


def _ends(predicted: Prediction) -> tuple[float, float]:
    """The limits of a time; itself twice where it has none."""
    assert predicted.seconds is not None
    low = predicted.seconds if predicted.low is None else predicted.low
    return low, predicted.seconds if predicted.high is None else predicted.high
