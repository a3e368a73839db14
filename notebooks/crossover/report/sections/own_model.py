"""Which device for my model: between the measured sizes, and predicted beyond them."""

from collections.abc import Sequence

import pandas as pd

from crossover.analysis.interpolate import Curve, choose, form_data, measured_curves, predict
from crossover.analysis.merge import Merged, with_batch_sizes
from crossover.analysis.predict import Predictor, fit_predictor, prediction_table
from crossover.report import htmltable
from crossover.report.columns import PARAMETERS, Column
from crossover.report.results import Results
from crossover.report.text import faster

SIZES = [3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000]
COLUMNS = [
    PARAMETERS,
    Column("CPU s", "cpu", ".1f"),
    Column("GPU s", "gpu", ".1f"),
    Column("faster", lambda row: faster(row["cpu"], row["gpu"])),
]


def show(results: Results) -> None:
    """Show the form, and the table that stands in its place where no script runs."""
    study, trials = results.study, results.study.trials
    machines = [name for name in trials["machine"].unique() if study.comparable(name)]
    curves = measured_curves(trials[trials["machine"].isin(machines)], results.cells)
    seconds = interpolated(curves, study.own, study.gpu_machine)
    form = form_data(curves, study.own, study.gpu_machine)
    htmltable.show(seconds, "Interpolated seconds (cold, published protocol)", COLUMNS, form)


def interpolated(curves: Sequence[Curve], cpu: str, gpu: str) -> pd.DataFrame:
    """Cold seconds of the published protocol at round numbers of parameters, both devices."""
    chosen = {device: choose(curves, machine, device, "published", "cold")
              for device, machine in (("cpu", cpu), ("gpu", gpu))}  # fmt: skip
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
        cpu, gpu = devices_of(results.study, protocol)
        if cpu or gpu:
            table = prediction_table(cpu, gpu, SIZES)
            caption = f"{protocol}: {sources(results.study, cpu, gpu)}"
            htmltable.show(table, caption, _predicted(table))


def _predicted(table: pd.DataFrame) -> list[Column]:
    columns = [PARAMETERS, Column("batch", "batch_size")]
    for device in ("cpu", "gpu"):
        epoch, once = (f"{device}_seconds", f"{device}_low", f"{device}_high"), f"{device}_start"
        columns.append(Column(f"{device.upper()} s an epoch", epoch, ".2g"))
        if table[once].notna().any():
            columns.append(Column(f"{device.upper()} s once", once, ".2g"))
    return [*columns, Column("faster", "verdict", text=True)]


def devices_of(study: Merged, protocol: str) -> tuple[Predictor | None, Predictor | None]:
    """What predicts the CPU's and the GPU's times (None: too few sizes were measured)."""
    pools = []
    for device, machine in (("cpu", study.own), ("gpu", study.gpu_machine)):
        pool = with_batch_sizes(study, machine)
        pools.append(pool[(pool["device"] == device) & (pool["protocol"] == protocol)])
    return fit_predictor(pools[0]), fit_predictor(pools[1])


def sources(study: Merged, cpu: Predictor | None, gpu: Predictor | None) -> str:
    """Whose times predictions come from, and what is in them."""
    machines = (("CPU", study.own, cpu), ("GPU", study.gpu_machine, gpu))
    told = "; ".join(f"{device} of {name}" for device, name, fitted in machines if fitted)
    cold = any(fitted.timing == "cold" for fitted in (cpu, gpu) if fitted)
    share = "; each epoch with its share of what a training costs once" if cold else ""
    return f"{told}{share}"
