"""The band around the CPU/GPU log ratio, and where it tells the devices apart.

A repeat trains all widths on both devices, one sweep after the other: what slows a machine down for
minutes or hours is in both, or in a whole sweep. So the unit is the repeat, not the trial. At each
size the band is the wider of two intervals of the median by order statistics:

- that of the repeats' own curves of their log ratio, straight between widths, which holds where
  whole sweeps are slow together;
- that of the two widths' medians, each with limits of its own, joined as independent ones are (Zou
  & Donner 2008), which holds where trainings are slow one by one, so that the curves' median and
  the medians' curve differ.

Between widths it is wider by what straight lines may miss, for times that are overhead plus work
(`straight_miss`). The ratio of two such times rises or falls all the way, so that it is not wider
than at both widths.

It needs no law of the noise, but independent repeats. How often it holds on simulated machines, and
where it does not, stands in ``data/reference/coverage.csv`` (``benchmarks/coverage.py``).

Repeats of two machines are paired by their number, too. Which belongs to which is then arbitrary,
and the band somewhat wider than it could be.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crossover.analysis.order import Floats, interpolated_limits, median_limits

POINTS = 100
SAME = 1e-8  # Of log parameters that are one size.
# Of a logistic function: see `straight_miss`.
STEEPEST = 0.25
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Band:
    """Log ratio CPU/GPU over log parameters, each of shape (points,).

    ``repeats`` are those that each point is known from; ``alone`` names the device whose repeats
    they are, where the other was timed once.
    """

    log_parameters: Floats
    lower: Floats
    upper: Floats
    repeats: Counts
    alone: Literal["", "CPU", "GPU"] = ""

    def winners(self) -> Counts:
        """-1 where the CPU is faster, 1 where the GPU is, 0 where that is open, shape (points,)."""
        return np.asarray(np.where(self.upper < 0, -1, np.where(self.lower > 0, 1, 0)))


@dataclass(frozen=True)
class Ratio:
    """The log ratio CPU/GPU of times, costs or joules: medians of shape (sizes,), and the band."""

    parameters: Floats
    medians: Floats
    band: Band

    def dearer(self, factor: float) -> "Ratio":
        """The same where all that is the GPU's is ``factor`` times as much."""
        less = float(np.log(factor))
        band = replace(self.band, lower=self.band.lower - less, upper=self.band.upper - less)
        return replace(self, medians=self.medians - less, band=band)

    def limits(self, parameters: float) -> tuple[float, float]:
        """The band's limits of CPU/GPU at a size between the measured ones.

        At a width, where fewer repeats may tell of one side than of the other, the wider ones.
        """
        at, grid = np.log(parameters), self.band.log_parameters
        here = np.isclose(grid, at, rtol=0, atol=SAME)
        lower, upper = (
            [np.interp(at, grid, edge), *edge[here]] for edge in (self.band.lower, self.band.upper)
        )
        return float(np.exp(min(lower))), float(np.exp(max(upper)))


def straight_miss(at: Floats, start: float, end: float) -> Floats:
    """How far a straight line between two widths may miss a log ratio of times.

    Where a time is overhead plus work, the slope of its logarithm over log parameters is a logistic
    function, whose own slope is at most 1/4. A line over a step of h misses such a curve by at most
    1/4 · s · (h - s) / 2 at s (the remainder of linear interpolation), and so the ratio of two of
    them: the difference of two logistic functions of one steepness keeps its sign, too, so that the
    ratio rises or falls all the way. ``at``, ``start`` and ``end`` are log parameters.
    """
    return STEEPEST * (at - start) * (end - at) / 2


def log_ratio(cpu: pd.DataFrame, gpu: pd.DataFrame) -> Ratio | None:
    """The ratio of two sets of timed trainings; None where no size was measured on both.

    Frames as `crossover.analysis.crossing.find_crossover` takes them.
    """
    sizes = np.intersect1d(cpu["parameters"], gpu["parameters"]).astype(np.float64)
    if len(sizes) == 0:
        return None
    # Sizes down and repeats across; NaN where a repeat lacks a size.
    tables = [
        cells.pivot(index="parameters", columns="repeat", values="seconds") for cells in (cpu, gpu)
    ]
    logs = [table.reindex(sizes).transform(np.log) for table in tables]
    medians = [log.median(axis="columns").to_numpy(dtype=np.float64) for log in logs]
    return Ratio(sizes, medians[0] - medians[1], ratio_band(*logs))


def ratio_band(cpu: pd.DataFrame, gpu: pd.DataFrame) -> Band:
    """Band of the log ratio between the first and the last width that tell of it.

    ``cpu`` and ``gpu`` are log seconds of the same sizes: ``parameters`` in ascending order are the
    index, repeats the columns; NaN where there is no trial. Between two widths those repeats count
    that have both of them on both devices; where these are fewer than two, the band has a gap.
    Where it would be all gap, the medians of all trials stand for a single repeat. A device that
    was timed once stands against each repeat of the other.
    """
    alone: Literal["", "CPU", "GPU"] = ""
    if cpu.shape[1] == 1 < gpu.shape[1]:
        cpu, alone = gpu * 0 + cpu.to_numpy(), "GPU"
    elif gpu.shape[1] == 1 < cpu.shape[1]:
        gpu, alone = cpu * 0 + gpu.to_numpy(), "CPU"
    sizes = np.log(cpu.index.to_numpy(dtype=np.float64))
    columns = _segments(sizes, (cpu - gpu).to_numpy(dtype=np.float64))
    if columns[3].max() < 2:
        medians = cpu.median(axis="columns") - gpu.median(axis="columns")
        columns, alone = _segments(sizes, medians.to_numpy(dtype=np.float64)[:, None]), ""
    kept = columns[3] >= min(2, columns[3].max())
    grid, lower, upper, repeats = (column[kept] for column in columns)
    return Band(grid, lower, upper, repeats, alone)


def _segments(sizes: Floats, paired: Floats) -> list[npt.NDArray[Any]]:
    """Grid, limits and repeats from each width to the next, one after the other."""
    ends = [slice(at, at + 2) for at in range(max(len(sizes) - 1, 1))]
    parts = [_segment(sizes[pair], paired[pair]) for pair in ends]
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _segment(sizes: Floats, paired: Floats) -> tuple[Floats, Floats, Floats, Counts]:
    """Grid, limits and repeats from one width to the next; of one width, a single point."""
    share = np.linspace(0, 1, POINTS + 1) if len(sizes) == 2 else np.zeros(1)
    weights = np.column_stack([1 - share, share])[:, : len(sizes)]
    whole = paired[:, np.isfinite(paired).all(axis=0)]
    count = whole.shape[1]
    repeats = np.full(len(share), count)
    if count == 0:
        return weights @ sizes, repeats * np.nan, repeats * np.nan, repeats
    lower, upper = median_limits((weights @ whole).T)
    medians = np.median(whole, axis=1)
    down, up = (np.sqrt(weights**2 @ (end - medians) ** 2) for end in interpolated_limits(whole.T))
    middle, grid = weights @ medians, weights @ sizes
    lower, upper = np.minimum(lower, middle - down), np.maximum(upper, middle + up)
    miss = straight_miss(grid, sizes[0], sizes[-1])
    least, most = min(lower[0], lower[-1]), max(upper[0], upper[-1])
    return (
        grid,
        np.minimum(lower, np.maximum(lower - miss, least)),
        np.maximum(upper, np.minimum(upper + miss, most)),
        repeats,
    )
