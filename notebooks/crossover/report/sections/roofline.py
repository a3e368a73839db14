"""How near the hardware's ceilings: rates of training steps beside the measured ones."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from crossover.analysis.roofline import roofline
from crossover.analysis.summary import with_flags
from crossover.records.frame import groups
from crossover.report import axes, curve, figure, htmltable, looks, text
from crossover.report.columns import DEVICE, PROTOCOL, WIDTH, Column, Row
from crossover.report.results import Results

FLAGS = "steady_seconds_flags"  # Rates are worked out from steady times.


def _rate(row: Row) -> str:
    """The achieved rate, marked where its steady times are flagged."""
    return text.marked(text.billions(row["flops_per_second"]), row[FLAGS])


COLUMNS = [
    PROTOCOL, DEVICE, WIDTH,
    Column("precision", form=text.precision, text=True),
    Column("FLOP/byte", "intensity", ".1f"),
    Column("GFLOP/s", _rate),
    Column("matrix products GFLOP/s", "ceiling_flops", text.billions),
    Column("GB/s", "bytes_per_second", text.billions),
    Column("memory GB/s", "ceiling_bytes", text.billions),
    Column("share of the ceiling", "share", ".1%"),
    Column("BLAS GFLOP/s", "blas_flops", text.billions),
    Column("most of all GFLOP/s", "peak_flops", text.billions),
]  # fmt: skip


def show(results: Results) -> None:
    """Show each curve under its ceilings, or how to measure them."""
    rates = with_flags(roofline(results.own_trials, results.ceilings), results.own_cells)
    if len(rates):
        figure.show(results.figures, "roofline", roofline_plot, rates)
        text.show(roofline_sentences(rates))
        htmltable.show(rates, "Steps against the measured ceilings", COLUMNS)
        if lacking := unmeasured(results.own_trials, rates):
            text.not_measured(lacking)
    else:
        text.not_measured("The hardware's ceilings: `make report` measures them.")


def unmeasured(trials: pd.DataFrame, rates: pd.DataFrame) -> str:
    """The devices and widths of which only trainings were measured; empty without any."""
    lines = []
    for device, cells in groups(trials, "device"):
        measured = set(rates.loc[rates["device"] == device, "width"])
        widths = sorted(set(cells["width"]) - measured)
        words = "width" if len(widths) == 1 else "the widths"
        where = f" at {words} {', '.join(map(str, widths))}" if measured else ""
        if widths:
            lines.append(
                f"The {device.upper()}'s ceilings, and what is inside its step{where}: `make "
                "report` measures them."
            )
    return " ".join(lines)


def roofline_plot(ax: Axes, table: pd.DataFrame) -> str:
    """Draw achieved FLOP/s against arithmetic intensity, under the measured ceilings."""
    for device, rows in groups(table, "device"):
        _ceilings(ax, device, rows.drop_duplicates(["precision", "width"]))
    told = []
    for (device, protocol), rows in groups(table, ["device", "protocol"]):
        look, rows = looks.LOOKS[device, protocol], rows.sort_values("width")
        name = f"{device.upper()}, {protocol}"
        ax.plot(rows["intensity"], rows["flops_per_second"] / 1e9, marker=look.alone,
                color=look.colour, label=name)  # fmt: skip
        curve.hollow(
            ax, rows["intensity"], rows["flops_per_second"] / 1e9, rows[FLAGS], look, look.alone
        )
        low, high = rows.iloc[0], rows.iloc[-1]
        told.append(
            f"{name}: {_share(low['share'])} of its ceiling at width {low['width']}, "
            f"{_share(high['share'])} at width {high['width']}"
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
    """Draw and name a device's memory, its matrix products, and its most arithmetic of all.

    The last two in each precision that its trainings had.
    """
    name, colour = device.upper(), looks.LOOKS[device, "published"].colour
    x = np.geomspace(rows["intensity"].min() / 2, rows["intensity"].max() * 2, 50)
    memory = rows["ceiling_bytes"].iloc[0] / 1e9

    def note(words: str, place: tuple[float, float], offset: tuple[float, float]) -> None:
        ax.annotate(words, place, offset, textcoords="offset points", va="center",
                    color=colour, fontsize=9)  # fmt: skip

    ax.plot(x, x * memory, color=colour, lw=1, ls=":")
    apart, down = ("\n", -15) if figure.on_a_phone(ax) else (" ", -9)
    note(f"{name} memory,{apart}{memory:,.0f} GB/s", (x[0], x[0] * memory), (4, down))
    slowest = rows.sort_values(["intensity", "ceiling_flops"], ascending=[False, True]).iloc[0]
    alone = (slowest["intensity"], slowest["ceiling_flops"] / 1e9)
    several = " and ".join(precision for precision, _ in _by_precision(rows))
    note("\n".join([f"{name} matrix", "products alone", several]).strip(), alone, (8, -2))
    for precision, same in _by_precision(rows):
        same = same.sort_values("intensity")
        ax.plot(same["intensity"], same["ceiling_flops"] / 1e9, color=colour, lw=1, ls="--")
        if same["peak_flops"].notna().any():
            most = float(same["peak_flops"].max())
            ax.plot([x[0], alone[0]], [most / 1e9] * 2, color=colour, lw=1, ls="-.")
            words = f"most of all on the {name}{_in(precision)}, {text.billions(most)} GFLOP/s"
            note(words, (x[0], most / 1e9), (4, 7))


def _by_precision(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """One device's rows of each precision, which is named where there are several."""
    parts = list(groups(rows, "precision"))
    for precision, same in parts:
        yield text.precision(precision) if len(parts) > 1 else "", same


def _share(share: float) -> str:
    """A share of the ceiling, with a digit after the point where it is small."""
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _in(precision: str) -> str:
    return f" in {precision}" if precision else ""


def roofline_sentences(table: pd.DataFrame) -> str:
    """The share of the ceiling that each curve reaches at its largest width."""
    lines = []
    for (protocol, device), rows in groups(table, ["protocol", "device"]):
        low, high = rows.sort_values("width").iloc[[0, -1]].to_dict("records")
        rate, alone = (text.billions(high[name]) for name in ("flops_per_second", "ceiling_flops"))
        lines.append(
            f"- {device.upper()}, {protocol}: {_share(low['share'])} of the ceiling at width "
            f"{low['width']}, {_share(high['share'])} at width {high['width']} "
            f"({rate} of {alone} GFLOP/s that the matrix products alone reach)."
        )
    lines.extend(_peak_sentences(table))
    if (table["share"] > 1).any():
        lines.append(
            "\nMore than 100% means that the machine was slower while its ceiling was measured."
        )
    return "\n".join(lines)


def _peak_sentences(table: pd.DataFrame) -> Iterator[str]:
    """How far trainings and ceilings are from the most that each device was seen to do."""
    for device, own in groups(table.dropna(subset="peak_flops"), "device"):
        for precision, rows in _by_precision(own):
            most = rows.sort_values("peak_flops").iloc[-1]
            peak = float(most["peak_flops"])
            reached = [("the step's products alone", rows["ceiling_flops"].max())]
            if rows["blas_flops"].notna().any():
                reached.append(("NumPy's BLAS with the same products", rows["blas_flops"].max()))
            reached.append(("the best training", rows["flops_per_second"].max()))
            shares = ", ".join(f"{what} {rate / peak:.0%}" for what, rate in reached)
            yield (
                f"- The most arithmetic that this machine's {device.upper()} was seen to do"
                f"{_in(precision)} is {text.billions(peak)} GFLOP/s ({most['peak_way']}). Of that, "
                f"at their best width, {shares}."
            )
