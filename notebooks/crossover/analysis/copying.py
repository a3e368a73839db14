"""What copying a batch to a GPU is of its published step: the published guess in numbers."""

import statistics
from collections.abc import Sequence
from math import isnan, nan
from typing import Any, NamedTuple

import pandas as pd

from crossover.analysis.stepmodel import FEWEST_SIZES, step_seconds, timing_of
from crossover.records import published
from crossover.records.backends import BACKENDS
from crossover.records.ceilings import Ceilings
from crossover.records.published import Copying


class SmallestStep(NamedTuple):
    """Median seconds of a published step at the smallest width that was timed."""

    width: int
    seconds: float
    timing: str


def copying_of(machine: str, models: pd.DataFrame, ceilings: Sequence[Ceilings]) -> Copying:
    """What a machine's GPU spends on copying a batch, beside the overhead of its published step.

    ``models`` are rows of `crossover.analysis.timemodel.fit_all`, ``ceilings`` that machine's. For
    the published machine, whose copies nobody measured, it is what the link to the card allows.
    """
    wanted = "machine == @machine and device == 'gpu' and protocol == 'published'"
    fitted = models.query(wanted)
    if fitted.empty:
        return Copying(
            reason="No GPU was timed here in the protocol 'published': there is no copy to test."
        )
    overhead = float(fitted["overhead_seconds"].iloc[0])
    if machine == published.MACHINE:
        seconds = Copying.batch / published.LINK_BYTES_PER_SECOND
        return Copying(seconds, overhead, inferred=True)
    card = next((one for one in ceilings if one.device == "gpu"), None)
    if card is None:
        return Copying(reason="The copy to this GPU was not measured: run make report.")
    pinned = statistics.median(card.pinned_copy) if card.pinned_copy else nan
    unknown = unknown_overhead(fitted.iloc[0])
    if unknown:
        overhead = nan
    copied = statistics.median(card.batch_copy)
    facts = BACKENDS[card.backend]
    unpinned = "" if facts.pins else f", for {facts.name} has no call for it"
    rate = card.copy_bytes_per_second
    return Copying(copied, overhead, pinned, unpinned, rate, batch=card.batch_bytes, reason=unknown)


def unknown_overhead(model: "pd.Series[Any]") -> str:
    """Why a row of `fit_all` does not tell a step's overhead; empty where it does."""
    if isnan(model["overhead_seconds"]):
        return f"A step's overhead takes times of {FEWEST_SIZES} widths to tell."
    return "" if model["overhead_low"] > 0 else "Its times do not tell its overhead from none."


def smallest_step(trials: pd.DataFrame, device: str) -> SmallestStep | None:
    """The published step of the smallest width timed on a device; None where none was.

    Its evaluating of the images held out is part of it. ``trials`` are of one machine.
    """
    curve = trials[(trials["device"] == device) & (trials["protocol"] == "published")]
    timing = timing_of(curve)
    medians = step_seconds(curve, timing).groupby(curve["width"]).median().dropna()
    if medians.empty:
        return None
    return SmallestStep(int(medians.index[0]), float(medians.iloc[0]), timing)
