"""The band around the CPU/GPU log ratio, and where it tells the devices apart.

A repeat trains all widths on both devices, one sweep after the other: what
slows a machine down for minutes or hours is in both, or in a whole sweep. So
the unit is the repeat, not the trial: each gives a curve of its own log ratio,
straight between widths, and the band holds at each size the median of these
curves by order statistics. It needs no law of the noise: simulated machines
that run whole trainings at half speed now and then have the coverage that it
names, where a Welch t-test of the sweeps and one of the trials do not
(``benchmarks/coverage.py``).

Repeats of two machines are paired by their number, too. Which belongs to
which is then arbitrary, and the band somewhat wider than it could be, but its
level holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from crossover.analysis.order import Floats, Kind, kind_of, median_limits

POINTS = 500


@dataclass(frozen=True)
class Band:
    """Log ratio CPU/GPU over log parameters, each of shape (points,).

    ``repeats`` are those that the band is of; ``kind`` is what they allow: an
    interval, a range, or none for a single one, whose curve is all there is.
    ``alone`` names the device whose repeats they are, where the other was timed once.
    """

    repeats: int
    log_parameters: Floats
    lower: Floats
    upper: Floats
    alone: Literal["", "CPU", "GPU"] = ""

    @property
    def kind(self) -> Kind:
        """What so many repeats allow."""
        return kind_of(self.repeats)

    def winners(self) -> npt.NDArray[np.int64]:
        """-1 where the CPU is faster, 1 where the GPU is, 0 where that is open, shape (points,)."""
        return np.asarray(np.where(self.upper < 0, -1, np.where(self.lower > 0, 1, 0)))


def ratio_band(cpu: pd.DataFrame, gpu: pd.DataFrame) -> Band:
    """Band of the log ratio between the first and the last width.

    Parameters
    ----------
    cpu, gpu : DataFrame
        Log seconds of the same sizes on both devices: ``parameters`` in
        ascending order are the index, repeats the columns; NaN where there is no trial.
        Only repeats with every size on both devices count; where there is one
        or none, the medians of all trials stand for it. A device that
        was timed once stands against each repeat of the other.

    Returns
    -------
    Band
    """
    alone: Literal["", "CPU", "GPU"] = ""
    if cpu.shape[1] == 1 < gpu.shape[1]:
        cpu, alone = gpu * 0 + cpu.to_numpy(), "GPU"
    elif gpu.shape[1] == 1 < cpu.shape[1]:
        gpu, alone = cpu * 0 + gpu.to_numpy(), "CPU"
    paired = (cpu - gpu).dropna(axis="columns").to_numpy(dtype=np.float64)
    if paired.shape[1] < 2:
        paired = (cpu.median(axis="columns") - gpu.median(axis="columns")).to_numpy()[:, None]
        alone = ""
    grid, weights = _grid(np.log(cpu.index.to_numpy(dtype=np.float64)))
    lower, upper = median_limits((weights @ paired).T)
    return Band(paired.shape[1], grid, lower, upper, alone)


def _grid(knots: Floats) -> tuple[Floats, Floats]:
    """Points along the knots, and linear-interpolation weights (points, knots)."""
    steps = np.linspace(0, len(knots) - 1, (len(knots) - 1) * POINTS + 1)
    weights = np.clip(1 - np.abs(steps[:, None] - np.arange(len(knots))), 0, None)
    return weights @ knots, weights
