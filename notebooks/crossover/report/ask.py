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
from crossover.analysis.verdict import BreakEven, Prediction, Verdict, break_even, verdict
from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.files import StorageError
from crossover.paths import RUNS
from crossover.problem import BATCH_SIZE, EPOCHS, trained_images
from crossover.records.backends import DEFAULT_BACKEND
from crossover.records.parameters import PRICES, ParameterError, Prices, prices_of
from crossover.records.settings import Settings
from crossover.report import text
from crossover.report.sections.form import predictors_of
from crossover.words import counted

MOST = 10**12
WIDEST = 100.0  # An interval's ends, as a ratio, beyond which it says nothing.


def last_report(path: Path, given: Prices | None) -> tuple[list[Settings], Prices | None]:
    """Settings and prices of the last ``make report``, the defaults where there was none.

    Prices that are ``given`` stand in the place of its own.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"study": {}}
        last = config["study"]
        prices = given or prices_of({name: config.get(name.lower()) for name in PRICES})
        return own_settings(
            last.get("backend", DEFAULT_BACKEND),
            last.get("epochs") or EPOCHS,
            last.get("batch_size") or BATCH_SIZE,
            last.get("threads") or None,
        ), prices
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ParameterError):
        raise StorageError(f"{path.name} is not readable: run 'make report' again.") from None


def answer(
    merged: Merged, parameters: int, batch_size: int, price_ratio: float | None = None
) -> list[str]:
    """The answer in a few lines: each protocol, both devices, the verdict, and the break-even.

    With a ``price_ratio``, of the GPU's hour to the CPU's, also which device is cheaper.

    At the study's own batch size it is that of the report's form, for whole trainings; at another
    one epochs are predicted from what is recorded. No line where too few sizes are recorded.
    """
    study = merged.of(merged.own).iloc[0]
    if batch_size == study["batch_size"]:
        return _of_the_study(merged, parameters, study["epochs"], price_ratio)
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
        cpu, gpu = row["times"]
        cost = verdict(cpu, gpu.priced(price_ratio)) if price_ratio else None
        lines += _cost(break_even(cpu, gpu), cost)
        if not row["measured"]:
            lines.append("  outside the sizes and batch sizes that were measured: an extrapolation")
    return lines


def _cost(even: BreakEven | None, told: Verdict | None) -> list[str]:
    """The break-even, and the verdict on costs where there are prices."""
    if even is None:
        return []
    cost = [text.cost_sentence(told)] if told else []
    return [f"  {line}" for line in [text.break_even_sentence(even), *cost]]


def _of_the_study(
    merged: Merged, parameters: int, epochs: int, price_ratio: float | None
) -> list[str]:
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
            cost = comparison.cheaper_at(parameters, price_ratio) if price_ratio else None
            lines += _cost(comparison.break_even(parameters), cost)
            if "extrapolated" in [one.source for one in times]:
                lines.append("  outside the sizes that were measured: an extrapolation")
    return lines


def _told(time: Prediction) -> str:
    """Seconds with their limits; empty where unknown."""
    if time.seconds is None:
        return ""
    if time.low is None or time.high is None:
        told = f"{time.seconds:.3g} s (single trainings, so no interval)"
    elif time.high > WIDEST * time.low:
        told = _no_use(time.seconds)
    else:
        told = f"{time.seconds:.3g} s ({time.low:.3g} to {time.high:.3g})"
    return f"{told}; {text.flagged(time.flags)}" if time.flags else told


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
    """Print the answer for a model of PARAMETERS, trained in batches of BATCH_SIZE.

    An hour costs CPU_PRICE and GPU_PRICE, or what the last report took.
    """
    asked = {"PARAMETERS": "", "BATCH_SIZE": str(BATCH_SIZE)}
    given = assigned(words, [*asked, *PRICES])
    for name, value in ((name, given.get(name, default)) for name, default in asked.items()):
        if not value.isdecimal() or len(value) > len(str(MOST)) or not 0 < int(value) < MOST:
            raise CrossoverError(
                f"{name} is {value!r:.80}: give a whole number, as in "
                "make predict PARAMETERS=500000 BATCH_SIZE=128"
            )
        asked[name] = value
    own = prices_of(given)
    settings, prices = last_report(RUNS / "main" / "settings.json", own)
    merged = merge(RUNS / "main" / "trials", settings)
    if not merged.records:
        raise CrossoverError(_nothing(RUNS / "main" / "trials"))
    lines = answer(
        merged, int(asked["PARAMETERS"]), int(asked["BATCH_SIZE"]), prices and prices.ratio
    )
    if not lines:
        raise CrossoverError(
            "too few widths are recorded: a prediction needs three of one protocol, "
            "as 'make report WIDTHS=\"4 64 1024\"' trains."
        )
    if prices:
        whose = "" if own else ", as in the last report"
        lines.insert(0, f"costs: {text.hourly(prices)}{whose}")
    print("\n".join(lines))
    return 0
