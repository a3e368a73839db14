"""Models of the reader's own: what a step takes on each device, why, and what a GPU would need."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from crossover.analysis.interpolate import choose, predict
from crossover.analysis.own import DEVICES, OwnModel
from crossover.analysis.own_estimate import Estimate, Recorded, recorded, recorded_gpus
from crossover.analysis.stepmodel import FLOPS_PER_PARAMETER, step_medians, timing_of
from crossover.analysis.verdict import Prediction, verdict
from crossover.problem import product_flops
from crossover.records.backends import BACKENDS
from crossover.records.ceilings import KINDS
from crossover.records.frame import machine_label
from crossover.records.own import OwnRun
from crossover.records.own_parameters import ENOUGH_SECONDS
from crossover.records.settings import Device
from crossover.report import axes, figure, htmltable, looks, text
from crossover.report.columns import DEVICE, Column, limits, numbers
from crossover.report.disturbances import cautions
from crossover.report.endlabels import EndLabel, end_labels
from crossover.report.results import Results
from crossover.words import counted

NONE = (
    "A model of your own: `make mine MODEL=path/to/model.py` measures it on each device there is."
)
MOST = 12  # Models that are shown.
SHARE = 0.005  # Parts of a step that are less than this of it are not named.
MODEL, PARAMETERS = Column("model", text=True), Column("parameters", form=",")
OVERVIEW = [
    MODEL, PARAMETERS, Column("million operations", "megaflops", ",.4g"),
    Column("CPU ms", limits("cpu"), text.three_digits),
    Column("GPU ms", limits("gpu"), text.three_digits), Column("faster", text=True),
]  # fmt: skip
SIZES = [
    MODEL, DEVICE, Column("batch", "batch_size", ","),
    Column("step, ms", limits("step_ms"), text.three_digits),
    Column("rows a second", "rows_per_second", ",.0f"), Column("gain, times", "gain", ".2f"),
    Column("first steps, s", "first_seconds", ".2g"), Column("why not", "missing", text=True),
]  # fmt: skip


def show(results: Results) -> None:
    """Show each model's steps on both devices, and the chart; or how to measure one."""
    models = results.own_models[:MOST]
    if not models:
        text.not_measured(NONE)
        return
    if older := len(results.own_models) - len(models):
        text.show(f"The {MOST} that were measured last; {counted(older, 'earlier one')} left out.")
    devices = Devices(results)
    kinds = dict.fromkeys(kind for model in models for kind in _own_size(model)["interval"])
    caption = f"A step: the median of the repeats, and its limits ({', '.join(kinds)})"
    htmltable.show(overview(models), caption, OVERVIEW)
    for model, name in zip(models, labels(models), strict=True):
        told = " ".join(devices.outlook(model))
        text.show(told and f"**{text.literal(name)}:** {told}")
    phone = {"nrows": 2, "ncols": 1, "figsize": (figure.NARROW_INCHES[0], 7.0)}
    figure.show(results.figures, "own", own_plot, models, devices, ncols=2, figsize=(10.5, 4.4),
                phone=phone)  # fmt: skip


def show_details(results: Results) -> None:
    """Show what each model is, where its step's time goes, and what larger batches change."""
    models = results.own_models[:MOST]
    if not models:
        return
    devices = Devices(results)
    for model, name in zip(models, labels(models), strict=True):
        first, *rest = devices.details(model)
        text.show(f"**{text.literal(name)}** {first}\n\n{listed(rest)}")
    text.show(cautions(_repeats(models)))
    caption = (
        "Batch sizes that took turns: the median of the repeats, its limits, and what it gains"
    )
    htmltable.show(sizes_table(models), caption, SIZES)
    profile = profiles(models)
    if len(profile):
        columns = [
            MODEL, DEVICE, Column("steps waited for", "untraced_us", ",.0f"),
            Column("under the profiler", "profiled_us", ",.0f"),
            *numbers([kind for kind in KINDS if profile[kind].any()], ",.0f"),
        ]  # fmt: skip
        htmltable.show(profile, "A step under the profiler, each waited for, microseconds", columns)


