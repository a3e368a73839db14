"""The report's tables: frames of text, ready to be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from crossover.analysis.breakdown import PARTS
from crossover.analysis.interpolate import Curve, choose, predict
from crossover.analysis.predict import Predictor, prediction_table
from crossover.files import write_text
from crossover.problem import TEST_IMAGES, TRAIN_IMAGES
from crossover.records import published
from crossover.records.limits import KINDS
from crossover.records.record import Record
from crossover.report.htmltable import MISSING as MISSING
from crossover.report.htmltable import Strong
from crossover.report.htmltable import show_table as show_table
from crossover.report.narrative import finite, three_digits
from crossover.training.mnist import DIGESTS

FORMULA = ("=", "+", "-", "@", "\t", "\r")
# The figures' markers, so that a winner is told by symbol, weight and words.
SYMBOLS = {"CPU": "●", "GPU": "■"}


def number(value: object, form: str) -> str:
    """A number as text, or the word that says it was not measured."""
    return format(value, form) if finite(value) else MISSING


def faster(cpu_seconds: object, gpu_seconds: object) -> str:
    """Which device is faster and by how much, in words; MISSING where one time is."""
    if not finite(cpu_seconds) or not finite(gpu_seconds):
        return MISSING
    ratio = float(str(cpu_seconds)) / float(str(gpu_seconds))
    winner, factor = ("GPU", ratio) if ratio > 1 else ("CPU", 1 / ratio)
    return f"{SYMBOLS[winner]} {winner} {factor:.2f}×"


def result_table(curves: pd.DataFrame, cpu: str, gpu: str, protocol: str) -> pd.DataFrame:
    """The published table's shape: parameters, seconds and accuracy of each device.

    ``cpu`` and ``gpu`` name the machines that the columns are taken from.
    """
    rows = curves[curves["protocol"] == protocol].set_index(["machine", "width"])
    widths = sorted({width for name, width in rows.index if name in (cpu, gpu)})
    table = []
    for width in widths:
        sides = {device: rows.loc[(machine, width)] if (machine, width) in rows.index else None
                 for device, machine in (("cpu", cpu), ("gpu", gpu))}  # fmt: skip
        known = next(side for side in sides.values() if side is not None)
        table.append({"parameters": f"{known['parameters']:,}", **_sides(sides)})
    return pd.DataFrame(table, dtype=object)


def _sides(sides: dict[str, pd.Series[Any] | None]) -> dict[str, str]:
    """Seconds and accuracy of both devices at one width; the faster time is strong."""
    seconds = {device: None if side is None else side[f"{device}_cold_seconds"]
               for device, side in sides.items()}  # fmt: skip
    verdict = faster(seconds["cpu"], seconds["gpu"])
    cells = {}
    for device, side in sides.items():
        name = device.upper()
        shown = number(seconds[device], ".2f")
        cells[f"{name} s"] = Strong(shown) if name in verdict else shown
        accuracy = None if side is None else side[f"{device}_accuracy"]
        cells[f"{name} accuracy"] = number(accuracy, ".4f")
    return {**cells, "faster": verdict if verdict == MISSING else Strong(verdict)}


def beside_published(curves: pd.DataFrame, cpu: str, gpu: str) -> pd.DataFrame:
    """The result table of two machines, with the published study's columns to its right."""
    heading = cpu if cpu == gpu else f"CPU of {cpu}, GPU of {gpu}"
    asked = {heading: (cpu, gpu), "published study, 2018": (published.MACHINE, published.MACHINE)}
    if cpu == published.MACHINE:
        del asked[heading]
    parts = {
        name: result_table(curves, *machines, "published").set_index("parameters")
        for name, machines in asked.items()
    }
    beside = pd.concat(parts, axis=1).fillna(MISSING)
    beside = beside.loc[sorted(beside.index, key=lambda text: int(text.replace(",", "")))]
    beside.insert(0, ("", "parameters"), beside.index)
    return beside


def trials_table(summary: pd.DataFrame, machine: str) -> pd.DataFrame:
    """Every cell of a machine with its spread and its flags."""
    rows = summary[summary["machine"] == machine]
    cells = [row for _, row in rows.iterrows()]
    return pd.DataFrame(
        {
            "protocol": rows["protocol"],
            "device": rows["device"].str.upper(),
            "parameters": rows["parameters"].map("{:,}".format),
            "repeats": rows["repeats"],
            "cold s": [_spread(row, "cold_seconds", three_digits) for row in cells],
            "steady s": [
                _spread(row, "steady_seconds", three_digits) for _, row in rows.iterrows()
            ],
            "accuracy": [_spread(row, "accuracy", "{:.3f}".format) for row in cells],
            "flags": _flags(rows),
        }
    )


