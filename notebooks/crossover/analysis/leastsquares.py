"""Least squares of relative errors, no coefficient below zero: how times grow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RelativeFit:
    """Times = terms / ``scales`` · ``coefficients``.

    ``design`` is what was fitted, terms / scales / times, shape (times, terms);
    ``residual`` the square root of the sum of squared relative errors.
    """

    coefficients: Floats
    scales: Floats
    design: Floats
    residual: float


def fit_relative(terms: Floats, times: Floats) -> RelativeFit:
    """Fit times, shape (times,), by what they grow with, shape (times, terms).

    Non-negative least squares (Lawson & Hanson 1974), each time weighted by its inverse.
    """
    largest = terms.max(axis=0)
    scales = np.where(largest > 0, largest, 1)  # One magnitude, for the solver's sake.
    design = terms / scales / times[:, None]
    coefficients, residual = optimize.nnls(design, np.ones(len(design)))
    return RelativeFit(coefficients, scales, design, float(residual))
