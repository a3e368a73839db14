"""Hardware, software and data set, beside the published study's."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from crossover.analysis.compared import crossing_of
from crossover.analysis.crossing import capitals, limits_text, rounded
from crossover.analysis.merge import Merged
from crossover.problem import TEST_IMAGES, TRAIN_IMAGES
from crossover.records.generations import generation
from crossover.records.record import Machine, Record, Software
from crossover.records.settings import PROTOCOLS
from crossover.records.unusual import environment_text
from crossover.report import htmltable, text
from crossover.report.columns import Column, words
from crossover.report.results import Results
from crossover.training.mnist import DIGESTS
from crossover.words import counted

PUBLISHED_HARDWARE = {
    "CPU": "Core i5 750, 4 threads, 2.67 GHz",
    "clocks": "unknown",
    "memory": "4 GB",
    "GPU": "GeForce GTX 660",
    "operating system": "Ubuntu 16.04.5, kernel 4.15.0-38",
    "software": "TensorFlow 1.10.0 (built from source), Keras 2.2.4",
    "environment": "unknown",
    "CUDA": "CUDA 9.0, cuDNN 7.3",
    "matrix products": "float32",
}


def show(results: Results) -> None:
    """Show both tables."""
    machine, data = machine_table(results.merged.records), data_table()
    htmltable.show(machine, "Hardware and software", words(*machine))
    htmltable.show(data, "MNIST, verified at every read", words(*data))


def show_together(results: Results) -> None:
    """Show every machine that compares with this one in one table, by its crossover."""
    table = machines_table(results)
    if len(table):
        htmltable.show(table, "Machines by their crossover, in parameters", TOGETHER)


def machines_table(results: Results) -> pd.DataFrame:
    """One row for each CPU beside a GPU of the same learning problem, sorted by the crossover.

    ``cpu`` and ``gpu`` are the devices' own names, ``published`` and ``tuned`` what the comparison
    found in cold times, ``order`` the published crossover (NaN where there is none), and ``dates``
    those of the trials.
    """
    cold = results.crossings[results.crossings["timing"] == "cold"]
    pairs = cold[["cpu_machine", "gpu_machine"]].drop_duplicates().itertuples(index=False)
    alike = [pair for pair in pairs if all(map(results.merged.comparable, pair))]
    rows = [_machine_row(results.merged, cold, cpu, gpu) for cpu, gpu in alike]
    table = pd.DataFrame(rows, columns=["cpu", "gpu", *PROTOCOLS, "order", "dates"])
    told = (table[list(PROTOCOLS)] != text.MISSING).any(axis=1)
    return table[told].sort_values("order", ignore_index=True)


def _machine_row(merged: Merged, cold: pd.DataFrame, cpu: str, gpu: str) -> dict[str, object]:
    """One row of `machines_table`, from the crossovers of cold times."""
    rules = {name: crossing_of(cold, (cpu, gpu), name, "cold") for name in PROTOCOLS}
    dates = merged.trials.loc[merged.trials["machine"].isin([cpu, gpu]), "date"]
    return {
        "cpu": merged.processor("cpu", cpu), "gpu": merged.processor("gpu", gpu),
        **{name: _found(rule) for name, rule in rules.items()},
        "order": (rules["published"] or {}).get("estimate", np.nan),
        "dates": text.span(dates.min(), dates.max()),
    }  # fmt: skip


def _found(crossing: dict[str, Any] | None) -> str:
    """A comparison's crossover with its limits, or what it found instead."""
    if crossing is None or crossing["status"] == "missing device":
        return text.MISSING
    if crossing["status"] != "crossed":
        return capitals(crossing["status"])
    about = rounded(crossing["estimate"])
    if not text.finite(crossing["low"]):
        return f"about {about}"
    return f"about {about} ({limits_text(crossing['low'], crossing['high'])})"


TOGETHER = [
    Column("CPU", "cpu", text=True),
    Column("GPU", "gpu", text=True),
    Column("crossover, published", "published"),
    Column("crossover, tuned", "tuned"),
    Column("measured", "dates", text=True),
]


def data_table() -> pd.DataFrame:
    """The data set: its parts and the digest that each read verifies."""
    rows = []
    for name, digest in DIGESTS.items():
        images = f"{TRAIN_IMAGES if name.endswith('train') else TEST_IMAGES:,}"
        rows.append((name, f"{images} × 28 × 28" if name.startswith("x") else images, digest))
    return pd.DataFrame(rows, columns=["array", "shape", "SHA-256 of the published file"])


def machine_table(records: list[Record]) -> pd.DataFrame:
    """Hardware and software of this machine beside the published study's."""
    here = _facts(records) | {"matrix products": _precisions(records)} if records else {}
    columns = {"this machine": here, "published study": PUBLISHED_HARDWARE}
    table = pd.DataFrame(columns, index=list(PUBLISHED_HARDWARE), dtype=object).fillna(text.MISSING)
    return table.rename_axis("part").reset_index()


