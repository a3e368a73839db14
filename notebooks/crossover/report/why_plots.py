"""The figures that explain: ablations, a step's parts, the roofline, the batch-size map."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from crossover.analysis.ablations import BASELINE
from crossover.analysis.breakdown import PARTS
from crossover.analysis.summary import CURVE
from crossover.analysis.timemodel import TimeModel
from crossover.records.frame import groups
from crossover.records.limits import KINDS
from crossover.report.figure import COLOURS, CURVES, MARKERS, NAMES, STYLE, parameter_axis, plain

# Okabe and Ito's colours, the unexplained rest in grey; alike what both figures show alike.
LOOKS = {
    "matrix products": ("#0072B2", ""),
    "optimizer": ("#56B4E9", "//"),
    "other arithmetic": ("#56B4E9", "//"),
    "batch copy": ("#D55E00", "xx"),
    "copying to the device": ("#D55E00", "xx"),
    "copying from the device": ("#F0E442", "--"),
    "waiting for a batch": ("#009E73", "\\\\"),
    "dispatch": ("#E69F00", ".."),
    "starting operations": ("#E69F00", ".."),
    "validation": ("#009E73", "\\\\"),
    "metrics": ("#CC79A7", "++"),
    "Python": ("#CC79A7", "++"),
    "not attributed": ("#B8BDC4", ""),
}


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """One figure with panels side by side, in the project's style."""
    plt.style.use(STYLE)
    figure, axes = plt.subplots(
        1, max(count, 1), figsize=(7.6, height), sharey=True, squeeze=False, layout="constrained"
    )
    return figure, list(axes[0])


def ablation_plot(
    axes: list[Axes], table: pd.DataFrame, device: str, noise: dict[tuple[str, int], float]
) -> str:
    """Draw how many times as fast each change makes an epoch, one panel a width.

    Parameters
    ----------
    axes : list of Axes
        As many as the device has widths.
    table : DataFrame
        What `crossover.analysis.ablations.ablation_table` returns.
    noise : dict
        What `crossover.analysis.ablations.noise_factors` returns, drawn as a band.
    """
    rows = table[(table["device"] == device) & (table["change"] != BASELINE)]
    changes = list(dict.fromkeys(rows["change"]))
    found = []
    for axis, (width, part) in zip(axes, groups(rows, "width"), strict=True):
        place = [changes.index(change) for change in part["change"]]
        spread = [part["ratio"] - part["low"], part["high"] - part["ratio"]]
        axis.axvline(1, color="#333333", lw=1.2, ls="--")
        factor = noise.get((device, width), 1.0)
        axis.axvspan(1 / factor, factor, color="#777777", alpha=0.18, lw=0)
        axis.hlines(place, 1, part["ratio"], color=COLOURS[device], lw=4, alpha=0.35)
        axis.errorbar(
            part["ratio"], place, xerr=np.clip(spread, 0, None), fmt=MARKERS[device],
            color=COLOURS[device], ecolor="#555555", elinewidth=1,
        )  # fmt: skip
        for ratio, spot in zip(part["ratio"], place, strict=True):
            axis.annotate(f"{ratio:.2f}×", (ratio, spot), (0, 7), textcoords="offset points",
                          ha="center", fontsize=8)  # fmt: skip
        axis.set_title(f"width {width}")
        axis.margins(x=0.18)
        best = part.sort_values("ratio").iloc[-1]
        found.append(f"width {width}: most from {best['change']}, {best['ratio']:.2f} times")
    axes[0].set_yticks(range(len(changes)), changes)
    axes[0].invert_yaxis()
    axes[0].set_ylim(len(changes) - 0.5, -0.7)
    figure = axes[0].figure
    figure.supxlabel(f"{NAMES[device]}: times as fast as the published protocol", fontsize=11)
    return (
        f"How many times as fast each single change makes an epoch on the {NAMES[device]}. "
        + "; ".join(found)
        + "."
    )


