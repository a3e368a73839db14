"""The crossover: from how many parameters on the GPU is faster, and how sure that is."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crossover.analysis.band import Band, Ratio, log_ratio, straight_miss
from crossover.analysis.order import Floats, Kind, kind_name, kind_of, median_ranks

Status = Literal[
    "crossed", "gpu always faster", "cpu always faster", "unresolved", "missing device"
]
# Beyond this share, an estimate between two widths is no better than the widths themselves.
MOST_OFF = 0.5
FINE = 10_000  # Steps between two widths where a curve's error is looked for.


@dataclass(frozen=True)
class Crossover:
    """Where CPU and GPU times are equal; parameters, NaN where there is no number.

    ``bracket_low`` and ``bracket_high`` are the last width (in parameters) at which the CPU wins
    and the first at which the GPU wins. ``low`` and ``high`` are the limits of ``interval_kind``
    ('interval', 'range' or 'none') over ``repeats``, of the device ``alone`` where the other was
    timed once; one that equals the first or last measured size means 'or beyond'. ``interpolation``
    is how far, as a share of it, the estimate may be off because lines between widths are straight
    (`interpolation_error`), which the limits include. ``cpu_until`` and ``gpu_from`` are
    the measured sizes on either side at which the winner is sure. ``reason`` explains a status
    without crossover; all was read off ``ratio``.
    """

    status: Status
    reason: str = ""
    bracket_low: float = np.nan
    bracket_high: float = np.nan
    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    interval_kind: Kind = "none"
    repeats: int = 0
    alone: Literal["", "CPU", "GPU"] = ""
    interpolation: float = np.nan
    crossings: int = 0
    cpu_until: float = np.nan
    gpu_from: float = np.nan
    ratio: Ratio | None = field(default=None, repr=False, compare=False)

    @property
    def level(self) -> float:
        """How often such an interval holds; NaN where there is none, or only a range."""
        return median_ranks(self.repeats).level if self.interval_kind == "interval" else np.nan

    def describe(self) -> str:
        """Say the result in one sentence."""
        if self.status == "missing device":
            return f"Missing device: {self.reason}."
        if self.status != "crossed":
            named = capitals(self.status)
            return f"{named[0].upper()}{named[1:]}: {self.reason} ({self.kind()}{self.once()})."
        return (
            f"The GPU is faster from about {rounded(self.estimate)} parameters on "
            f"({self.spread()}{self.once()}; {self.straight()}); the medians cross between "
            f"{self.bracket_low:,.0f} and {self.bracket_high:,.0f}."
        )

    def kind(self) -> str:
        """What the limits are, by name."""
        if self.interval_kind == "none":
            return "single repeats, so no interval"
        named = kind_name(self.repeats)
        return f"{named} of {self.repeats} repeats" if self.interval_kind == "range" else named

    def spread(self) -> str:
        """The limits with their name; that alone where nothing crosses, or there are none."""
        if self.interval_kind == "none" or np.isnan([self.low, self.high]).all():
            return self.kind()
        return f"{self.kind()} {limits_text(self.low, self.high)}"

    def once(self) -> str:
        """Whose repeats the limits are of, where the other device was timed once."""
        return f", of the {self.alone}'s repeats alone" if self.alone else ""

    def straight(self) -> str:
        """How far straight lines between widths may put the estimate off."""
        if self.interpolation > MOST_OFF:
            return "the widths are too far apart to tell where between them"
        within = "" if self.interval_kind == "none" else " in it"
        return f"straight lines' ±{100 * self.interpolation:.2g}%{within}"


def find_crossover(cpu: pd.DataFrame, gpu: pd.DataFrame) -> Crossover:
    """Find the crossover of two sets of timed trainings.

    The estimate interpolates the log ratio of medians linearly over log parameters. Limits and
    status are those of `crossover.analysis.band`: the devices have crossed only where the band says
    of some smaller size that the CPU wins, of some larger one that the GPU does, and of none the
    contrary. Both frames have one row a trial, with ``parameters``, ``repeat`` and ``seconds``;
    raises `ValueError` if a time is not positive and finite.
    """
    for device, frame in (("CPU", cpu), ("GPU", gpu)):
        seconds = frame["seconds"].to_numpy(dtype=np.float64)
        if not (np.isfinite(seconds) & (seconds > 0)).all():
            raise ValueError(f"a {device} time is not positive and finite; check its records")
        if frame.empty:
            return Crossover("missing device", f"there are no {device} times")
    ratio = log_ratio(cpu, gpu)
    if ratio is None:
        return Crossover("unresolved", "no width was measured on both devices")
    return crossover_of(ratio)


def crossover_of(ratio: Ratio) -> Crossover:
    """Status, bracket, estimate and limits, as the form's script classifies them, too."""
    return replace(_classify(ratio.parameters, ratio.medians, ratio.band), ratio=ratio)


