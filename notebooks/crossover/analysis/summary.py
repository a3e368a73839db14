"""Summaries of trials: medians with their spread, noise flags, and speed-ups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crossover.analysis.modes import two_speeds
from crossover.analysis.order import FEWEST_REPEATS, Floats, kind_name, median_limits

CURVE = ["machine", "backend", "protocol", "device"]
CELL = [*CURVE, "width"]
MEASURES = ["cold_seconds", "steady_seconds", "accuracy"]
# A constant answer is right for at most 1,135 of the 10,000 test images; three standard
# errors above that are chance, too.
CHANCE = 0.123
SPREAD_LIMIT, STEAL_LIMIT, FOREIGN_LIMIT, QUOTA_LIMIT = 0.10, 0.02, 0.10, 0.01


def summarise(trials: pd.DataFrame) -> pd.DataFrame:
    """Reduce repeats to medians with intervals, one row a cell.

    Parameters
    ----------
    trials : DataFrame
        One row a trial.

    Returns
    -------
    DataFrame
        One row for each machine, backend, protocol, device and width:
        ``parameters``, ``repeats``, the median of ``cold_seconds``,
        ``steady_seconds`` (seconds) and ``accuracy`` (fraction), each with
        ``_low`` and ``_high`` (order statistics from 5 values on, the range for 2
        to 4, NaN for 1), ``interval`` (their name and level: '93.8 % interval', 'range' or
        'single'), ``two_speeds`` (both, where the repeats fall into two groups; see
        `crossover.analysis.modes`), ``noisy``, ``noise`` (reasons), ``outliers``
        (trials outside 1.5 interquartile ranges) and
        ``learning`` (how the training failed; empty where it did not).

    Raises
    ------
    ValueError
        If one curve mixes two settings.
    """
    refuse_mixed_settings(trials)
    cells = trials.groupby(CELL, sort=True)
    summary = pd.DataFrame({"parameters": cells["parameters"].first(), "repeats": cells.size()})
    for name in MEASURES:
        summary[[name, f"{name}_low", f"{name}_high"]] = _median_intervals(trials, name, summary)
    summary["interval"] = summary["repeats"].map(kind_name)
    summary["two_speeds"] = _two_speeds(trials, summary)
    summary["noise"] = _noise(trials, summary)
    summary["noisy"] = summary["noise"] != ""
    summary["outliers"] = _outliers(trials, summary)
    summary["learning"] = _learning(trials, summary)
    return summary.reset_index()


def refuse_mixed_settings(trials: pd.DataFrame) -> None:
    """Raise ValueError, naming curve and values, where a curve mixes settings."""
    pairs = trials[[*CURVE, "settings_digest"]].drop_duplicates()
    mixed = pairs[pairs.duplicated(CURVE, keep=False)].sort_values([*CURVE, "settings_digest"])
    if mixed.empty:
        return
    curve = tuple(mixed.iloc[0][CURVE])
    same = (mixed[CURVE] == pd.Series(curve, index=CURVE)).all(axis=1)
    digests = " and ".join(str(digest) for digest in mixed.loc[same, "settings_digest"])
    named = ", ".join(f"{field} {value!r}" for field, value in zip(CURVE, curve, strict=True))
    raise ValueError(
        f"one curve ({named}) mixes the settings_digest values {digests}; "
        "summarise trials of one study at a time"
    )


def _median_intervals(trials: pd.DataFrame, name: str, summary: pd.DataFrame) -> Floats:
    """Median, low and high of one measure, shape (cells, 3), in summary's order."""
    known = trials.loc[trials[name].notna(), [*CELL, name]].sort_values([*CELL, name])
    counts = known.groupby(CELL).size().reindex(summary.index, fill_value=0).to_numpy()
    starts = np.cumsum(counts) - counts
    flat = known[name].to_numpy(dtype=np.float64)
    result = np.full((len(summary), 3), np.nan)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        values = flat[starts[rows, None] + np.arange(count)]
        result[rows, 0] = np.median(values, axis=1)
        if count > 1:
            result[rows, 1:] = np.column_stack(median_limits(values.T))
    return result


