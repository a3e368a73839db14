"""A model's training time, read off the measured curves: what the report's form computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from crossover.analysis.summary import CURVE
from crossover.analysis.timemodel import FLOPS_PER_PARAMETER, fit_all

MIME = "application/vnd.crossover.curves+json"
FEWEST_SIZES = 2
START_PARAMETERS = 100_000
Curve = dict[str, Any]
Source = Literal["interpolated", "extrapolated", "unknown"]


class Prediction(NamedTuple):
    """Seconds with their limits, each None where unknown, and where they come from."""

    seconds: float | None
    low: float | None
    high: float | None
    source: Source


def measured_curves(trials: pd.DataFrame, summary: pd.DataFrame) -> list[Curve]:
    """The measured curves of at least two sizes, as plain data that JSON can hold.

    Parameters
    ----------
    trials, summary : DataFrame
        One row a trial, of the machines wanted; what
        `crossover.analysis.summary.summarise` returns, for these machines at least.

    Returns
    -------
    list of dict
        One for each machine, protocol, device and timing: the names,
        ``epochs``, ``parameters`` (ascending), and of the same length
        ``seconds`` (medians), ``low``, ``high`` (None for a single repeat) and
        ``interval`` (as in the summary); ``model`` holds the time model of a
        whole training, or is None.
    """
    found = []
    for timing in ("cold", "steady"):
        models = fit_all(trials, timing).set_index(CURVE)
        known = summary[summary["machine"].isin(trials["machine"].unique())]
        known = known.dropna(subset=[f"{timing}_seconds"]).sort_values("parameters")
        for names, cells in known.groupby(CURVE):
            if len(cells) >= FEWEST_SIZES:
                same = trials[(trials[CURVE] == list(names)).all(axis=1)].iloc[0]
                found.append(_curve(cells, timing, models.loc[names], same))  # type: ignore[index]
    return found


def _curve(cells: pd.DataFrame, timing: str, model: pd.Series[Any], trial: pd.Series[Any]) -> Curve:
    column = f"{timing}_seconds"
    return {
        **{name: str(trial[name]) for name in CURVE},
        "timing": timing,
        "epochs": int(trial["epochs"]),
        "parameters": [int(size) for size in cells["parameters"]],
        "seconds": _plain(cells[column]),
        "low": _plain(cells[f"{column}_low"]),
        "high": _plain(cells[f"{column}_high"]),
        "interval": list(map(str, cells["interval"])),
        "model": _training_model(model, int(trial["epochs"]) * int(trial["steps"])),
    }


def _plain(values: pd.Series[float]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _training_model(model: pd.Series[Any], steps_total: int) -> dict[str, list[float]] | None:
    """Fixed seconds and seconds per parameter of a whole training: value, low, high."""
    if not np.isfinite(model["overhead_seconds"]):
        return None
    work = FLOPS_PER_PARAMETER * model["batch_size"] * steps_total
    fixed = [model["overhead_seconds"], model["overhead_low"], model["overhead_high"]]
    rates = [model["flops_per_second"], model["flops_high"], model["flops_low"]]
    return {
        "fixed": [float(seconds * steps_total) for seconds in fixed],
        "each": [float(work / rate) for rate in rates],
    }


def predict(curve: Curve, parameters: float) -> Prediction:
    """Seconds that a model of this many parameters trains for.

    Between measured sizes the medians and their limits are interpolated
    linearly in the logarithms of parameters and seconds, so that the devices
    change places exactly at the crossover's estimate. Beyond them stands the
    time model with its 95 % limits: an extrapolation.
    """
    sizes = curve["parameters"]
    if sizes[0] <= parameters <= sizes[-1]:
        at = np.log(np.array(sizes, dtype=float))
        right = max(int(np.searchsorted(at, np.log(parameters))), 1)
        pair = slice(right - 1, right + 1)
        seconds, low, high = (
            _between(np.log(parameters), at[pair], curve[name][pair])
            for name in ("seconds", "low", "high")
        )
        return Prediction(seconds, low, high, "interpolated")
    if curve["model"] is None:
        return Prediction(None, None, None, "unknown")
    terms = zip(curve["model"]["fixed"], curve["model"]["each"], strict=True)
    seconds, low, high = (fixed + each * parameters for fixed, each in terms)
    return Prediction(seconds, low, high, "extrapolated")


def _between(
    at: float, ends: npt.NDArray[np.float64], values: Sequence[float | None]
) -> float | None:
    """Log-log interpolation of two values; None where one is unknown."""
    if any(value is None for value in values):
        return None
    return float(np.exp(np.interp(at, ends, np.log(np.array(values, dtype=float)))))


def form_data(curves: Sequence[Curve], cpu: str, gpu: str) -> dict[str, object]:
    """The output that the report's form computes from; empty unless both devices have a curve."""
    if {curve["device"] for curve in curves} != {"cpu", "gpu"}:
        return {}
    start = {"cpu": cpu, "gpu": gpu, "protocol": "published", "timing": "cold"}
    return {MIME: {"curves": list(curves), "start": start | {"parameters": START_PARAMETERS}}}


def choose(
    curves: Sequence[Curve], machine: str, device: str, protocol: str, timing: str
) -> Curve | None:
    """The curve of these names, or None."""
    wanted = {"machine": machine, "device": device, "protocol": protocol, "timing": timing}
    return next((c for c in curves if wanted.items() <= c.items()), None)
