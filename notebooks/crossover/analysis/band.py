"""The band around the CPU/GPU log ratio, and where it contains zero.

A percentile bootstrap of the crossover under-covers at 5 repeats: a median of
5 resampled values takes 5 values only. The band is Fieller's instead (1954):
a number of parameters belongs to the 95 % interval if the interpolated log
ratio there does not differ from zero. Its standard error comes from the
spread of the log times, pooled over a width and its two neighbours: one width
alone has too few repeats, and all widths together hide noise that changes with
size. The spread is the median absolute difference of two repeats of one width
(compare Rousseeuw & Croux 1993): it needs no centre, so that it is not biased
at few repeats, and occasional slow trials barely move it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

POINTS = 500
INTERVAL_REPEATS = 5
NORMAL_QUARTILE = 0.67449


@dataclass(frozen=True)
class Band:
    """Log ratio CPU/GPU over log parameters, each of shape (points,).

    ``kind`` is 'interval' (95 %), 'range' (extremes) or 'none' (single repeats).
    """

    kind: Literal["interval", "range", "none"]
    log_parameters: Floats
    lower: Floats
    upper: Floats

    def contains_zero(self) -> npt.NDArray[np.bool_]:
        """Where the two devices cannot be told apart, shape (points,)."""
        return (self.lower <= 0) & (self.upper >= 0)


def ratio_band(parameters: Floats, cpu: list[Floats], gpu: list[Floats]) -> Band:
    """Band of the log ratio between the first and the last width.

    Parameters
    ----------
    parameters : array, shape (widths,)
        Ascending.
    cpu, gpu : list of arrays
        Log seconds of the repeats of each width, one array a width.

    Returns
    -------
    Band
    """
    fewest = min(len(repeats) for repeats in [*cpu, *gpu])
    grid, weights = _grid(np.log(parameters))
    if fewest >= INTERVAL_REPEATS:
        ratio = np.array([np.median(c) - np.median(g) for c, g in zip(cpu, gpu, strict=True)])
        variances, quantiles = _ratio_error(cpu, gpu)
        half = weights @ quantiles * np.sqrt(weights**2 @ variances)
        return Band("interval", grid, weights @ ratio - half, weights @ ratio + half)
    lower = np.array([c.min() - g.max() for c, g in zip(cpu, gpu, strict=True)])
    upper = np.array([c.max() - g.min() for c, g in zip(cpu, gpu, strict=True)])
    return Band("range" if fewest > 1 else "none", grid, weights @ lower, weights @ upper)


def differences(sample: Floats) -> Floats:
    """Absolute differences of all pairs of repeats, shape (pairs,)."""
    first, second = np.triu_indices(len(sample), 1)
    return np.asarray(np.abs(sample[first] - sample[second]))


def pooled_spread(pairs: list[Floats]) -> float:
    """Estimate a standard deviation from the differences within several widths."""
    # A difference of two normal values has sqrt(2) times their spread.
    return float(np.median(np.concatenate(pairs))) / (2**0.5 * NORMAL_QUARTILE)


def _variances(samples: list[Floats]) -> tuple[Floats, Floats]:
    """Variance of each width's median log time, and its degrees of freedom, (widths,) each.

    That of a normal median, exact for one repeat and pi/2 times the mean's for
    many. The robust spread is worth half its degrees of freedom.
    """
    near = [slice(max(width - 1, 0), width + 2) for width in range(len(samples))]
    pairs = [differences(repeats) for repeats in samples]
    spreads = np.array([pooled_spread(pairs[group]) for group in near])
    counts = np.array([len(repeats) for repeats in samples])
    freedom = np.array([(counts[group] - 1).sum() / 2 for group in near])
    return spreads**2 * (np.pi / 2) / (counts + np.pi / 2 - 1), freedom


def _ratio_error(cpu: list[Floats], gpu: list[Floats]) -> tuple[Floats, Floats]:
    """Variance and Student's t quantile of each width's log ratio, by Welch (1947)."""
    (one, one_freedom), (other, other_freedom) = _variances(cpu), _variances(gpu)
    total = one + other
    # Without any spread, every quantile gives the same empty interval.
    safe = np.where(total > 0, total, 1)
    inverse = (one / safe) ** 2 / one_freedom + (other / safe) ** 2 / other_freedom
    freedom = np.where(total > 0, 1 / np.where(inverse > 0, inverse, 1), 1)
    return total, np.asarray(stats.t.ppf(0.975, freedom))


def _grid(knots: Floats) -> tuple[Floats, Floats]:
    """Points along the knots, and linear-interpolation weights (points, knots)."""
    steps = np.linspace(0, len(knots) - 1, (len(knots) - 1) * POINTS + 1)
    weights = np.clip(1 - np.abs(steps[:, None] - np.arange(len(knots))), 0, None)
    return weights @ knots, weights
