"""Which device for my model: the form on the chart, its table and source, and other batch sizes."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from crossover.analysis.compared import MIME, Comparison, form_data
from crossover.analysis.interpolate import curve_numbers
from crossover.analysis.merge import Merged, with_batch_sizes
from crossover.analysis.predict import Predictor, fit_predictor, prediction_table
from crossover.analysis.verdict import Prediction
from crossover.records import published
from crossover.records.settings import PROTOCOLS
from crossover.report import htmltable, text
from crossover.report.columns import PARAMETERS, Column, Row
from crossover.report.results import Results, csv_text

SIZES = [3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]


def _seconds(device: str, row: Row) -> str:
    """A device's predicted seconds, marked where a median that they were read off is flagged."""
    time: Prediction = row[device]
    if time.seconds is None:
        return text.MISSING
    return text.marked(text.three_digits(time.seconds), time.flags)


COLUMNS = [
    PARAMETERS,
    Column("faster", lambda row: text.faster(row["verdict"]), text=True),
    *(Column(f"{device.upper()} s", partial(_seconds, device)) for device in ("cpu", "gpu")),
    Column("break-even", lambda row: text.break_even(row["even"])),
]
CHEAPER = Column("cheaper", lambda row: text.faster(row["cheaper"]), text=True)


def show(results: Results) -> None:
    """Show the form, and the table that stands in its place where no script runs."""
    for protocol, timing in results.views[:1]:
        machines = results.merged.own, results.merged.gpu_machine
        form = form_data(results.curves, results.crossings, *machines, protocol, timing)
        prices = results.asked.prices
        seconds = at_round_sizes(results.compared(protocol, timing), prices and prices.ratio)
        if form:
            extra = {"csv": csv_text(curve_numbers(results.curves)), "names": names(results.merged)}
            extra |= {"prices": {"cpu": results.asked.cpu_price, "gpu": results.asked.gpu_price}}
            caption = (
                f"Interpolated seconds ({timing}, {protocol} protocol); break-even: the price of "
                "the GPU's hour, in hours of the CPU, up to which the GPU is cheaper"
                f"{flags_note(seconds)}"
            )
            columns = COLUMNS if prices is None else [*COLUMNS, CHEAPER]
            htmltable.show(seconds, caption, columns, {MIME: form | extra})
        text.show(source(results, protocol))


def flags_note(seconds: pd.DataFrame) -> str:
    """What the mark means, for a caption; empty where `at_round_sizes` has nothing flagged."""
    flagged = any(time.flags for device in ("cpu", "gpu") for time in seconds[device])
    return f"; {text.flagged('read off a flagged median')}" if flagged else ""


def names(merged: Merged) -> dict[str, dict[str, str]]:
    """The devices' own names by device and machine."""
    machines = merged.trials.groupby("device")["machine"].unique()
    return {
        str(device): {name: merged.processor(str(device), name) for name in own}
        for device, own in machines.items()
    }


def at_round_sizes(comparison: Comparison, price_ratio: float | None = None) -> pd.DataFrame:
    """Both devices' seconds and the verdicts at the round sizes that both were measured around.

    ``cpu`` and ``gpu``, the `Prediction` of each, ``verdict`` and ``even``, the break-even price
    ratio; with the GPU's hour at ``price_ratio`` hours of the CPU, ``cheaper``, the verdict on
    costs.
    """
    measured = [curve["parameters"] for curve in (comparison.cpu, comparison.gpu) if curve]
    priced = comparison.priced(price_ratio) if price_ratio else None
    low = max((sizes[0] for sizes in measured), default=0)
    high = min((sizes[-1] for sizes in measured), default=0)
    rows = []
    for size in (lead * 10**power for power in range(2, 9) for lead in (1, 3)):
        if low <= size <= high:
            cpu, gpu, told = comparison.at(size)
            even = comparison.break_even(size)
            rows.append({"parameters": size, "cpu": cpu, "gpu": gpu, "verdict": told, "even": even})
            if priced:
                rows[-1]["cheaper"] = priced.at(size)[2]
    return pd.DataFrame(rows, columns=["parameters", "cpu", "gpu", "verdict", "even", "cheaper"])


def show_predicted(results: Results) -> None:
    """Show seconds of an epoch at other batch sizes than the study's, where they were measured."""
    for protocol in PROTOCOLS:
        predictors = predictors_of(results.merged, protocol)
        table = prediction_table(
            predictors["cpu"], predictors["gpu"], SIZES, results.asked.batch_size
        )
        if len(table):
            caption = f"{protocol}: {sources(results.merged, predictors)}"
            htmltable.show(table, caption, _predicted(table))


def _predicted(table: pd.DataFrame) -> list[Column]:
    columns = [PARAMETERS, Column("batch", "batch_size")]
    for device in ("cpu", "gpu"):
        epoch, once = (f"{device}_seconds", f"{device}_low", f"{device}_high"), f"{device}_start"
        columns.append(Column(f"{device.upper()} s an epoch", epoch, ".2g"))
        if table[once].notna().any():
            columns.append(Column(f"{device.upper()} s once", once, ".2g"))
    faster = Column("faster", lambda row: text.faster(row["verdict"]), text=True)
    return [*columns[:2], faster, *columns[2:]]


def predictors_of(merged: Merged, protocol: str) -> dict[str, Predictor | None]:
    """What predicts each device's times (None: too few sizes were measured)."""
    predictors = {}
    for device, machine in merged.compared.items():
        pool = with_batch_sizes(merged, machine)
        alike = (pool["device"] == device) & (pool["protocol"] == protocol)
        predictors[device] = fit_predictor(pool[alike])
    return predictors


def sources(merged: Merged, predictors: Mapping[str, Predictor | None]) -> str:
    """Whose times predictions come from, and what is in them."""
    fitted = {device: one for device, one in predictors.items() if one}
    told = "; ".join(f"{device.upper()} of {merged.compared[device]}" for device in fitted)
    cold = any(one.timing == "cold" for one in fitted.values())
    share = "; each epoch with its share of what a training costs once" if cold else ""
    return f"{told}{share}"


def source(results: Results, protocol: str) -> str:
    """Whose trials of a protocol the chart shows."""
    told = [_source(results.merged, device, protocol) for device in results.merged.compared]
    return f"Source: {'; '.join(filter(None, told))}."


def _source(merged: Merged, device: str, protocol: str) -> str:
    """One curve's trials and their dates, or the published table; empty without any."""
    machine, name = merged.compared[device], text.literal(merged.processor(device))
    trials = merged.of(machine).query("device == @device and protocol == @protocol")
    if trials.empty:
        return ""
    if machine == published.MACHINE:
        return f"{name}, the published table, one training a size"
    days = text.span(trials["date"].min(), trials["date"].max())
    repeats = trials.groupby("width").size()
    count = text.span(repeats.min(), repeats.max())
    return f"{name}, {count} training{'' if count == '1' else 's'} a size, {days}"