def _repeats(models: Sequence[OwnModel]) -> Iterator[tuple[str, OwnRun]]:
    """The most disturbed repeat of each model and device, in words."""
    for model, name in zip(models, labels(models), strict=True):
        for device in model.devices:
            run = max(model.of(device), key=lambda one: one.conditions.foreign_fraction or 0.0)
            where = f"on the {device.upper()} (repeat {run.repeat}, the most disturbed)"
            yield f"*{text.literal(name)}* was measured {where}", run


def listed(lines: Iterable[str]) -> str:
    """Lines as a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)


class Devices:
    """What the report knows of devices beside a model's repeats: recorded GPUs, and its own CPU.

    ``check`` is this machine's CPU as a recorded device, to put the way of estimating to the test
    where the outcome is known.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.gpus = recorded_gpus()
        trials = results.own_trials if results.merged.records else results.own_trials[:0]
        self.check = recorded("this CPU", "", trials, results.ceilings, "cpu")

    def lines(self, model: OwnModel) -> list[str]:
        """All that is told of a model in sentences, the first of them what it is."""
        told = self.details(model)
        measured = 1 + len(model.devices)
        return [*told[:measured], *self.outlook(model), *told[measured:]]

    def outlook(self, model: OwnModel) -> list[str]:
        """Which device is faster; where no GPU was measured, what recorded ones would need."""
        if "gpu" not in model.devices:
            return list(self.estimates(model))
        return [text.verdict_sentence(model.verdict())]

    def details(self, model: OwnModel) -> list[str]:
        """What was measured of a model, the first sentence what it is."""
        told = [_heading(model), *(_measured(model, device) for device in model.devices)]
        told += [_beside_study(self.results, model, device) for device in model.devices]
        told += [*_profiled(model), *_larger(model), _counted(model)]
        return [line for line in told if line]

    def estimates(self, model: OwnModel) -> Iterator[str]:
        """What each recorded GPU would need, and what the same way says of the CPU here."""
        if "cpu" not in model.devices:
            return
        run, step = model.of("cpu")[0], model.step("cpu")
        if model.cost is None or run.policy != "float32":
            why = "its operations were not counted" if model.cost is None else (
                f"what is recorded is of float32, and not of {text.literal(run.policy)}"
            )  # fmt: skip
            yield f"What a recorded GPU would need is not known: {why}."
            return
        for gpu in self.gpus:
            estimate = gpu.estimate(run, model.cost)
            yield f"{_estimated(gpu, estimate, model)} {_outcome(step, estimate)}"
        if self.check and self.check.backend == run.backend:
            yield _checked(self.check.estimate(run, model.cost), step)
        elif self.gpus:
            yield (
                "Whether this way of estimating holds for the CPU here was not tried: that takes a "
                f"study of this machine with {BACKENDS[run.backend].name}."
            )


def _heading(model: OwnModel) -> str:
    run = model.first
    xla = "with XLA" if run.jit_compile else "without XLA"
    threads = f", {counted(run.threads, 'thread')}" if run.threads else ""
    products = f"products in {text.precision(run.precision)}"
    if run.policy != "float32":
        products = f"policy {text.literal(run.policy)}"
    return (
        f"({run.parameters:,} trained parameters; a row is {text.literal(run.inputs)}; batches of "
        f"{run.batch_size:,}; {BACKENDS[run.backend].name} {xla}, {products}{threads}):"
    )


def _name(run: OwnRun) -> str:
    """The device of a repeat by its own name."""
    if run.device == "gpu":
        return text.literal(run.machine.gpu_model or "unknown GPU")
    return text.literal(machine_label(run.machine.model_copy(update={"gpu_model": None})))


def _measured(model: OwnModel, device: Device) -> str:
    """Seconds of a step on a device, how sure they are, and what is wrong with them."""
    runs, step = model.of(device), model.step(device)
    assert step.seconds is not None
    row = _own_size(model).query("device == @device").iloc[0]
    sure = f"{row['interval']}, {counted(len(runs), 'repeat')}"
    if step.low is not None and step.high is not None:
        sure = f"{ms(step.low)} to {ms(step.high)}: {sure}"
    told = f"{device.upper()}, {_name(runs[0])}: a step takes **{ms(step.seconds)}** ({sure})."
    if (given := runs[0].seconds) < ENOUGH_SECONDS:
        steps = text.span(*(end([run.batches[0].steps for run in runs]) for end in (min, max)))
        flag = text.flagged(
            f"In {given:g} s its epochs have {steps} steps, and their beginnings weigh"
        )
        told += f" {flag}: SECONDS={ENOUGH_SECONDS:g} and more tell a step as the study does."
    return told


