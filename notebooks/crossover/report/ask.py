"""``make predict``: which device for a model of so many parameters, from recorded trials."""

import json
from pathlib import Path

import numpy as np

from crossover.analysis.compared import compare
from crossover.analysis.comparison import crossovers
from crossover.analysis.interpolate import measured_curves
from crossover.analysis.machines import own_settings
from crossover.analysis.merge import Merged, merge
from crossover.analysis.predict import prediction
from crossover.analysis.stepmodel import FEWEST_SIZES
from crossover.analysis.summary import summarise
from crossover.analysis.verdict import Prediction
from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.files import StorageError
from crossover.paths import RUNS
from crossover.problem import BATCH_SIZE, EPOCHS, trained_images
from crossover.records.backends import DEFAULT_BACKEND
from crossover.records.settings import Settings
from crossover.report import text
from crossover.report.sections.own_model import predictors_of
from crossover.words import counted

MOST = 10**12
WIDEST = 100.0  # An interval's ends, as a ratio, beyond which it says nothing.


def last_settings(path: Path) -> list[Settings]:
    """The settings of the last ``make report``, the defaults where there was none."""
    try:
        last = json.loads(path.read_text(encoding="utf-8"))["study"] if path.exists() else {}
        return own_settings(
            last.get("backend", DEFAULT_BACKEND),
            last.get("epochs") or EPOCHS,
            last.get("batch_size") or BATCH_SIZE,
            last.get("threads") or None,
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        raise StorageError(f"{path.name} is not readable: run 'make report' again.") from None


def answer(merged: Merged, parameters: int, batch_size: int) -> list[str]:
    """The answer in a few lines: each protocol, both devices, and the verdict.

    At the study's own batch size it is that of the report's form, for whole trainings; at another
    one epochs are predicted from what is recorded. No line where too few sizes are recorded.
    """
    study = merged.of(merged.own).iloc[0]
    if batch_size == study["batch_size"]:
        return _of_the_study(merged, parameters, study["epochs"])
    lines = []
    for protocol in dict.fromkeys(merged.trials["protocol"]):
        predictors = predictors_of(merged, protocol)
        if not any(predictors.values()):
            continue
        row = prediction(predictors["cpu"], predictors["gpu"], parameters, batch_size)
        share = ", with its share of what a training costs once" if row["timing"] == "cold" else ""
        lines.append(f"{protocol} protocol, an epoch of {trained_images():,} images{share}:")
        for device in merged.compared:
            named = f"  {device.upper()}: {merged.processor(device)}"
            if text.finite(row[f"{device}_seconds"]):
                lines.append(f"{named}: {_seconds(row, device)}")
            else:
                lines.append(f"{named}: {_why_unknown(merged, device, protocol)}")
        lines.append(f"  {text.verdict_sentence(row['verdict'])}")
        if not row["measured"]:
            lines.append("  outside the sizes that were measured: an extrapolation")
    return lines


def _of_the_study(merged: Merged, parameters: int, epochs: int) -> list[str]:
    """The answer for trainings as the study's own, where either device's time is known."""
    machines = merged.own, merged.gpu_machine
    trials = merged.trials[merged.trials["machine"].isin(machines)]
    curves, crossings = measured_curves(trials, summarise(trials)), crossovers(trials, [machines])
    lines = []
    for protocol in dict.fromkeys(trials["protocol"]):
        for timing in ("cold", "steady"):
            comparison = compare(curves, crossings, machines, protocol, timing)
            *times, told = comparison.at(parameters)
            if all(one.seconds is None for one in times):
                continue
            whole = f"a training of {counted(epochs, 'epoch')}, {timing}"
            lines.append(f"{protocol} protocol, {whole}:")
            for device, time in zip(merged.compared, times, strict=True):
                shown = _told(time) or _why_unknown(merged, device, protocol)
                lines.append(f"  {device.upper()}: {merged.processor(device)}: {shown}")
            lines.append(f"  {text.verdict_sentence(told)}")
            if "extrapolated" in [one.source for one in times]:
                lines.append("  outside the sizes that were measured: an extrapolation")
    return lines


def _told(time: Prediction) -> str:
    """Seconds with their limits; empty where unknown."""
    if time.seconds is None:
        return ""
    if time.low is None or time.high is None:
        return f"{time.seconds:.3g} s (single trainings, so no interval)"
    if time.high > WIDEST * time.low:
        return _no_use(time.seconds)
    return f"{time.seconds:.3g} s ({time.low:.3g} to {time.high:.3g})"


def _no_use(seconds: float) -> str:
    return f"{seconds:.3g} s, give or take more than tenfold: train more widths"


def _why_unknown(merged: Merged, device: str, protocol: str) -> str:
    """Why a device has no predicted time."""
    trained = merged.of(merged.compared[device])
    trained = trained.query("device == @device and protocol == @protocol")
    widths = trained["width"].nunique()
    if not widths:
        return "not measured"
    if widths < FEWEST_SIZES:
        return f"only {counted(widths, 'width')} recorded, and a prediction needs three"
    return "no such times were measured"


def _seconds(row: dict[str, object], device: str) -> str:
    """Seconds with their interval and what a training costs once, or what would tell anything."""
    values = [row[f"{device}_{name}"] for name in ("seconds", "low", "high", "start")]
    seconds, low, high, start = np.array(values, dtype=np.float64)
    if high > WIDEST * low:
        return _no_use(seconds)
    once = f"; a training costs {start:.2g} s once" if np.isfinite(start) else ""
    return f"{seconds:.3g} s (95% {low:.3g} to {high:.3g}){once}"


def _nothing(trials: Path) -> str:
    """Why there is nothing to predict from."""
    others = len(list(trials.glob("**/*.json")))
    if not others:
        return "no trial of 'make report' is recorded: run that first."
    return (
        f"{counted(others, 'trial')} recorded, none of them with the settings of the last "
        "'make report': run that with theirs, as EPOCHS=1, or to train what is missing."
    )


def predict(_: str, words: list[str]) -> int:
    """Print the answer for a model of PARAMETERS, trained in batches of BATCH_SIZE."""
    asked = {"PARAMETERS": "", "BATCH_SIZE": str(BATCH_SIZE)}
    asked |= assigned(words, [*asked])
    for name, value in asked.items():
        if not value.isdecimal() or len(value) > len(str(MOST)) or not 0 < int(value) < MOST:
            raise CrossoverError(
                f"{name} is {value!r:.80}: give a whole number, as in "
                "make predict PARAMETERS=500000 BATCH_SIZE=128"
            )
    merged = merge(RUNS / "main" / "trials", last_settings(RUNS / "main" / "settings.json"))
    if not merged.records:
        raise CrossoverError(_nothing(RUNS / "main" / "trials"))
    lines = answer(merged, int(asked["PARAMETERS"]), int(asked["BATCH_SIZE"]))
    if not lines:
        raise CrossoverError(
            "too few widths are recorded: a prediction needs three of one protocol, "
            "as 'make report WIDTHS=\"4 64 1024\"' trains."
        )
    print("\n".join(lines))
    return 0
