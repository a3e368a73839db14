"""Summaries of trials: medians with their spread, and what is wrong with them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from crossover.analysis.modes import two_speeds
from crossover.analysis.order import FEWEST_REPEATS, kind_name, median_ranks
from crossover.records.frame import groups

CURVE = ["machine", "backend", "protocol", "device"]
CELL = [*CURVE, "width"]
TIMES = ["cold_seconds", "steady_seconds"]
MEASURES = [*TIMES, "accuracy"]
# A constant answer is right for at most 1,135 of the 10,000 test images; three standard
# errors above that are chance, too.
CHANCE = 0.123
SPREAD_LIMIT, STEAL_LIMIT, FOREIGN_LIMIT, QUOTA_LIMIT = 0.10, 0.02, 0.10, 0.01


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    """Reduce repeats to medians with intervals, one row a cell.

    One row for each machine, backend, protocol, device and width: ``parameters``, ``repeats``, the
    median of ``cold_seconds``, ``steady_seconds`` (seconds) and ``accuracy`` (fraction), each with
    ``_low`` and ``_high`` (order statistics from 5 values on, the range for 2 to 4, NaN for 1),
    ``interval`` (their name and level: '93.8% interval', 'range' or 'single'), ``outliers`` (trials
    outside 1.5 interquartile ranges) and, empty where there are none, ``flags``: what is to be said
    against the cell. With ``_flags`` behind its name, it is said against one of the three; with
    ``_two_speeds`` stand both speeds of a time, where the repeats fall into two groups (see
    `crossover.analysis.modes`). Raises `ValueError` if one curve mixes two settings.
    """
    refuse_mixed_settings(trials)
    cells = trials.groupby(CELL, sort=True)
    summary = pd.DataFrame({"parameters": cells["parameters"].first(), "repeats": cells.size()})
    for name in MEASURES:
        summary[name] = cells[name].median()
        summary[f"{name}_low"], summary[f"{name}_high"] = _limits(trials, name)
    summary["interval"] = summary["repeats"].map(kind_name)
    speeds = {name: _two_speeds(trials, name) for name in TIMES}
    for name, texts in speeds.items():
        summary[f"{name}_two_speeds"] = texts.reindex(summary.index, fill_value="")
    summary["outliers"] = _outliers(trials)
    flags = _flags(trials, speeds)
    summary["flags"] = _joined([texts for _, texts in flags], summary)
    for name in MEASURES:
        told = [texts for measures, texts in flags if name in measures]
        summary[f"{name}_flags"] = _joined(told, summary)
    return summary.reset_index()


def refuse_mixed_settings(trials: pd.DataFrame) -> None:
    """Raise ValueError, naming curve and values, where a curve mixes settings."""
    for curve, own in groups(trials, CURVE):
        digests = sorted(own["settings_digest"].unique())
        if len(digests) > 1:
            named = ", ".join(f"{key} {value!r}" for key, value in zip(CURVE, curve, strict=True))
            raise ValueError(
                f"one curve ({named}) mixes the settings_digest values {' and '.join(digests)}; "
                "summarise trials of one study at a time"
            )


def _limits(trials: pd.DataFrame, name: str) -> tuple["pd.Series[float]", "pd.Series[float]"]:
    """Limits of each cell's median of one measure, which `median_ranks` chooses from its values."""
    cells = trials.groupby(CELL)[name]
    counts, place = cells.transform("count"), cells.rank(method="first")
    ranks = counts.map({count: median_ranks(count).rank for count in counts.unique() if count > 1})
    # The one value of each cell that has the rank.
    low, high = (
        trials[name].where(place == rank).groupby(_cell(trials)).max()
        for rank in (ranks, counts + 1 - ranks)
    )
    return low, high


def _joined(told: Sequence["pd.Series[str]"], summary: pd.DataFrame) -> "pd.Series[str]":
    """What is told of some cells joined with '; ', in summary's order; empty where nothing is."""
    texts = pd.concat([texts.reindex(summary.index, fill_value="") for texts in told], axis=1)
    return pd.Series(
        ["; ".join(filter(None, cell)) for cell in texts.itertuples(index=False)], summary.index
    )


