"""The crossover that two time models imply, beside the measured one."""

from typing import Any

import numpy as np
import pandas as pd

from crossover.analysis.order import Floats
from crossover.analysis.stepmodel import step_medians, timing_of
from crossover.analysis.timemodel import TimeModel, fit_curve

COMPARISON = ["cpu_machine", "gpu_machine", "backend", "protocol"]
MEASURED = ["status", "estimate", "low", "high", "spread", "reason", "bracket_low",
            "bracket_high", "interpolation"]  # fmt: skip
DERIVED = ["refitted", "cpu_overhead_us", "cpu_parameter_ns", "gpu_overhead_us",
           "gpu_parameter_ns", "derived", "derived_low", "derived_high", "cpu_miss", "gpu_miss",
           "smallest", "largest", "factor", "cpu_before", "gpu_before", "cpu_after", "gpu_after",
           "apart", "leverage"]  # fmt: skip


def gpu_faster_from(cpu: Floats, gpu: Floats) -> float:
    """The parameters from which on the GPU's line lies below the CPU's.

    A line is seconds of overhead and seconds for each parameter, (2,). 0 where the GPU's lies below
    for every size, infinite where the CPU's does, and NaN where the GPU's lies below for small
    models only, or the lines are one.
    """
    more_overhead, less_work = gpu[0] - cpu[0], cpu[1] - gpu[1]
    if more_overhead > 0:
        return float(more_overhead / less_work) if less_work > 0 else np.inf
    if less_work > 0 or (less_work == 0 and more_overhead < 0):
        return 0.0
    return np.inf if more_overhead == 0 and less_work < 0 else np.nan


def crosses(parameters: float) -> bool:
    """Whether lines cross, rather than that one lies below the other for every size."""
    return 0 < parameters < np.inf


def crossing_span(cpu: TimeModel, gpu: TimeModel) -> tuple[float, float]:
    """The least and the greatest `gpu_faster_from` of lines that miss by their greatest miss.

    It falls as the CPU's line rises and as the GPU's sinks, so that two corners bound it.
    """
    low, high = (
        gpu_faster_from(
            cpu.line * max(1 + sign * cpu.greatest_miss, 0),
            gpu.line * max(1 - sign * gpu.greatest_miss, 0),
        )
        for sign in (1, -1)
    )
    return low, high


def derived_crossovers(trials: pd.DataFrame, crossings: pd.DataFrame) -> pd.DataFrame:
    """The crossover by the time models of each comparison whose two devices have one.

    ``crossings`` are rows of `crossover.analysis.comparison.crossovers` of these trials. One row
    for each machine pair, backend and protocol: ``timing`` (steady, where both devices have such
    times, else cold), ``refitted`` (the device, if any, whose time model is of its steady times and
    whose cold ones are fitted here), ``{cpu,gpu}_overhead_us`` and ``{cpu,gpu}_parameter_ns`` (the
    lines: microseconds of a step, and nanoseconds for each parameter), ``derived``,
    ``derived_low`` and ``derived_high`` (parameters, see `gpu_faster_from` and `crossing_span`),
    ``{cpu,gpu}_miss`` (the greatest misses), what was measured of that timing, ``smallest`` and
    ``largest`` (parameters timed on both), and where the medians cross: ``factor`` (derived over
    measured), ``{cpu,gpu}_{before,after}`` (how far the medians on either side lie above their
    line, as a share of it), ``apart`` (how far the CPU's line lies above the GPU's at the measured
    crossover) and ``leverage`` (the per cent by which 1% of a time moves the derived one). NaN
    where there is no such number.
    """
    rows = []
    for measured in crossings.to_dict("records"):
        cpu, gpu = (_curve(trials, measured, device) for device in ("cpu", "gpu"))
        timings = {"CPU": timing_of(cpu), "GPU": timing_of(gpu)}
        timing = "cold" if "cold" in timings.values() else "steady"
        models = fit_curve(cpu, timing), fit_curve(gpu, timing)
        if measured["timing"] == timing and models[0] and models[1]:
            other = [device for device, own in timings.items() if own != timing]
            row = {name: measured[name] for name in [*COMPARISON, "timing", *MEASURED]}
            row |= {"refitted": "".join(other)} | _derive(models[0], models[1])
            medians = _medians(cpu, timing), _medians(gpu, timing)
            rows.append(row | _compare(row, models[0], models[1], *medians))
    return pd.DataFrame(rows, columns=[*COMPARISON, "timing", *MEASURED, *DERIVED])


def _curve(trials: pd.DataFrame, names: dict[Any, Any], device: str) -> pd.DataFrame:
    wanted = {
        "machine": names[f"{device}_machine"],
        "backend": names["backend"],
        "protocol": names["protocol"],
        "device": device,
    }
    return trials[(trials[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def _medians(curve: pd.DataFrame, timing: str) -> "pd.Series[float]":
    """Median seconds of a step by parameters; a curve has one batch size."""
    return step_medians(curve, timing).droplevel("batch_size")


def _derive(cpu: TimeModel, gpu: TimeModel) -> dict[str, float]:
    """What follows from the lines alone."""
    row = {"cpu_miss": cpu.greatest_miss, "gpu_miss": gpu.greatest_miss}
    for device, model in (("cpu", cpu), ("gpu", gpu)):
        overhead, parameter = model.line
        row |= {f"{device}_overhead_us": 1e6 * overhead, f"{device}_parameter_ns": 1e9 * parameter}
    low, high = crossing_span(cpu, gpu)
    derived = gpu_faster_from(cpu.line, gpu.line)
    row |= {"derived": derived, "derived_low": low, "derived_high": high}
    if crosses(derived):
        # Where both lines tell the same seconds, the share of the step by which they close in.
        more_overhead = gpu.overhead_seconds - cpu.overhead_seconds
        row["leverage"] = float(cpu.predict(derived)) / more_overhead
    return row


def _compare(
    row: dict[str, Any],
    cpu: TimeModel,
    gpu: TimeModel,
    cpu_medians: "pd.Series[float]",
    gpu_medians: "pd.Series[float]",
) -> dict[str, float]:
    """How the lines stand to the medians, next to a measured crossover."""
    both = cpu_medians.index.intersection(gpu_medians.index)
    compared = {"smallest": float(both.min()), "largest": float(both.max())}
    if row["status"] != "crossed":
        return compared
    for place, size in (
        ("before", int(row["bracket_low"])),
        ("after", int(row["bracket_high"])),
    ):
        compared[f"cpu_{place}"] = float(cpu_medians[size] / cpu.predict(size)) - 1
        compared[f"gpu_{place}"] = float(gpu_medians[size] / gpu.predict(size)) - 1
    derived, estimate = row["derived"], row["estimate"]
    compared["apart"] = float(cpu.predict(estimate) / gpu.predict(estimate)) - 1
    return compared | ({"factor": derived / estimate} if crosses(derived) else {})