def _flags(rows: pd.DataFrame) -> pd.Series[str]:
    """What is to be said against each cell, or 'none'."""
    pairs = zip(rows["learning"], rows["noise"], strict=True)
    found = ["; ".join(filter(None, pair)) for pair in pairs]
    flags = [Strong(f"⚑ {text}") if text else "none" for text in found]
    return pd.Series(flags, index=rows.index, dtype=object)


def _spread(row: pd.Series[Any], name: str, show: Callable[[float], str]) -> str:
    """A median and, from two repeats on, its interval or range."""
    median, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if not finite(median):
        return MISSING
    spread = f" ({show(low)}–{show(high)})" if finite(low) and finite(high) else ""
    return f"{show(median)}{spread}"


def predicted_table(curves: list[Curve], cpu: str, gpu: str) -> pd.DataFrame:
    """Interpolated cold times of the published protocol at round numbers of parameters."""
    chosen = {device: choose(curves, machine, device, "published", "cold")
              for device, machine in (("cpu", cpu), ("gpu", gpu))}  # fmt: skip
    known = [curve["parameters"] for curve in chosen.values() if curve]
    low = max((sizes[0] for sizes in known), default=0)
    high = min((sizes[-1] for sizes in known), default=0)
    rows = []
    for size in (lead * 10**power for power in range(2, 9) for lead in (1, 3)):
        if low <= size <= high:
            times = {device: predict(curve, size).seconds if curve else None
                     for device, curve in chosen.items()}  # fmt: skip
            rows.append(
                {
                    "parameters": f"{size:,}",
                    "CPU s": number(times["cpu"], ".1f"),
                    "GPU s": number(times["gpu"], ".1f"),
                    "faster": faster(times["cpu"], times["gpu"]),
                }
            )
    return pd.DataFrame(rows, columns=["parameters", "CPU s", "GPU s", "faster"])


def crossing_table(crossings: pd.DataFrame) -> pd.DataFrame:
    """One row a comparison: who against whom, how timed, and the result in words."""
    known = crossings[crossings["status"] != "missing device"]
    same = known["cpu_machine"] == known["gpu_machine"]
    return pd.DataFrame(
        {
            "CPU of": known["cpu_machine"],
            "GPU of": known["gpu_machine"].where(~same, "the same machine"),
            "protocol": known["protocol"],
            "timing": known["timing"],
            "status": known["status"].str.replace("gpu", "GPU").str.replace("cpu", "CPU"),
            "result": known["sentence"],
        }
    )


def model_table(models: pd.DataFrame) -> pd.DataFrame:
    """The time model of each curve with the limits of its fit."""
    known = models[models["overhead_seconds"].notna()]
    return pd.DataFrame(
        {
            "machine": known["machine"],
            "protocol": known["protocol"],
            "device": known["device"].str.upper(),
            "times": known["timing"],
            "overhead µs a step": _scaled(known, ("overhead_seconds", "overhead"), 1e6, ",.0f"),
            "GFLOP/s": _scaled(known, ("flops_per_second", "flops"), 1e-9, ",.1f"),
            "relative error": known["relative_error"].map("{:.0%}".format),
            "once a training s": [
                f"{low:.2g} to {high:.2g}" if finite(low) else MISSING
                for low, high in known[["start_low", "start_high"]].to_numpy(dtype=float)
            ],
        }
    )


def _scaled(models: pd.DataFrame, names: tuple[str, str], factor: float, form: str) -> list[str]:
    """A fitted value and its interval in other units."""
    value, stem = names
    columns = models[[value, f"{stem}_low", f"{stem}_high"]].to_numpy(dtype=float) * factor
    return [f"{middle:{form}} ({low:{form}} to {high:{form}})" for middle, low, high in columns]


def breakdown_table(breakdown: pd.DataFrame) -> pd.DataFrame:
    """The parts of each step in microseconds; what was not measured is called missing."""
    shown = breakdown[["protocol", "device", "width"]].copy()
    shown["device"] = shown["device"].str.upper()
    for name in ["step_us", *PARTS]:
        title = "step" if name == "step_us" else name
        shown[title] = [number(value, ",.0f") for value in breakdown[name]]
    return shown


def profile_table(profile: pd.DataFrame) -> pd.DataFrame:
    """What the profiler saw of each step, microseconds, beside the study's own step.

    What it saw in no step at all has no column.
    """
    titles = {"step_us": "study's step", "profiled_us": "profiled step"}
    shown = pd.DataFrame({"device": profile["device"].str.upper(), "width": profile["width"]})
    unseen = [kind for kind in KINDS if not profile[kind].any()]
    for name in profile.columns.drop(["device", "width", *unseen]):
        shown[titles.get(name, name)] = [number(value, ",.0f") for value in profile[name]]
    return shown


