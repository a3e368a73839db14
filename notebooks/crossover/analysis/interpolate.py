"""A model's training time, read off the measured curves: what the report's form computes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from crossover.analysis.predict import fit_predictor, prediction_interval
from crossover.analysis.summary import CURVE
from crossover.analysis.verdict import UNKNOWN, Prediction
from crossover.records.frame import groups

Curve = dict[str, Any]


def measured_curves(trials: pd.DataFrame, summary: pd.DataFrame) -> list[Curve]:
    """The measured curves, as plain data that JSON can hold.

    ``trials`` are of the machines wanted, ``summary`` of these at least. One curve for each
    machine, protocol, device and timing: the names, ``parameters`` (ascending), and of the same
    length ``seconds`` (medians), ``low``, ``high`` (None for a single repeat), ``interval`` and
    ``flags`` (as in the summary); ``model`` is what `_training_model` says of a whole training, or
    None.
    """
    curves = []
    measured = summary[summary["machine"].isin(trials["machine"].unique())]
    for timing in ("cold", "steady"):
        timed = measured.dropna(subset=[f"{timing}_seconds"]).sort_values("parameters")
        for names, cells in groups(timed, CURVE):
            same = trials[(trials[CURVE] == list(names)).all(axis=1)]
            curves.append(_curve(cells, timing, same))
    return curves


def _curve(cells: pd.DataFrame, timing: str, trials: pd.DataFrame) -> Curve:
    column = f"{timing}_seconds"
    return {
        **{name: str(trials.iloc[0][name]) for name in ("machine", "protocol", "device")},
        "timing": timing,
        "parameters": cells["parameters"].tolist(),
        "seconds": cells[column].tolist(),
        "low": cells[f"{column}_low"].replace(np.nan, None).tolist(),
        "high": cells[f"{column}_high"].replace(np.nan, None).tolist(),
        "interval": cells["interval"].tolist(),
        "flags": cells[f"{column}_flags"].tolist(),
        "model": _training_model(trials, timing),
    }


def _training_model(trials: pd.DataFrame, timing: str) -> dict[str, Any] | None:
    """A whole training's seconds by its parameters, for plain arithmetic.

    ``seconds`` are those for each of 1, parameters and the parameters' root; ``inverse``, shape (3,
    3), says how much less sure each share of them is, and ``reach`` is half a 95% prediction
    interval for a spread of one; see `Predictor`.
    """
    predictor = fit_predictor(trials, timing)
    if predictor is None:
        return None
    epochs, steps, batch_size = trials.iloc[0][["epochs", "steps", "batch_size"]]
    seconds = predictor.steps.parts(1, batch_size) * (epochs * steps)
    inverse = predictor.steps.inverse
    return {"seconds": seconds.tolist(), "inverse": inverse.tolist(), "reach": predictor.reach}


def curve_numbers(curves: Sequence[Curve]) -> pd.DataFrame:
    """The measured curves as a table: a row for each size with its seconds, limits and flags."""
    names = ["machine", "device", "protocol", "timing"]
    values = ["parameters", "seconds", "low", "high", "interval", "flags"]
    parts = [
        pd.DataFrame({name: curve[name] for name in [*names, *values]}).astype(
            {"low": float, "high": float}
        )
        for curve in curves
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names + values)


def predict(curve: Curve | None, parameters: float) -> Prediction:
    """Seconds that a model of this many parameters trains for; unknown without a curve.

    Between measured sizes the medians and their limits are interpolated linearly in the logarithms
    of parameters and seconds, so that the devices change places exactly at the crossover's
    estimate. Beyond them stands what `Predictor` says, with its 95% interval: an extrapolation.
    """
    if curve is None:
        return UNKNOWN
    sizes = curve["parameters"]
    if sizes[0] <= parameters <= sizes[-1]:
        right = int(np.searchsorted(sizes, parameters))
        near = slice(right - (sizes[right] != parameters), right + 1)
        at = np.log(np.array(sizes[near], dtype=float))
        seconds, low, high = (
            _between(np.log(parameters), at, curve[name][near])
            for name in ("seconds", "low", "high")
        )
        sure = all(kind.endswith("interval") for kind in curve["interval"][near])
        named = zip(curve["flags"][near], sizes[near], strict=True)
        flags = "; ".join(f"{told} at {size:,} parameters" for told, size in named if told)
        return Prediction(seconds, low, high, "interpolated", sure, flags)
    model = curve["model"]
    if model is None:
        return UNKNOWN
    parts = np.array(model["seconds"]) * [1, parameters, np.sqrt(parameters)]
    limits = prediction_interval(parts, np.array(model["inverse"]), model["reach"])
    return Prediction(*limits, "extrapolated", sure=False)


def _between(
    at: float, ends: npt.NDArray[np.float64], values: Sequence[float | None]
) -> float | None:
    """Log-log interpolation of two values, or the one; None where one is unknown."""
    if any(value is None for value in values):
        return None
    return float(np.exp(np.interp(at, ends, np.log(np.array(values, dtype=float)))))


def choose(
    curves: Sequence[Curve], machine: str, device: str, protocol: str, timing: str
) -> Curve | None:
    """The curve of these names, or None."""
    wanted = {"machine": machine, "device": device, "protocol": protocol, "timing": timing}
    return next((c for c in curves if wanted.items() <= c.items()), None)