def _own_size(model: OwnModel) -> pd.DataFrame:
    """The rows of a model's table that are of the batch size asked for, one a device."""
    table = model.table()
    return table[table["batch_size"] == model.first.batch_size]


def _beside_study(results: Results, model: OwnModel, device: Device) -> str:
    """How long a step takes beside the study's perceptron of as many parameters."""
    study, run = results.own_trials, model.first
    here = study[(study["device"] == device) & (study["protocol"] == "published")]
    if not results.merged.records or here.empty or results.asked.batch_size != run.batch_size:
        return ""
    facts, machine = here.iloc[0], results.merged.own
    curve = choose(results.curves, machine, device, "published", "steady")
    step, own = predict(curve, run.parameters), model.step(device)
    if facts["backend"] != run.backend or step.source != "interpolated" or own.seconds is None:
        return ""
    assert step.seconds is not None
    seconds = step.seconds / (facts["epochs"] * facts["steps"])
    return (
        f"On the {device.upper()} that is {text.times(own.seconds / seconds)} times the study's "
        f"perceptron of as many parameters ({ms(seconds)} a published step, its share of the "
        "validation included)."
    )


def _profiled(model: OwnModel) -> Iterator[str]:
    """Where a step's time goes on each device."""
    for row in model.profile().to_dict("records"):
        shares = {kind: row[kind] / row["profiled_us"] for kind in KINDS}
        ranked = sorted((kind for kind in KINDS if shares[kind] >= SHARE), key=lambda k: -shares[k])
        told = ", ".join(f"{shares[kind]:.0%} {_kind(kind)}" for kind in ranked)
        yield (
            f"Where a step's time goes on the {str(row['device']).upper()}, by the profiler, each "
            f"step waited for: {told}."
        )


def _kind(kind: str) -> str:
    return "matrix products and convolutions" if kind == "matrix products" else kind


def _larger(model: OwnModel) -> Iterator[str]:
    """What a larger batch changes on each device."""
    table = gains(model)
    for device in model.devices:
        own = table[table["device"] == device]
        timed = own.dropna(subset=["step_ms"])
        best = timed.sort_values("gain").iloc[-1]
        if best["gain"] > 1:
            yield (
                f"Larger batches on the {device.upper()}: {best['batch_size']:,} train "
                f"{text.times(best['gain'])} times as many rows a second as "
                f"{model.first.batch_size:,}."
            )
        else:
            yield f"Larger batches on the {device.upper()} train no more rows a second."
        for row in own[own["missing"] != ""].to_dict("records"):
            why = text.literal(str(row["missing"]))
            yield f"Batches of {row['batch_size']:,} on the {device.upper()}: {why}."
    if len(model.devices) > 1:
        sizes = [one.batch_size for one in model.first.batches[1:]]
        told = [f"{size:,}: {text.faster(model.verdict(size))}" for size in sizes]
        yield f"Which device is faster in larger batches: {'; '.join(told)}."


def _counted(model: OwnModel) -> str:
    """What a step computes and moves, or why that is not known."""
    cost, run = model.cost, model.first
    if cost is None:
        why = f": {text.literal(model.uncounted)}" if model.uncounted else ""
        return f"A step's operations were not counted{why}."
    moved = (
        f", and reads and writes {cost.data_bytes / 1e6:,.4g} MB if no operation is fused with "
        "another" if cost.data_bytes else ""
    )  # fmt: skip
    share = cost.flops / (run.parameters * run.batch_size)
    return (
        f"A step computes {cost.flops / 1e6:,.4g} million floating-point operations, as "
        f"{BACKENDS[run.backend].name} counts them ({share:,.3g} a parameter and row; the "
        f"perceptrons' are about {FLOPS_PER_PARAMETER}){moved}."
    )


