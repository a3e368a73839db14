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

    Returns
    -------
    DataFrame
        One row for each machine, backend, protocol, device and width: ``parameters``, ``repeats``,
        the median of ``cold_seconds``, ``steady_seconds`` (seconds) and ``accuracy`` (fraction),
        each with ``_low`` and ``_high`` (order statistics from 5 values on, the range for 2 to 4,
        NaN for 1), ``interval`` (their name and level: '93.8 % interval', 'range' or 'single'),
        ``two_speeds`` (both, where the repeats fall into two groups; see
        `crossover.analysis.modes`), ``noisy``, ``noise`` (reasons), ``outliers`` (trials outside
        1.5 interquartile ranges) and ``learning`` (how the training failed; empty where it did
        not).

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
    summary["outliers"] = _outliers(trials)
    summary["learning"] = _learning(trials)
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
    measured = trials.loc[trials[name].notna(), [*CELL, name]].sort_values([*CELL, name])
    counts = measured.groupby(CELL).size().reindex(summary.index, fill_value=0).to_numpy()
    starts = np.cumsum(counts) - counts
    flat = measured[name].to_numpy(dtype=np.float64)
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
    cells = trials.groupby(CELL)
    for label, (name, limit) in shares.items():
        column = cells[name]
        if name.endswith("_seconds"):
            share = (column.quantile(0.75) - column.quantile(0.25)) / column.median()
        else:
            share = column.max()
        for texts, value in zip(reasons, share, strict=True):
            texts += [f"{label} {100 * value:.1f} %"] if value > limit else []
    throttled = _any(trials, trials["throttled"] == True)  # noqa: E712
    held = cells["clocks_held_down"].unique()
    told = zip(reasons, summary["two_speeds"], throttled, held, strict=True)
    for texts, speeds, slowed, clocks in told:
        texts += ["two speeds"] if speeds else []
        texts += ["throttled"] if slowed else []
        texts += sorted(filter(None, clocks))
    return pd.Series(["; ".join(texts) for texts in reasons], index=summary.index)


def _any(trials: pd.DataFrame, flags: pd.Series[bool]) -> pd.Series[bool]:
    """Whether a flag stands at any trial of each cell."""
    return flags.groupby([trials[key] for key in CELL]).any()


def _two_speeds(trials: pd.DataFrame, summary: pd.DataFrame) -> pd.Series[str]:
    """Both speeds of each cell that has two, such as 'cold 13.2 s (3 repeats) and 27.1 s (2)'."""
    texts: list[list[str]] = [[] for _ in range(len(summary))]
    for timing in ("cold", "steady"):
        speeds = two_speeds(trials, f"{timing}_seconds", CELL)
        rows = summary.index.get_indexer(speeds.index)
        for row, modes in zip(rows, speeds.itertuples(), strict=True):
            texts[row].append(
                f"{timing} {modes.fast:.3g} s ({modes.fast_repeats} repeats) and "
                f"{modes.slow:.3g} s ({modes.slow_repeats})"
            )
    return pd.Series(["; ".join(told) for told in texts], index=summary.index)


def _outliers(trials: pd.DataFrame) -> pd.Series[int]:
    """Trials a cell whose cold or steady time lies outside 1.5 IQR fences (Tukey 1977)."""
    outside = pd.Series(False, index=trials.index)
    cells = trials.groupby(CELL)
    for name in ["cold_seconds", "steady_seconds"]:
        first, third = (cells[name].transform("quantile", q=share) for share in (0.25, 0.75))
        reach = 1.5 * (third - first)
        enough = cells[name].transform("count") >= FEWEST_REPEATS
        outside |= ((trials[name] < first - reach) | (trials[name] > third + reach)) & enough
    return outside.groupby([trials[key] for key in CELL]).sum().astype(int)


def _learning(trials: pd.DataFrame) -> pd.Series[str]:
    """How each cell's training failed, in any of its repeats; empty where none did."""
    diverged = _any(trials, trials["diverged"] == True)  # noqa: E712
    chance = _any(trials, trials["accuracy"] <= CHANCE)
    texts = pd.Series("", index=diverged.index)
    for failed, text in ((diverged, "loss not finite"), (chance, "learned nothing")):
        texts = texts.mask(failed, texts + f"; {text}")
    return texts.str.removeprefix("; ")