def breakdown_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw each curve's step as one bar of its measured parts, as shares of the step.

    Parameters
    ----------
    table : DataFrame
        What `crossover.analysis.breakdown.step_breakdown` returns.
    """
    named = [table[name] for name in ("device", "protocol", "width", "step_us")]
    labels = [
        f"{device.upper()} {protocol}, width {width} ({step:,.0f} µs)"
        for device, protocol, width, step in zip(*named, strict=True)
    ]
    largest = _share_bars(ax, labels, table, PARTS, "step_us")
    ax.set_xlabel("share of a steady step\n(parts that overlap in time can pass 100 %)")
    return f"Parts of a training step as shares of its time. {largest}."


def profile_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw each profiled step as one bar of what the wall clock was spent on.

    Parameters
    ----------
    table : DataFrame
        What `crossover.analysis.breakdown.profile_table` returns.
    """
    named = [table[name] for name in ("device", "width", "profiled_us")]
    labels = [
        f"{device.upper()}, width {width} ({step:,.0f} µs)"
        for device, width, step in zip(*named, strict=True)
    ]
    seen = [kind for kind in KINDS if table[kind].any()]
    largest = _share_bars(ax, labels, table, seen, "profiled_us")
    ax.set_xlabel("share of a published step under the profiler")
    return f"What the profiler saw in a published step, as shares of its time. {largest}."


def _share_bars(
    ax: Axes, labels: list[str], table: pd.DataFrame, parts: Sequence[str], whole: str
) -> str:
    """Draw one bar of shares a row; return each row's largest part in words."""
    left = np.zeros(len(table))
    for part in parts:
        share = (table[part].astype(float) / table[whole]).clip(lower=0).fillna(0).to_numpy()
        ax.barh(labels, share, left=left, color=LOOKS[part][0], hatch=LOOKS[part][1],
                edgecolor="white", linewidth=0.5, label=part)  # fmt: skip
        left += share
    ax.axvline(1, color="#333333", lw=1.2, ls="--")
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    ax.grid(axis="y", visible=False)
    ax.figure.legend(loc="outside upper center", ncols=4, fontsize=9)
    shares = table[list(parts)].astype(float).div(table[whole], axis=0)
    largest = zip(labels, shares.idxmax(axis=1), shares.max(axis=1), strict=True)
    return "; ".join(f"{label}: most in {part}, {share:.0%}" for label, part, share in largest)