def _estimated(gpu: Recorded, estimate: Estimate, model: OwnModel) -> str:
    """What a recorded GPU would need, and of what that is made."""
    other = "" if gpu.backend == model.first.backend else (
        f", whose overhead is that of {BACKENDS[gpu.backend].name}"
    )  # fmt: skip
    moved = model.cost is not None and model.cost.data_bytes is not None
    work = "arithmetic, copying and memory" if moved else (
        f"arithmetic and copying ({BACKENDS[model.first.backend].name} does not tell what memory "
        "moves, so that at most may be more)"
    )  # fmt: skip
    return (
        f"No GPU was measured. **Estimate:** {text.literal(gpu.name)} (reference {gpu.source}"
        f"{other}) would need at least {ms(estimate.low)} and at most {ms(estimate.high)} a "
        f"step: {ms(estimate.overhead_low)} to {ms(estimate.overhead_high)} of overhead, as its "
        f"published steps have (95% limits), and {ms(estimate.work_low)} to "
        f"{ms(estimate.work_high)} of {work}."
    )


def _outcome(step: Prediction, estimate: Estimate) -> str:
    """Which device would be faster, by the report's one verdict function."""
    assert step.seconds is not None
    told = verdict(step, estimate.prediction)
    if told.winner not in ("CPU", "GPU"):
        return "By that either may be faster."
    ratios = sorted([step.seconds / estimate.low, step.seconds / estimate.high])
    if told.winner == "CPU":
        ratios = sorted(1 / ratio for ratio in ratios)
    least, most = map(text.times, ratios)
    return f"By that the {told.winner} would be {least} to {most} times as fast."


def _checked(estimate: Estimate, step: Prediction) -> str:
    """What the same way says where the outcome was measured."""
    assert step.seconds is not None
    inside = estimate.low <= step.seconds <= estimate.high
    off = max(estimate.low / step.seconds, step.seconds / estimate.high)
    told = "which lies between" if inside else f"{text.times(off)} times outside: it is rough"
    return (
        f"Tried on the CPU here, the same way of estimating says {ms(estimate.low)} to "
        f"{ms(estimate.high)}; it took {ms(step.seconds)}, {told}."
    )


def ms(seconds: float) -> str:
    """A step's time with three digits: 554 µs, 3.31 ms, 1.27 s."""
    if seconds < 1e-3:
        return f"{text.three_digits(seconds * 1e6)} µs"
    return f"{text.three_digits(seconds * 1e3)} ms" if seconds < 1 else f"{seconds:.3g} s"


def gains(model: OwnModel) -> pd.DataFrame:
    """A model's `OwnModel.table` with ``gain``: rows a second beside those of its first size."""
    table = model.table()
    first = table.groupby("device")["rows_per_second"].transform("first")
    return table.assign(gain=table["rows_per_second"] / first)


def overview(models: Sequence[OwnModel]) -> pd.DataFrame:
    """One row a model: what it is, milliseconds of its step on both devices, and who is faster."""
    rows = []
    for model, name in zip(models, labels(models), strict=True):
        run, cost = model.first, model.cost
        row: dict[str, Any] = {"model": name, "parameters": run.parameters}
        row |= {"megaflops": cost.flops / 1e6 if cost else np.nan}
        for device in DEVICES:
            times = model.step(device)[:3]
            values = [np.nan if one is None else one * 1e3 for one in times]
            row |= dict(zip(limits(device), values, strict=True))
        rows.append(row | {"faster": text.faster(model.verdict())})
    return pd.DataFrame(rows)


def sizes_table(models: Sequence[OwnModel]) -> pd.DataFrame:
    """Every batch size of every model with its gain."""
    names = labels(models)
    parts = [gains(model).assign(model=name) for model, name in zip(models, names, strict=True)]
    return pd.concat(parts, ignore_index=True)


def profiles(models: Sequence[OwnModel]) -> pd.DataFrame:
    """What the profiler saw of every model's step."""
    names = labels(models)
    parts = [one.profile().assign(model=name) for one, name in zip(models, names, strict=True)]
    return pd.concat(parts, ignore_index=True)