def _noise(trials: pd.DataFrame, summary: pd.DataFrame) -> pd.Series[str]:
    """Why each cell is noisy, joined with '; '; empty where it is not."""
    shares = {
        "cold spread": ("cold_seconds", SPREAD_LIMIT),
        "steady spread": ("steady_seconds", SPREAD_LIMIT),
        "steal": ("steal_fraction", STEAL_LIMIT),
        "foreign load": ("foreign_fraction", FOREIGN_LIMIT),
        "held back by the CPU quota": ("cpu_throttled_fraction", QUOTA_LIMIT),
    }
    reasons: list[list[str]] = [[] for _ in range(len(summary))]
    for label, (name, limit) in shares.items():
        column = trials[name].astype(float).groupby([trials[key] for key in CELL])
        if name.endswith("_seconds"):
            share = (column.quantile(0.75) - column.quantile(0.25)) / column.median()
        else:
            share = column.max()
        values = share.reindex(summary.index).to_numpy()
        for row in np.flatnonzero(values > limit):
            reasons[row].append(f"{label} {values[row]:.1%}".replace("%", " %"))
    for texts, found in zip(reasons, summary["two_speeds"], strict=True):
        texts += ["two speeds"] if found else []
    throttled = (trials["throttled"] == True).groupby([trials[key] for key in CELL]).any()  # noqa: E712
    for row in np.flatnonzero(throttled.reindex(summary.index)):
        reasons[row].append("throttled")
    held = trials["clocks_held_down"].groupby([trials[key] for key in CELL]).unique()
    for texts, found in zip(reasons, held.reindex(summary.index), strict=True):
        texts += sorted(filter(None, found))
    return pd.Series(["; ".join(texts) for texts in reasons], index=summary.index)


def _two_speeds(trials: pd.DataFrame, summary: pd.DataFrame) -> pd.Series[str]:
    """Both speeds of each cell that has two, such as 'cold 13.2 s (3 repeats) and 27.1 s (2)'."""
    texts: list[list[str]] = [[] for _ in range(len(summary))]
    for timing in ("cold", "steady"):
        found = two_speeds(trials, f"{timing}_seconds", CELL)
        rows = summary.index.get_indexer(found.index)
        for row, modes in zip(rows, found.itertuples(), strict=True):
            texts[row].append(
                f"{timing} {modes.fast:.3g} s ({modes.fast_repeats} repeats) and "
                f"{modes.slow:.3g} s ({modes.slow_repeats})"
            )
    return pd.Series(["; ".join(told) for told in texts], index=summary.index)


def _outliers(trials: pd.DataFrame, summary: pd.DataFrame) -> pd.Series[int]:
    """Trials a cell whose cold or steady time lies outside 1.5 IQR fences (Tukey 1977)."""
    keys = [trials[key] for key in CELL]
    outside = pd.Series(False, index=trials.index)
    rows = pd.MultiIndex.from_frame(trials[CELL])
    for name in ["cold_seconds", "steady_seconds"]:
        cells = trials[name].astype(float).groupby(keys)
        first = cells.quantile(0.25).reindex(rows).to_numpy()
        third = cells.quantile(0.75).reindex(rows).to_numpy()
        reach = 1.5 * (third - first)
        enough = cells.transform("count") >= FEWEST_REPEATS
        outside |= ((trials[name] < first - reach) | (trials[name] > third + reach)) & enough
    return outside.groupby(keys).sum().reindex(summary.index).astype(int)


def _learning(trials: pd.DataFrame, summary: pd.DataFrame) -> pd.Series[str]:
    """How each cell's training failed, in any of its repeats; empty where none did."""
    keys = [trials[key] for key in CELL]
    diverged = (trials["diverged"] == True).groupby(keys).any()  # noqa: E712
    chance = (trials["accuracy"] <= CHANCE).groupby(keys).any()
    texts = pd.Series("", index=summary.index)
    for failed, text in ((diverged, "loss not finite"), (chance, "learned nothing")):
        texts = texts.mask(failed.reindex(summary.index), texts + f"; {text}")
    return texts.str.removeprefix("; ")