def _said(trials: pd.DataFrame, flags: "pd.Series[bool]", text: str) -> "pd.Series[str]":
    """The text for each cell with a trial where a flag stands."""
    return flags.groupby(_cell(trials)).any().map({True: text, False: ""})


def _flags(
    trials: pd.DataFrame, speeds: Mapping[str, "pd.Series[str]"]
) -> list[tuple[Sequence[str], "pd.Series[str]"]]:
    """What is to be said against cells: for each reason the measures that it touches, and texts."""
    cells = trials.groupby(CELL)
    told: list[tuple[Sequence[str], pd.Series[str]]] = [
        (["accuracy"], _said(trials, trials["diverged"].eq(True), "loss not finite")),
        (["accuracy"], _said(trials, trials["accuracy"] <= CHANCE, "learned nothing")),
    ]
    for name in TIMES:
        middle_half = cells[name].quantile(0.75) - cells[name].quantile(0.25)
        share = middle_half / cells[name].median()
        told.append(([name], _above(share, SPREAD_LIMIT, f"{_timing(name)} spread")))
    shares = {
        "steal": ("steal_fraction", STEAL_LIMIT),
        "foreign load": ("foreign_fraction", FOREIGN_LIMIT),
        "held back by the CPU quota": ("cpu_throttled_fraction", QUOTA_LIMIT),
    }
    told += [
        (TIMES, _above(cells[name].max(), limit, text)) for text, (name, limit) in shares.items()
    ]
    told += [
        ([name], pd.Series(f"{_timing(name)}: two speeds", texts.index))
        for name, texts in speeds.items()
    ]
    held = cells["clocks_held_down"].agg(lambda texts: "; ".join(sorted(set(texts) - {""})))
    return [
        *told,
        (TIMES, _said(trials, trials["throttled"].eq(True), "throttled")),
        (TIMES, held),
        (["cold_seconds"], _said(trials, trials["warmed"].eq(True), "cold: warmed up")),
    ]


def with_flags(rows: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Rows about one machine's cells with each measure's ``_flags`` in its summary."""
    keys = ["protocol", "device", "width" if "width" in rows else "parameters"]
    flags = [f"{name}_flags" for name in MEASURES]
    return rows.merge(cells[[*keys, *flags]], on=keys, how="left")


def together(flags: Iterable[str]) -> str:
    """What is to be said against several cells, each text once; empty where there is none."""
    reasons = (reason for told in flags for reason in told.split("; "))
    return "; ".join(dict.fromkeys(filter(None, reasons)))


def _above(shares: "pd.Series[float]", limit: float, text: str) -> "pd.Series[str]":
    """The text for each cell whose share is above a limit, with the share."""
    return (100 * shares[shares > limit]).map(f"{text} {{:.1f}}%".format)


def _timing(name: str) -> str:
    return name.removesuffix("_seconds")


def _two_speeds(trials: pd.DataFrame, name: str) -> "pd.Series[str]":
    """Both speeds of cells that have two, such as 'cold 13.2 s (3 repeats) and 27.1 s (2)'."""
    speeds = two_speeds(trials, name, CELL)
    texts = [
        f"{_timing(name)} {modes.fast:.3g} s ({modes.fast_repeats} repeats) and "
        f"{modes.slow:.3g} s ({modes.slow_repeats})"
        for modes in speeds.itertuples()
    ]
    return pd.Series(texts, speeds.index, dtype=str)


def _outliers(trials: pd.DataFrame) -> "pd.Series[int]":
    """Trials a cell whose cold or steady time lies outside 1.5 IQR fences (Tukey 1977)."""
    outside = pd.Series(False, index=trials.index)
    cells = trials.groupby(CELL)
    for name in TIMES:
        first, third = (cells[name].transform("quantile", q=share) for share in (0.25, 0.75))
        reach = 1.5 * (third - first)
        enough = cells[name].transform("count") >= FEWEST_REPEATS
        outside |= ((trials[name] < first - reach) | (trials[name] > third + reach)) & enough
    return outside.groupby(_cell(trials)).sum().astype(int)


def _cell(trials: pd.DataFrame) -> list["pd.Series[Any]"]:
    """The cell of each trial, for what is grouped beside the frame."""
    return [trials[key] for key in CELL]