def labels(models: Sequence[OwnModel]) -> list[str]:
    """The models' names, with what tells them apart where several have one name."""
    names = [model.first.model for model in models]
    return [
        _whole_name(model.first) if names.count(name) > 1 else name
        for name, model in zip(names, models, strict=True)
    ]


def _whole_name(run: OwnRun) -> str:
    """A model's name with all that tells it from another of the same name."""
    threads = f", {counted(run.threads, 'thread')}" if run.threads else ""
    return (
        f"{run.model} ({BACKENDS[run.backend].name}, {run.batch_size:,}, {run.seconds:g} s"
        f"{threads}, file {run.file_digest[:4]})"
    )


def own_plot(panels: npt.NDArray[Any], models: Sequence[OwnModel], devices: Devices) -> str:
    """Draw a step's milliseconds against parameters, and against operations, with the study's.

    ``panels`` has shape (2,).
    """
    by_size, by_flops = panels.flat
    told = [
        _panel(by_size, models, devices, "parameters"),
        _panel(by_flops, models, devices, "flops"),
    ]
    by_size.set_xlabel("trained parameters")
    by_flops.set_xlabel("million floating-point operations a step")
    for panel in (by_size, by_flops):
        panel.set_ylabel("milliseconds a step")
    return f"A step of each model, and of the study's perceptrons. {' '.join(told)}"


def _panel(ax: Axes, models: Sequence[OwnModel], devices: Devices, by: str) -> str:
    ends = _study(ax, devices.results, by)
    told = []
    for model, name in zip(models, labels(models), strict=True):
        run, cost = model.first, model.cost
        if by == "flops" and cost is None:
            continue
        x = run.parameters if by == "parameters" else cost.flops / 1e6 if cost else np.nan
        for device in model.devices:
            step, look = model.step(device), looks.LOOKS[device, "published"]
            assert step.seconds is not None
            low, high = (step.seconds if end is None else end for end in (step.low, step.high))
            ax.plot([x, x], [low * 1e3, high * 1e3], color=look.colour, lw=2)
            ax.plot(x, step.seconds * 1e3, "D" if device == "cpu" else "s", c=look.colour,
                    ms=7, mec=looks.INK, zorder=4)  # fmt: skip
            told.append(f"{name} on the {device.upper()}: {ms(step.seconds)}.")
            ends.append(EndLabel(x, step.seconds * 1e3, name, looks.INK, faint=True))
        if "gpu" not in model.devices and cost:
            for gpu in devices.gpus:
                estimate = gpu.estimate(run, cost)
                bar = [estimate.low * 1e3, estimate.high * 1e3]
                ax.plot([x * 1.08] * 2, bar, ls=":", lw=2, color=looks.VERMILION)
                ax.annotate("GPU?", (x * 1.08, bar[0]), (0, -2), textcoords="offset points",
                            ha="center", va="top", fontsize=7.5, color=looks.VERMILION)  # fmt: skip
    ax.set_xscale("log")
    axes.log_axis(ax)
    axes.plain_numbers(ax.xaxis)
    end_labels(ax, ends)
    return " ".join(told) if by == "parameters" else ""


def _study(ax: Axes, results: Results, by: str) -> list[EndLabel]:
    """The study's own published steps, thin: a line a device; return their names."""
    ends: list[EndLabel] = []
    trials = results.own_trials[results.own_trials["protocol"] == "published"]
    if not results.merged.records:
        return ends
    for device, rows in trials.groupby("device"):
        medians = step_medians(rows, timing_of(rows)) * 1e3
        widths = rows.groupby("parameters")["width"].first()
        batch = int(rows["batch_size"].iloc[0])
        sizes = [int(size) for size in medians.index.get_level_values("parameters")]
        x = (
            sizes
            if by == "parameters"
            else [product_flops(int(widths[s]), batch) / 1e6 for s in sizes]
        )
        look = looks.LOOKS[str(device), "published"]
        pale = looks.pale(look.colour)
        ax.plot(x, medians.to_numpy(), c=pale, lw=1.4, marker=look.marker, ms=4, zorder=1)
        ends.append(
            EndLabel(
                x[-1], float(medians.iloc[-1]), f"study's {str(device).upper()}", pale, faint=True
            )
        )
    return ends