def _facts(records: list[Record]) -> dict[str, str]:
    """What the last trial tells, and of the GPU the last trial on one."""
    record = records[-1]
    on_gpu = next((trial for trial in reversed(records) if trial.device == "gpu"), None)
    machine, software = record.machine, record.software
    cuda = on_gpu.software if on_gpu else None
    memory, limit = (
        size and _gibibytes(size) for size in (machine.memory_bytes, machine.memory_limit_bytes)
    )
    return {
        "CPU": f"{cpu_name(machine)}; {cores_text(machine, software)}",
        "clocks": clocks_text(records),
        "memory": f"{memory}, of which {limit} granted" if limit else memory or "unknown",
        "GPU": (on_gpu and gpu_name(on_gpu.machine)) or text.MISSING,
        "operating system": f"{machine.operating_system}, kernel {machine.kernel}",
        "software": f"{record.settings.backend} {software.backend}, Keras {software.keras}, "
        f"Python {software.python}, NumPy {software.numpy}",
        "environment": "unknown"
        if record.environment is None
        else environment_text(record.environment),
        "CUDA": f"CUDA {cuda.cuda}, cuDNN {cuda.cudnn}" if cuda and cuda.cuda else text.MISSING,
    }


def _precisions(records: list[Record]) -> str:
    """What matrix products were rounded to; by protocol and device where that differs."""
    # A CPU has no TF32, so that records which don't tell are known too.
    unknown = {"cpu": "float32", "gpu": "unknown"}
    precisions = {
        f"{record.settings.protocol}, {record.device.upper()}": (
            text.precision(record.precision or unknown[record.device])
        )
        for record in records
    }
    if len(set(precisions.values())) == 1:
        return next(iter(precisions.values()))
    return "; ".join(f"{curve}: {precision}" for curve, precision in sorted(precisions.items()))


def cpu_name(machine: Machine) -> str:
    """The CPU's model and, by its own numbers, its microarchitecture."""
    family, number, stepping = machine.cpu_family, machine.cpu_number, machine.cpu_stepping
    model, name = machine.cpu_model or "unknown", generation(family, number)
    # Records of earlier versions may name another, by what a virtual machine lets be seen.
    if (name := name or machine.cpu_generation) is None:
        return model
    if None not in (family, number, stepping):
        name += f": family {family}, model {number}, stepping {stepping}"
    return f"{model} ({name})"


def gpu_name(machine: Machine) -> str:
    """The GPU's model, memory, power limit and driver, as far as they are known."""
    memory, watts = machine.gpu_memory_bytes, machine.gpu_power_limit_watts
    parts = [
        machine.gpu_model,
        memory and _gibibytes(memory),
        watts and f"{watts:,.0f} W at most",
        machine.gpu_driver and f"driver {machine.gpu_driver}",
    ]
    return ", ".join(part for part in parts if part)


def _gibibytes(size: int) -> str:
    return f"{size / 2**30:.3g} GiB"


def cores_text(machine: Machine, software: Software) -> str:
    """Cores visible and granted, how they are laid out, and the threads of each pool."""
    parts = [f"{counted(machine.visible_cores or 0, 'core')} visible"]
    if machine.cpu_quota:
        parts.append(f"a quota of {machine.cpu_quota:g}")
    if machine.numa_nodes and machine.numa_nodes > 1:
        parts.append(f"{machine.numa_nodes} NUMA nodes")
    if machine.smt is not None:
        parts.append("two threads a core" if machine.smt else "one thread a core")
    used = f"{software.threads} used"
    if software.pools:
        pools = (f"{name} {count}" for name, count in sorted(software.pools.items()))
        used = f"threads: {', '.join(pools)}"
    return ", ".join(parts) + f"; {used}"


def clocks_text(records: Sequence[Record]) -> str:
    """The clocks' range, who sets them, and what they were; 'unknown' where nothing tells."""
    machine = records[-1].machine
    if not machine.cpu_mhz_max:
        return "unknown"
    after = [mhz for trial in records if (mhz := trial.conditions.cpu_mhz_after) is not None]
    seen = f"; {statistics.median(after) / 1e3:.1f} GHz at the ends of the fits" if after else ""
    low = f"{machine.cpu_mhz_min / 1e3:.1f} to " if machine.cpu_mhz_min else ""
    boost = {None: "", True: ", boost on", False: ", boost off"}[machine.cpu_boost]
    driver = f", set by {machine.cpu_driver}" if machine.cpu_driver else ""
    return f"{low}{machine.cpu_mhz_max / 1e3:.1f} GHz{boost}{driver}{seen}"
