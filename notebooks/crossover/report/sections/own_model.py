"""Which device for my model: between the measured sizes, and predicted beyond them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from crossover.analysis.interpolate import Curve, choose, form_data, measured_curves, predict
from crossover.analysis.merge import Merged, with_batch_sizes
from crossover.analysis.predict import Predictor, fit_predictor, prediction_table
from crossover.report import htmltable, text
from crossover.report.columns import PARAMETERS, Column
from crossover.report.results import Results

SIZES = [3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]
COLUMNS = [
    PARAMETERS,
    Column("CPU s", "cpu", ".1f"),
    Column("GPU s", "gpu", ".1f"),
    Column("faster", lambda row: text.faster(row["cpu"], row["gpu"])),
]


def show(results: Results) -> None:
    """Show the form, and the table that stands in its place where no script runs."""
    merged, trials = results.merged, results.merged.trials
    machines = [name for name in trials["machine"].unique() if merged.comparable(name)]
    curves = measured_curves(trials[trials["machine"].isin(machines)], results.cells)
    seconds = interpolated(curves, merged.compared)
    form = form_data(curves, merged.own, merged.gpu_machine)
    htmltable.show(seconds, "Interpolated seconds (cold, published protocol)", COLUMNS, form)


def interpolated(curves: Sequence[Curve], compared: Mapping[str, str]) -> pd.DataFrame:
    """Cold seconds of the published protocol at round numbers of parameters, both devices."""
    chosen = {
        device: choose(curves, machine, device, "published", "cold")
        for device, machine in compared.items()
    }
    measured = [curve["parameters"] for curve in chosen.values() if curve]
    low = max((sizes[0] for sizes in measured), default=0)
    high = min((sizes[-1] for sizes in measured), default=0)
    rows = []
    for size in (lead * 10**power for power in range(2, 9) for lead in (1, 3)):
        if low <= size <= high:
            seconds = {device: predict(curve, size).seconds if curve else None
                       for device, curve in chosen.items()}  # fmt: skip
            rows.append({"parameters": size, **seconds})
    return pd.DataFrame(rows)


def show_predicted(results: Results) -> None:
    """Show seconds of an epoch by size and batch size, for each protocol with times enough."""
    for protocol in ("published", "tuned"):
        predictors = predictors_of(results.merged, protocol)
        if any(predictors.values()):
            table = prediction_table(predictors["cpu"], predictors["gpu"], SIZES)
            caption = f"{protocol}: {sources(results.merged, predictors)}"
            htmltable.show(table, caption, _predicted(table))


def _predicted(table: pd.DataFrame) -> list[Column]:
    columns = [PARAMETERS, Column("batch", "batch_size")]
    for device in ("cpu", "gpu"):
        epoch, once = (f"{device}_seconds", f"{device}_low", f"{device}_high"), f"{device}_start"
        columns.append(Column(f"{device.upper()} s an epoch", epoch, ".2g"))
        if table[once].notna().any():
            columns.append(Column(f"{device.upper()} s once", once, ".2g"))
    return [*columns, Column("faster", "verdict", text=True)]


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
