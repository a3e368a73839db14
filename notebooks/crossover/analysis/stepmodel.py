"""Seconds of a training step by what they grow with: overhead, images, work and its root."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from crossover.analysis.order import Floats

# Forward 2, backward 4 for each parameter and sample (Kaplan et al. 2020, section 2.1).
FLOPS_PER_PARAMETER = 6
FEWEST_SIZES = 3
Term = Literal["overhead", "images", "work", "root"]


@dataclass(frozen=True)
class StepModel:
    """Seconds of a step = terms / ``scales`` · ``coefficients``, none of which is below zero.

    ``design`` is what was fitted, terms / scales / times, shape (times, terms); ``residual`` the
    square root of the sum of squared relative errors.
    """

    terms: Sequence[Term]
    coefficients: Floats
    scales: Floats
    design: Floats
    residual: float

    def parts(self, parameters: npt.ArrayLike, batch_size: npt.ArrayLike) -> Floats:
        """Seconds that each term takes of a step, shape (..., terms)."""
        return _values(self.terms, parameters, batch_size) / self.scales * self.coefficients

    @property
    def inverse(self) -> Floats:
        """How unsure shares of a step's time are for errors of one, shape (terms, terms).

        The inverse of the normal equations; zero for terms that take no time.
        """
        used = self.coefficients > 0
        design = self.design * used
        by_share = used / np.where(used, self.coefficients, 1)
        return np.asarray(np.linalg.pinv(design.T @ design) * np.outer(by_share, by_share))


def fit_steps(medians: "pd.Series[float]", terms: Sequence[Term]) -> StepModel:
    """Fit the seconds of steps, as `step_medians` gives them, by some terms.

    Non-negative least squares (Lawson & Hanson 1974), each time weighted by its inverse.
    """
    times = medians.to_numpy(dtype=np.float64)
    values = _values(terms, *sizes_of(medians))
    scales = values.max(axis=0)  # One magnitude, for the solver's sake.
    design = values / scales / times[:, None]
    coefficients, residual = optimize.nnls(design, np.ones(len(design)))
    return StepModel(terms, coefficients, scales, design, float(residual))


def work_of(parameters: npt.ArrayLike, batch_size: npt.ArrayLike) -> Floats:
    """Floating-point operations of a step that grow with the model."""
    size, images = np.asarray(parameters, np.float64), np.asarray(batch_size, np.float64)
    return np.asarray(FLOPS_PER_PARAMETER * size * images)


def _values(terms: Sequence[Term], parameters: npt.ArrayLike, batch_size: npt.ArrayLike) -> Floats:
    work = work_of(parameters, batch_size)
    images = np.broadcast_to(batch_size, work.shape).astype(np.float64)
    values = {"overhead": np.ones_like(work), "images": images, "work": work, "root": np.sqrt(work)}
    return np.stack([values[term] for term in terms], axis=-1)


def timing_of(trials: pd.DataFrame) -> str:
    """'steady' where such times are known, else 'cold': single epochs, and published tables.

    A cold time holds what a training costs once, and would put it into each step.
    """
    return "steady" if trials["steady_seconds"].notna().any() else "cold"


def step_seconds(trials: pd.DataFrame, timing: str = "steady") -> "pd.Series[float]":
    """Seconds of a step of each trial, NaN where it was not timed."""
    return trials[f"{timing}_seconds"] / (trials["epochs"] * trials["steps"])


def step_medians(trials: pd.DataFrame, timing: str) -> "pd.Series[float]":
    """Median seconds of a step by ``parameters`` and ``batch_size``, those that were timed."""
    cells = [trials["parameters"], trials["batch_size"]]
    return step_seconds(trials, timing).groupby(cells).median().dropna()


def sizes_of(medians: "pd.Series[float]") -> npt.NDArray[np.int64]:
    """Parameters and batch size of each median, shape (2, medians)."""
    return medians.index.to_frame().to_numpy(dtype=np.int64).T
