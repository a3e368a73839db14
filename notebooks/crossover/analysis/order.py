"""Intervals of a median from order statistics: they hold whatever the times are distributed like.

The k-th smallest and the k-th largest of n independent values enclose their median unless fewer
than k of them lie on one side of it, so that the level is a sum of binomial probabilities (Thompson
1936), exact for every continuous distribution: skewed ones, and those of a machine with two speeds.
Values that depend on each other, as those of a machine that drifts, have a lower one.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Kind = Literal["interval", "range", "none"]

FEWEST_REPEATS = 5
WANTED_LEVEL, FIVE_LEVEL = 0.95, 0.9375


class Ranks(NamedTuple):
    """The ``rank``-th smallest and largest value are the limits, and how often they hold."""

    rank: int
    level: float


def median_ranks(count: int) -> Ranks:
    """The narrowest limits of the median of so many values with a level of 95% or more.

    Up to five values reach no such level: theirs are the smallest and the largest, 93.75% from
    five.
    """
    levels = _levels(count)
    rank = max(int(np.sum(levels >= WANTED_LEVEL)), 1)
    return Ranks(rank, float(levels[rank - 1]))


def _levels(count: int) -> Floats:
    """How often each pair of limits of so many values holds, from the extremes inwards."""
    return np.asarray(1 - 2 * stats.binom.cdf(np.arange(max(count // 2, 1)), count, 0.5))


def kind_of(repeats: int) -> Kind:
    """What so many repeats allow: an interval from five, a range from two."""
    if repeats >= FEWEST_REPEATS:
        return "interval"
    return "range" if repeats > 1 else "none"


def kind_name(repeats: int) -> str:
    """The limits of so many repeats by name: '93.8% interval', 'range', or 'single'."""
    if kind_of(repeats) == "interval":
        return f"{100 * median_ranks(repeats).level:.1f}% interval"
    return "range" if repeats > 1 else "single"


def median_limits(values: Floats) -> tuple[Floats, Floats]:
    """Lower and upper limit of the median along the first axis of values.

    The extremes for fewer than five values: a range, whose level is low.
    """
    ordered = np.sort(values, axis=0)
    rank = median_ranks(len(values)).rank
    return ordered[rank - 1], ordered[len(values) - rank]


def interpolated_limits(values: Floats) -> tuple[Floats, Floats]:
    """Limits of the median along the first axis, at the level of five values: 93.75%.

    Of more values between two ranks, by the weights of Hettmansperger & Sheather (1986); the
    extremes of five values or fewer.
    """
    ordered, count = np.sort(values, axis=0), len(values)
    levels = _levels(count)
    above = int(np.sum(levels >= FIVE_LEVEL))
    if above in (0, len(levels)):
        return ordered[0], ordered[-1]
    share = (levels[above - 1] - FIVE_LEVEL) / (levels[above - 1] - levels[above])
    inner = (count - above) * share / (above + (count - 2 * above) * share)
    low, high = (
        (1 - inner) * outer + inner * other
        for outer, other in (
            (ordered[above - 1], ordered[above]),
            (ordered[count - above], ordered[count - above - 1]),
        )
    )
    return low, high