def _classify(sizes: Floats, ratio: Floats, band: Band) -> Crossover:
    winners = band.winners()
    decided = winners[winners != 0]
    turns = decided[np.diff(decided, prepend=0) != 0]
    rising = np.flatnonzero((ratio[:-1] < 0) & (ratio[1:] >= 0))
    if list(turns) == [-1, 1] and len(rising):
        return _crossed(sizes, ratio, rising, band)
    if winners.all() and len(turns) == 1:
        fewest = int(band.repeats.min())
        return Crossover("gpu always faster" if turns[0] > 0 else "cpu always faster",
                         _everywhere(band), interval_kind=kind_of(fewest), repeats=fewest,
                         alone=band.alone)  # fmt: skip
    low, high = _limits(band, winners)
    reason, most = _reason(turns, winners, (low, high)), int(band.repeats.max())
    if most < 2:
        low = high = np.nan
    return Crossover("unresolved", reason, low=low, high=high, interval_kind=kind_of(most),
                     repeats=most, alone=band.alone, crossings=max(len(turns) - 1, 0))  # fmt: skip


def _everywhere(band: Band) -> str:
    """The sizes that a band tells of, in words."""
    smallest, largest = np.exp(band.log_parameters[[0, -1]])
    if smallest == largest:
        return f"at the one size of {smallest:,.0f} parameters"
    return f"at all sizes from {smallest:,.0f} to {largest:,.0f} parameters"


def _crossed(sizes: Floats, ratio: Floats, rising: npt.NDArray[np.int64], band: Band) -> Crossover:
    """The crossover with its limits: the CPU's last sure win, and the GPU's first.

    ``rising`` are the widths after which the medians change sides; of several the one in the middle
    of the limits counts. Before and beyond the limits, where one slow training may hide the winner
    again, nothing is open any more.
    """
    winners = band.winners()
    last, first = np.flatnonzero(winners < 0).max(), np.flatnonzero(winners > 0).min()
    low, high = _turn(band, last, last + 1), _turn(band, first, first - 1)
    pairs = [slice(at, at + 2) for at in rising]
    crossings = np.exp([np.interp(0, ratio[pair], np.log(sizes[pair])) for pair in pairs])
    middle = np.argmin(np.abs(np.log(crossings**2 / (low * high))))
    pair, estimate = pairs[middle], float(crossings[middle])
    before, after = map(float, sizes[pair])
    repeats = int(min(band.repeats[last], band.repeats[first]))
    off = interpolation_error(np.log(sizes[pair]), ratio[pair])
    cpu_until = _sure(sizes, band.log_parameters[: last + 1][winners[: last + 1] < 0]).max()
    gpu_from = _sure(sizes, band.log_parameters[first:][winners[first:] > 0]).min()
    if repeats > 1:
        # The medians' crossing may just lie outside: they are of all trials, the band is of pairs.
        low = np.nanmax([min(low, estimate), cpu_until])
        high = np.nanmin([max(high, estimate), gpu_from])
    else:
        low = high = np.nan
    return Crossover(
        "crossed", bracket_low=before, bracket_high=after, estimate=estimate, low=float(low),
        high=float(high), interval_kind=kind_of(repeats), repeats=repeats, alone=band.alone,
        interpolation=off, crossings=1, cpu_until=float(cpu_until), gpu_from=float(gpu_from),
    )  # fmt: skip


