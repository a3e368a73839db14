"""Which device for my model: seconds of an epoch predicted from recorded trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from crossover.analysis.leastsquares import Floats, fit_relative
from crossover.analysis.timemodel import FLOPS_PER_PARAMETER
from crossover.training.mnist import TRAIN_IMAGES

VALIDATION_SPLIT = 0.1
FEWEST_SIZES = 3


@dataclass(frozen=True)
class Predictor:
    """Seconds of a step = overhead + images · batch + 6 · parameters · batch / rate.

    The term in the batch alone (feeding an image) is fitted only where trials
    of several batch sizes are recorded. ``error`` is the residuals' standard
    deviation as a share of the time, with ``freedom`` degrees of freedom.
    """

    coefficients: Floats
    scales: Floats
    inverse: Floats
    error: float
    freedom: int
    parameters: tuple[int, int]
    batch_sizes: tuple[int, ...]

    def step_seconds(self, parameters: int, batch_size: int) -> tuple[float, float, float]:
        """Predicted seconds of a step and its 95 % prediction interval."""
        terms = _terms(np.array([parameters]), np.array([batch_size]))[0] / self.scales
        seconds = float(terms @ self.coefficients)
        relative = np.where(self.coefficients > 0, terms, 0) / seconds
        spread = self.error * np.sqrt(1 + relative @ self.inverse @ relative)
        factor = float(np.exp(stats.t.ppf(0.975, self.freedom) * spread))
        return seconds, seconds / factor, seconds * factor

    def measured(self, parameters: int, batch_size: int) -> bool:
        """Whether a model lies inside what was measured."""
        low, high = self.parameters
        return low <= parameters <= high and batch_size in self.batch_sizes


def fit_predictor(trials: pd.DataFrame, timing: str) -> Predictor | None:
    """Fit one device's trials of one protocol, of any batch sizes.

    Parameters
    ----------
    trials : DataFrame
        One row a trial.
    timing : 'cold' or 'steady'

    Returns
    -------
    Predictor or None
        None where fewer than three sizes were timed. Non-negative least
        squares of the relative errors of each cell's median.
    """
    seconds = trials[f"{timing}_seconds"] / (trials["epochs"] * trials["steps"])
    cells = seconds.groupby([trials["parameters"], trials["batch_size"]]).median().dropna()
    sizes = cells.index.to_frame(index=False)
    if sizes["parameters"].nunique() < FEWEST_SIZES:
        return None
    terms = _terms(sizes["parameters"].to_numpy(), sizes["batch_size"].to_numpy())
    if sizes["batch_size"].nunique() == 1:
        terms[:, 1] = 0
    fit = fit_relative(terms, cells.to_numpy())
    used = fit.design * (fit.coefficients > 0)
    freedom = len(cells) - int((fit.coefficients > 0).sum())
    return Predictor(
        coefficients=fit.coefficients,
        scales=fit.scales,
        inverse=np.asarray(np.linalg.pinv(used.T @ used), dtype=np.float64),
        error=float(fit.residual / np.sqrt(freedom)),
        freedom=freedom,
        parameters=(int(sizes["parameters"].min()), int(sizes["parameters"].max())),
        batch_sizes=tuple(sorted(map(int, sizes["batch_size"].unique()))),
    )


def _terms(parameters: npt.NDArray[np.int64], batch_size: npt.NDArray[np.int64]) -> Floats:
    """What a step's time grows with, shape (cells, 3): nothing, images, arithmetic."""
    parameters, images = parameters.astype(np.float64), batch_size.astype(np.float64)
    return np.column_stack(
        [np.ones(len(images)), images, FLOPS_PER_PARAMETER * parameters * images]
    )


def prediction(
    cpu: Predictor | None, gpu: Predictor | None, parameters: int, batch_size: int
) -> dict[str, object]:
    """Predicted epochs of both devices and which is faster.

    Returns
    -------
    dict
        ``{cpu,gpu}_seconds`` of an epoch of MNIST (54,000 images), with
        ``_low`` and ``_high`` (95 % prediction interval), ``verdict`` ('CPU',
        'GPU', 'too close to call' where the intervals overlap, or 'one
        device') and ``measured`` (inside the measured sizes).
    """
    steps = -(-int(TRAIN_IMAGES * (1 - VALIDATION_SPLIT)) // batch_size)
    row: dict[str, object] = {"parameters": parameters, "batch_size": batch_size}
    bounds: dict[str, tuple[float, float]] = {}
    for device, known in (("cpu", cpu), ("gpu", gpu)):
        seconds, low, high = np.full(3, np.nan)
        if known is not None:
            seconds, low, high = np.array(known.step_seconds(parameters, batch_size)) * steps
            bounds[device] = (low, high)
        row |= {f"{device}_seconds": seconds, f"{device}_low": low, f"{device}_high": high}
    row["verdict"] = _verdict(bounds)
    row["measured"] = all(p.measured(parameters, batch_size) for p in (cpu, gpu) if p is not None)
    return row


def _verdict(bounds: dict[str, tuple[float, float]]) -> str:
    if len(bounds) < 2:
        return "one device"
    if bounds["cpu"][1] < bounds["gpu"][0]:
        return "CPU"
    return "GPU" if bounds["gpu"][1] < bounds["cpu"][0] else "too close to call"


def prediction_table(
    cpu: Predictor | None, gpu: Predictor | None, parameters: Iterable[int]
) -> pd.DataFrame:
    """One `prediction` a row for each size and each batch size that was measured."""
    known = [predictor for predictor in (cpu, gpu) if predictor is not None]
    sizes = sorted(set.intersection(*[set(p.batch_sizes) for p in known])) if known else []
    rows = [prediction(cpu, gpu, count, size) for count in parameters for size in sizes]
    return pd.DataFrame(rows)