def roofline_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw achieved FLOP/s against arithmetic intensity, under the measured ceilings."""
    curves = list(groups(table, ["device", "protocol"]))
    for device, rows in groups(table, "device"):
        rows = rows.drop_duplicates("width").sort_values("intensity")
        x = np.geomspace(rows["intensity"].min() / 2, rows["intensity"].max() * 2, 50)
        memory = rows["ceiling_bytes"].iloc[0]
        ax.plot(x, x * memory / 1e9, color=COLOURS[device], lw=1, ls=":")
        text = f"{NAMES[device]} memory, {memory / 1e9:,.0f} GB/s"
        _note(ax, text, (x[0], x[0] * memory / 1e9), device, (10, -9))
        ax.plot(
            rows["intensity"], rows["ceiling_flops"] / 1e9, color=COLOURS[device], lw=1, ls="--"
        )
        last = rows.iloc[-1]
        text = f"{NAMES[device]} matrix\nproducts alone"
        _note(ax, text, (last["intensity"], last["ceiling_flops"] / 1e9), device, (8, -2))
        if rows["peak_flops"].notna().any():
            most = float(rows["peak_flops"].max()) / 1e9
            ends = [x[0], last["intensity"]]
            ax.plot(ends, [most, most], color=COLOURS[device], lw=1, ls="-.")
            text = f"most of all on the {NAMES[device]}, {most:,.3g} GFLOP/s"
            _note(ax, text, (x[0], most), device, (4, 7))
    found = []
    for (device, protocol), rows in curves:
        colour, marker = CURVES[device, protocol]
        rows = rows.sort_values("width")
        name = f"{NAMES[device]}, {protocol}"
        ax.plot(rows["intensity"], rows["flops_per_second"] / 1e9, marker=marker, color=colour,
                label=name)  # fmt: skip
        low, high = rows.iloc[0], rows.iloc[-1]
        found.append(
            f"{name}: {low['share']:.1%} of its ceiling at width {low['width']}, "
            f"{high['share']:.0%} at width {high['width']}"
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(plain))
        axis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.set_xlabel("arithmetic intensity (FLOP a byte moved; a point a width)")
    ax.set_ylabel("GFLOP/s")
    ax.legend(loc="lower right")
    return "Rates of training steps under the machine's measured ceilings. " + "; ".join(found)


def _note(
    ax: Axes, text: str, place: tuple[float, float], device: str, offset: tuple[float, float]
) -> None:
    ax.annotate(text, place, offset, textcoords="offset points", va="center",
                color=COLOURS[device], fontsize=9)  # fmt: skip


def map_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw width × batch size: the speed-up where both devices are known, else seconds.

    Parameters
    ----------
    table : DataFrame
        What `crossover.analysis.ablations.batch_map` returns.
    """
    pivot = table.pivot_table(
        index="batch_size", columns="parameters", values="epoch_seconds", aggfunc="first"
    )
    by_device = {
        str(device): rows.pivot_table(
            index="batch_size", columns="parameters", values="epoch_seconds", aggfunc="first"
        )
        for device, rows in table.groupby("device")
    }
    both = len(by_device) == 2
    shown = by_device["cpu"] / by_device["gpu"] if both else pivot
    values = np.log2(shown.to_numpy())
    limit = float(np.nanmax(np.abs(values)))
    low, high = (-limit, limit) if both else (None, None)
    mesh = ax.imshow(values, cmap="PuOr" if both else "cividis", aspect="auto", vmin=low, vmax=high)
    for row, column in np.ndindex(*shown.shape):
        value = float(shown.to_numpy()[row, column])
        red, green, blue, _ = mesh.cmap(mesh.norm(values[row, column]))
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.45
        text = f"{value:.2g}×" if both else f"{value:.2g} s"
        ax.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    if both and values.min() < 0 < values.max() and min(values.shape) > 1:
        ax.contour(values, levels=[0], colors="#111111", linewidths=2, linestyles="--")
    ax.set_xticks(range(shown.shape[1]), [plain(float(count)) for count in shown.columns])
    ax.set_yticks(range(shown.shape[0]), list(map(str, shown.index.to_numpy())))
    ax.set_xlabel("trainable parameters")
    ax.set_ylabel("batch size")
    ax.grid(visible=False)
    if both:
        ax.set_title("times as fast on the GPU as on the CPU; dashed: the crossover")
        return (
            f"Speed-up of the GPU over the CPU by parameters and batch size: from "
            f"{np.nanmin(shown.to_numpy()):.2g} to {np.nanmax(shown.to_numpy()):.2g} times; the "
            "dashed line is the crossover."
        )
    (only,) = by_device
    device = NAMES[only]
    ax.set_title(f"seconds of an epoch, {device}, published protocol")
    return (
        f"Seconds of an epoch on the {device} by parameters and batch size: from "
        f"{np.nanmin(shown.to_numpy()):.2g} to {np.nanmax(shown.to_numpy()):.2g}."
    )


def model_plot(
    ax: Axes,
    summary: pd.DataFrame,
    models: pd.DataFrame,
    trials: pd.DataFrame,
) -> str:
    """Draw the medians of each curve with the time model through them.

    Parameters
    ----------
    summary, trials : DataFrame
        Cells and trials of all machines.
    models : DataFrame
        Rows of `crossover.analysis.timemodel.fit_all`, those to draw, by their own timing.
    """
    steps_total = (trials["epochs"] * trials["steps"]).groupby([trials[k] for k in CURVE]).first()
    found = []
    for _, model in models.iterrows():
        colour, marker = CURVES[model["device"], model["protocol"]]
        key = (summary[CURVE] == model[CURVE]).all(axis=1)
        curve = summary[key].sort_values("parameters")
        fields = {name: model[name] for name in TimeModel.__dataclass_fields__}
        x = np.geomspace(curve["parameters"].min(), curve["parameters"].max(), 100)
        step_us = curve[f"{model['timing']}_seconds"] / steps_total[tuple(model[CURVE])] * 1e6
        name = f"{NAMES[model['device']]}, {model['protocol']}, {model['timing']}"
        ax.plot(curve["parameters"], step_us, marker, color=colour, label=name)
        ax.plot(x, TimeModel(**fields).predict(x) * 1e6, color=colour, lw=1.2)
        found.append(f"{name}: off by {model['relative_error']:.0%}")
    ax.set_yscale("log")
    parameter_axis(ax, summary["parameters"])
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(plain))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("microseconds a step")
    ax.legend()
    return "Time of a step: measured (points) and modelled (lines). " + "; ".join(found) + "."