def _sure(sizes: Floats, log_parameters: Floats) -> Floats:
    """The measured sizes among some points of the grid, or NaN alone."""
    measured = sizes[np.isin(np.log(sizes), log_parameters)]
    return measured if len(measured) else np.array([np.nan])


def interpolation_error(ends: Floats, ratio: Floats) -> float:
    """How far straight lines between two widths may misplace a crossover, as a share of it.

    The true crossover lies where the line is no farther from zero than it may miss the ratio
    (`straight_miss`). ``ends`` are log parameters, and ``ratio`` the log ratio there, (2,) each.
    """
    at = np.linspace(ends[0], ends[1], FINE + 1)
    line = np.interp(at, ends, ratio)
    miss = straight_miss(at, *ends)
    estimate = np.interp(0, ratio, ends)
    possible = at[np.abs(line) <= miss]
    return float(np.expm1(np.max(np.abs(possible - estimate), initial=0)))


def _limits(band: Band, winners: npt.NDArray[np.int64]) -> tuple[float, float]:
    """First and last size at which the winner is open, or changes."""
    low, high = np.exp(band.log_parameters[[0, -1]])
    changes = np.flatnonzero(np.diff(winners))
    if winners[0]:
        low = _turn(band, changes[0], changes[0] + 1)
    if winners[-1]:
        high = _turn(band, changes[-1] + 1, changes[-1])
    return float(low), float(high)


def _turn(band: Band, sure: int, open_: int) -> float:
    """The size between two neighbours of the grid at which the winner of the first gets unsure."""
    edge = band.upper if band.upper[sure] < 0 else band.lower
    share = edge[sure] / (edge[sure] - edge[open_])
    start, end = band.log_parameters[[sure, open_]]
    return float(np.exp(start + share * (end - start)))


def _reason(
    turns: npt.NDArray[np.int64], winners: npt.NDArray[np.int64], limits: tuple[float, float]
) -> str:
    """Why the crossover is unresolved; ``turns`` are the winners as they follow each other."""
    names = {-1: "CPU", 1: "GPU"}
    if len(turns) == 0:
        return "the devices' times overlap at every width"
    if len(turns) > 2:
        return f"the devices change places {len(turns) - 1} times"
    if list(turns) == [1, -1]:
        return "the GPU wins for small models and the CPU for large ones"
    least, most = outwards(*limits)
    low = f"{least:,.0f} parameters" + (" or fewer" if winners[0] == 0 else "")
    high = f"{most:,.0f}" + (" or more" if winners[-1] == 0 else "")
    faster = " and ".join(
        f"the {names[int(winner)]} is faster {'below' if at == 0 else 'above'}"
        for at, winner in ((0, winners[0]), (-1, winners[-1]))
        if winner
    )
    finding = faster or f"the {names[int(turns[0])]} is faster at some sizes between"
    return f"from {low} to {high} the devices cannot be told apart; {finding}"


def capitals(status: str) -> str:
    """A status as it is read: GPU always faster."""
    return status.replace("gpu", "GPU").replace("cpu", "CPU")


def rounded(parameters: float) -> str:
    """Write a number of parameters with two significant digits: no crossover is known better."""
    return f"{float(f'{parameters:.2g}'):,.0f}"


def outwards(low: float, high: float) -> tuple[float, float]:
    """The limits of a crossover rounded to two significant digits, away from each other.

    So a winner that a rounded limit tells of is one by the whole limits too. NaN stays NaN.
    """
    return _two_digits(low, math.floor), _two_digits(high, math.ceil)


def _two_digits(value: float, towards: Callable[[float], int]) -> float:
    if math.isnan(value):
        return value
    unit = 10 ** (len(f"{value:.0f}") - 2)
    # What is two digits already stays so, though a power or a root made it.
    return float(unit * towards(round(value / unit, 6)))


def limits_text(low: float, high: float) -> str:
    """The limits of a crossover in words: 240,000 to 580,000."""
    least, most = outwards(low, high)
    return f"{least:,.0f} to {most:,.0f}"