def ablation_table(ablations: pd.DataFrame) -> pd.DataFrame:
    """Each change's epoch, how many times as fast it is, and what it saves a step."""
    ratios = zip(ablations["ratio"], ablations["low"], ablations["high"], strict=True)
    return pd.DataFrame(
        {
            "device": ablations["device"].str.upper(),
            "width": ablations["width"],
            "change": ablations["change"],
            "epoch s": ablations["epoch_seconds"].map("{:.2f}".format),
            "times as fast": [
                f"{ratio:.2f}" if low == high else f"{ratio:.2f} ({low:.2f} to {high:.2f})"
                for ratio, low, high in ratios
            ],
            "saved µs a step": ablations["saved_us"].map("{:,.0f}".format),
        }
    )


def roofline_table(near: pd.DataFrame) -> pd.DataFrame:
    """Achieved rates beside their ceilings."""
    return pd.DataFrame(
        {
            "protocol": near["protocol"],
            "device": near["device"].str.upper(),
            "width": near["width"],
            "FLOP/byte": near["intensity"].map("{:.1f}".format),
            "GFLOP/s": (near["flops_per_second"] / 1e9).map("{:,.3g}".format),
            "matrix products GFLOP/s": (near["ceiling_flops"] / 1e9).map("{:,.3g}".format),
            "GB/s": (near["bytes_per_second"] / 1e9).map("{:,.3g}".format),
            "memory GB/s": (near["ceiling_bytes"] / 1e9).map("{:,.3g}".format),
            "share of the ceiling": near["share"].map("{:.1%}".format),
            "BLAS GFLOP/s": [number(value / 1e9, ",.3g") for value in near["blas_flops"]],
            "most of all GFLOP/s": [number(value / 1e9, ",.3g") for value in near["peak_flops"]],
        }
    )


CHOICES = [3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]


def choice_table(cpu: Predictor | None, gpu: Predictor | None) -> pd.DataFrame:
    """Predicted epochs by parameters and batch size, and which device is faster."""
    found = prediction_table(cpu, gpu, CHOICES)
    columns: dict[str, Any] = {"parameters": found["parameters"].map("{:,}".format)}
    columns["batch"] = found["batch_size"]
    for device in ("cpu", "gpu"):
        rows = found[[f"{device}_{name}" for name in ("seconds", "low", "high")]].to_numpy(float)
        columns[f"{device.upper()} s an epoch"] = [
            f"{middle:.2g} ({low:.2g} to {high:.2g})" if finite(middle) else MISSING
            for middle, low, high in rows
        ]
        if found[f"{device}_start"].notna().any():
            columns[f"{device.upper()} s once"] = [
                number(value, ".2g") for value in found[f"{device}_start"]
            ]
    return pd.DataFrame({**columns, "faster": found["verdict"]})


def data_table() -> pd.DataFrame:
    """The data set: its parts and the digest that each read verifies."""
    train, test = f"{TRAIN_IMAGES:,}", f"{TEST_IMAGES:,}"
    sizes = {"x_train": f"{train} × 28 × 28", "y_train": train}
    sizes |= {"x_test": f"{test} × 28 × 28", "y_test": test}
    return pd.DataFrame(
        {"array": list(DIGESTS), "shape": [sizes[name] for name in DIGESTS],
         "SHA-256 of the published file": list(DIGESTS.values())}
    )  # fmt: skip


def phases_table(records: list[Record]) -> pd.DataFrame:
    """Median seconds of each phase, by protocol, device and width."""
    rows = [
        {
            "protocol": record.settings.protocol,
            "device": record.device.upper(),
            "width": record.width,
            "runtime start": record.phases.runtime_start,
            "data": record.phases.data,
            "warm-up": record.phases.warm_up,
            "build": record.phases.build,
            "first epoch": record.phases.epochs[0],
            "later epoch": pd.Series(record.phases.epochs[1:], dtype=float).median(),
            "fit": record.phases.fit,
            "evaluate": record.phases.evaluate,
        }
        for record in records
    ]
    if not rows:
        return pd.DataFrame()
    medians = pd.DataFrame(rows).groupby(["protocol", "device", "width"]).median().reset_index()
    seconds = medians.columns[3:]
    medians[seconds] = medians[seconds].map(lambda value: number(value, ".3f")).astype(str)
    return medians


def claims_table(claims: pd.DataFrame) -> pd.DataFrame:
    """The claims with their verdict in words."""
    words = {True: Strong("✓ holds"), False: Strong("✗ does not hold")}
    verdict = [words.get(value, "cannot be tested") for value in claims["holds"]]
    shown = claims.assign(holds=pd.Series(verdict, index=claims.index, dtype=object))
    return shown.rename(columns={"holds": "verdict"})


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table for other programs; no text in it is a spreadsheet's formula."""
    texts = frame.select_dtypes(include=["object", "string"])
    safe = frame.assign(**texts.map(lambda v: f"'{v}" if str(v).startswith(FORMULA) else v))
    write_text(path, safe.to_csv(index=False))
