"""The crossover: from how many parameters on the GPU is faster, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from crossover.analysis.band import Band, Floats, ratio_band

Status = Literal[
    "crossed", "gpu always faster", "cpu always faster", "unresolved", "missing device"
]


@dataclass(frozen=True)
class Crossover:
    """Where CPU and GPU times are equal; parameters, NaN where there is no number.

    ``bracket_low`` and ``bracket_high`` are the last width (in parameters) at
    which the CPU wins and the first at which the GPU wins. ``low`` and ``high``
    are the limits of ``interval_kind`` ('interval', 'range' or 'none'); one that equals the
    first or last measured size means 'or beyond'. ``reason`` explains a status
    without crossover.
    """

    status: Status
    reason: str = ""
    bracket_low: float = np.nan
    bracket_high: float = np.nan
    estimate: float = np.nan
    low: float = np.nan
    high: float = np.nan
    interval_kind: Literal["interval", "range", "none"] = "none"
    crossings: int = 0

    def describe(self) -> str:
        """Say the result in one sentence."""
        if self.status != "crossed":
            named = self.status.replace("gpu", "GPU").replace("cpu", "CPU")
            return f"{named[0].upper()}{named[1:]}: {self.reason}."
        names = {"interval": "95 % interval", "range": "range over the repeats"}
        spread = (
            f"{names[self.interval_kind]} {rounded(self.low)} to {rounded(self.high)}"
            if self.interval_kind in names
            else "single repeats, so no interval"
        )
        return (
            f"The GPU is faster from about {rounded(self.estimate)} parameters on, between "
            f"{self.bracket_low:,.0f} and {self.bracket_high:,.0f} ({spread})."
        )


def find_crossover(cpu: pd.DataFrame, gpu: pd.DataFrame) -> Crossover:
    """Find the crossover of two sets of timed trainings.

    The estimate interpolates the log ratio of medians linearly over log
    parameters. Intervals are those of `crossover.analysis.band`, over the repeats; they
    do not include the error of interpolating between two widths.

    Parameters
    ----------
    cpu, gpu : DataFrame
        Columns ``parameters`` and ``seconds``, one row a repeat.

    Returns
    -------
    Crossover

    Raises
    ------
    ValueError
        If a time is not positive and finite.
    """
    for device, frame in (("CPU", cpu), ("GPU", gpu)):
        seconds = frame["seconds"].to_numpy(dtype=np.float64)
        if not (np.isfinite(seconds) & (seconds > 0)).all():
            raise ValueError(f"a {device} time is not positive and finite; check its records")
        if frame.empty:
            return Crossover("missing device", f"there are no {device} times")
    sizes = np.intersect1d(cpu["parameters"], gpu["parameters"]).astype(np.float64)
    if len(sizes) == 0:
        return Crossover("unresolved", "no width was measured on both devices")
    logs = [_log_repeats(frame, sizes) for frame in (cpu, gpu)]
    ratio = np.array([np.median(c) - np.median(g) for c, g in zip(*logs, strict=True)])
    return _classify(sizes, ratio, ratio_band(sizes, *logs))


def _classify(sizes: Floats, ratio: Floats, band: Band) -> Crossover:
    """Status, bracket, estimate and interval from medians (widths,) and band."""
    gpu_wins = ratio >= 0
    changes = np.flatnonzero(gpu_wins[1:] != gpu_wins[:-1])
    low, high = _limits(band)
    found = Crossover("unresolved", "", low=low, high=high, interval_kind=band.kind)
    found = replace(found, crossings=len(changes))
    if band.contains_zero().all():
        return replace(found, reason="the devices' times overlap at every width")
    if len(changes) > 1:
        return replace(found, reason=f"the medians cross {len(changes)} times")
    if len(changes) == 0:
        winner: Status = "gpu always faster" if gpu_wins[0] else "cpu always faster"
        return Crossover(
            winner, f"at all sizes from {sizes[0]:,.0f} to {sizes[-1]:,.0f} parameters"
        )
    if gpu_wins[0]:
        return replace(found, reason="the GPU wins for small models and the CPU for large ones")
    left, right = int(changes[0]), int(changes[0]) + 1
    estimate = float(np.exp(np.interp(0, ratio[left : right + 1], np.log(sizes[left : right + 1]))))
    found = replace(found, bracket_low=float(sizes[left]), bracket_high=float(sizes[right]))
    return replace(found, status="crossed", estimate=estimate)


def _limits(band: Band) -> tuple[float, float]:
    """First and last size at which the band contains zero, rounded outwards."""
    inside = np.flatnonzero(band.contains_zero())
    if band.kind == "none" or len(inside) == 0:
        return np.nan, np.nan
    first, last = max(inside[0] - 1, 0), min(inside[-1] + 1, len(band.log_parameters) - 1)
    return float(np.exp(band.log_parameters[first])), float(np.exp(band.log_parameters[last]))


def _log_repeats(frame: pd.DataFrame, sizes: Floats) -> list[Floats]:
    """Log seconds of the repeats of each size, in the order of sizes."""
    groups = frame.groupby("parameters")["seconds"]
    found = {float(size): np.log(group.to_numpy(dtype=np.float64)) for size, group in groups}  # type: ignore[arg-type]
    return [found[size] for size in sizes]


def rounded(parameters: float) -> str:
    """Write a number of parameters with four significant digits."""
    return f"{float(f'{parameters:.4g}'):,.0f}"
