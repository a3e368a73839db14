"""How near the hardware's ceilings: rates of training steps beside the measured ones."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from crossover.analysis.roofline import roofline
from crossover.records.frame import groups
from crossover.report import axes, figure, htmltable, looks, text
from crossover.report.columns import DEVICE, PROTOCOL, WIDTH, Column
from crossover.report.results import Results

COLUMNS = [
    PROTOCOL, DEVICE, WIDTH,
    Column("FLOP/byte", "intensity", ".1f"),
    Column("GFLOP/s", "flops_per_second", ",.3g", 1e-9),
    Column("matrix products GFLOP/s", "ceiling_flops", ",.3g", 1e-9),
    Column("GB/s", "bytes_per_second", ",.3g", 1e-9),
    Column("memory GB/s", "ceiling_bytes", ",.3g", 1e-9),
    Column("share of the ceiling", "share", ".1%"),
    Column("BLAS GFLOP/s", "blas_flops", ",.3g", 1e-9),
    Column("most of all GFLOP/s", "peak_flops", ",.3g", 1e-9),
]  # fmt: skip


def show(results: Results) -> None:
    """Show each curve under its ceilings, or how to measure them."""
    rates = roofline(results.own_trials, results.ceilings)
    if len(rates):
        figure.show(results.figures, "roofline", roofline_plot, rates)
        text.show(roofline_sentences(rates))
        htmltable.show(rates, "Steps against the measured ceilings", COLUMNS)
    else:
        text.not_measured("The hardware's ceilings: `make report` measures them.")


def roofline_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw achieved FLOP/s against arithmetic intensity, under the measured ceilings."""
    for device, rows in groups(table, "device"):
        _ceilings(ax, device, rows.drop_duplicates("width").sort_values("intensity"))
    told = []
    for (device, protocol), rows in groups(table, ["device", "protocol"]):
        look, rows = looks.LOOKS[device, protocol], rows.sort_values("width")
        name = f"{device.upper()}, {protocol}"
        ax.plot(rows["intensity"], rows["flops_per_second"] / 1e9, marker=look.alone,
                color=look.colour, label=name)  # fmt: skip
        low, high = rows.iloc[0], rows.iloc[-1]
        told.append(
            f"{name}: {low['share']:.1%} of its ceiling at width {low['width']}, "
            f"{high['share']:.0%} at width {high['width']}"
        )
    ax.set(xscale="log", yscale="log")
    axes.plain_numbers(ax.xaxis)
    axes.plain_numbers(ax.yaxis)
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    apart = "\n" if figure.on_a_phone(ax) else " "
    ax.set_xlabel(f"arithmetic intensity{apart}(FLOP a byte moved; a point a width)")
    ax.set_ylabel("GFLOP/s")
    ax.legend(loc="lower right")
    return "Rates of training steps under the machine's measured ceilings. " + "; ".join(told)


def _ceilings(ax: Axes, device: str, rows: pd.DataFrame) -> None:
    """Draw and name a device's memory, its matrix products, and its most arithmetic of all."""
    name, colour = device.upper(), looks.LOOKS[device, "published"].colour
    x = np.geomspace(rows["intensity"].min() / 2, rows["intensity"].max() * 2, 50)
    memory, last = rows["ceiling_bytes"].iloc[0] / 1e9, rows.iloc[-1]

    def note(
        words: str, place: tuple[float, float], offset: tuple[float, float], side: str = "left"
    ) -> None:
        ax.annotate(words, place, offset, textcoords="offset points", va="center", ha=side,
                    color=colour, fontsize=9)  # fmt: skip

    ax.plot(x, x * memory, color=colour, lw=1, ls=":")
    note(f"{name} memory, {memory:,.0f} GB/s", (x[-1], x[-1] * memory), (-8, 3), "right")
    ax.plot(rows["intensity"], rows["ceiling_flops"] / 1e9, color=colour, lw=1, ls="--")
    alone = (last["intensity"], last["ceiling_flops"] / 1e9)
    note(f"{name} matrix\nproducts alone", alone, (8, -2))
    if rows["peak_flops"].notna().any():
        most = float(rows["peak_flops"].max()) / 1e9
        ax.plot([x[0], last["intensity"]], [most, most], color=colour, lw=1, ls="-.")
        note(f"most of all on the {name}, {most:,.3g} GFLOP/s", (x[0], most), (4, 7))


def roofline_sentences(table: pd.DataFrame) -> str:
    """The share of the ceiling that each curve reaches at its largest width."""
    lines = []
    for (protocol, device), rows in groups(table, ["protocol", "device"]):
        low, high = rows.sort_values("width").iloc[[0, -1]].to_dict("records")
        lines.append(
            f"- {device.upper()}, {protocol}: {low['share']:.1%} of the ceiling at width "
            f"{low['width']}, {high['share']:.0%} at width {high['width']} "
            f"({high['flops_per_second'] / 1e9:,.3g} of {high['ceiling_flops'] / 1e9:,.3g} GFLOP/s "
            "that the matrix products alone reach)."
        )
    lines.extend(_peak_sentences(table))
    if (table["share"] > 1).any():
        lines.append(
            "\nMore than 100% means that the machine was slower while its ceiling was measured."
        )
    return "\n".join(lines)


def _peak_sentences(table: pd.DataFrame) -> Iterator[str]:
    """How far trainings and ceilings are from the most that each device was seen to do."""
    for device, rows in groups(table.dropna(subset="peak_flops"), "device"):
        most = rows.sort_values("peak_flops").iloc[-1]
        peak = float(most["peak_flops"])
        reached = [("the step's products alone", rows["ceiling_flops"].max())]
        if rows["blas_flops"].notna().any():
            reached.append(("NumPy's BLAS with the same products", rows["blas_flops"].max()))
        reached.append(("the best training", rows["flops_per_second"].max()))
        shares = ", ".join(f"{what} {rate / peak:.0%}" for what, rate in reached)
        yield (
            f"- The most arithmetic that this machine's {device.upper()} was seen to do is "
            f"{peak / 1e9:,.3g} GFLOP/s ({most['peak_way']}). Of that, at their best width, "
            f"{shares}."
        )
