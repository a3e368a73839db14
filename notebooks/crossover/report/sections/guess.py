"""The published guess, that copying costs small models their advantage, put to numbers."""

from collections.abc import Iterator, Sequence

import pandas as pd

from crossover.analysis.breakdown import step_breakdown
from crossover.analysis.summary import FOREIGN_LIMIT, QUOTA_LIMIT, STEAL_LIMIT
from crossover.problem import BATCH_SIZE, batch_bytes
from crossover.records import published
from crossover.records.ceilings import Ceilings
from crossover.records.frame import groups
from crossover.records.unusual import held_down
from crossover.report import text
from crossover.report.results import Results


def show(results: Results) -> None:
    """Show what the guess means here and for the published GPU."""
    ceilings = results.ceilings
    parts = step_breakdown(results.own_trials, results.merged.recorded, ceilings)
    text.show(ceilings_caution(ceilings))
    text.show(guess_sentences(parts, ceilings))
    text.show(published_guess(results.models, ceilings))


def ceilings_caution(ceilings: Sequence[Ceilings]) -> str:
    """What disturbed the measuring of each device's ceilings; empty where nothing is known of."""
    return "\n\n".join(
        f"⚑ While the ceilings of the {one.device.upper()} were measured: {what}. They are rough."
        for one in ceilings
        if (what := ", ".join(_disturbances(one)))
    )


def _disturbances(ceilings: Ceilings) -> Iterator[str]:
    conditions = ceilings.conditions
    held_back, stolen = conditions.cpu_throttled_fraction or 0, conditions.steal_fraction or 0
    if held_back > QUOTA_LIMIT:
        yield f"the CPU quota held them back in {held_back:.1%} of the periods"
    if stolen > STEAL_LIMIT:
        yield f"the hypervisor took {stolen:.1%} of the capacity"
    if (foreign := conditions.foreign_fraction or 0) > FOREIGN_LIMIT:
        yield f"other programs took {foreign:.1%} of the capacity"
    yield from held_down(ceilings.machine, conditions)
    if conditions.gpu_throttled:
        yield "the GPU lowered its clock"


def guess_sentences(breakdown: pd.DataFrame, ceilings: Sequence[Ceilings]) -> str:
    """Test the published guess, that copying costs small models their advantage, on each device."""
    copied_by = {measured.device: measured for measured in ceilings}
    lines = []
    for device, rows in groups(breakdown[breakdown["protocol"] == "published"], "device"):
        small = rows.sort_values("width").iloc[0]
        share = small["batch copy"] / small["step_us"]
        verdict = "does not explain" if share < 0.5 else "explains most of"
        where = "to the GPU" if device == "gpu" else "within the host's memory"
        lines.append(
            f"- **{device.upper()}:** copying one batch of {copied_by[device].batch_bytes:,} bytes "
            f"{where} takes {small['batch copy']:,.0f} µs, {share:.1%} of a step at width "
            f"{small['width']} ({small['step_us']:,.0f} µs); the matrix products take "
            f"{small['matrix products']:,.0f} µs. Copying {verdict} the step's time."
        )
    return "\n".join(lines) or "- No ceilings were measured here: run `make report`."


def published_guess(models: pd.DataFrame, ceilings: Sequence[Ceilings]) -> str:
    """What the guess would imply for the published GPU, from its own times."""
    key = (models["machine"] == published.MACHINE) & (models["device"] == "gpu")
    overhead = float(models[key]["overhead_seconds"].iloc[0])
    batch, here = batch_bytes(BATCH_SIZE), ""
    if ceilings:
        here = (
            f" (a block of {ceilings[0].large_bytes / 2**20:.0f} MiB is copied at "
            f"{ceilings[0].copy_bytes_per_second / 1e9:.1f} GB/s on this machine's "
            f"{ceilings[0].device.upper()})"
        )
    return (
        f"The published GPU's steps cost {overhead * 1e6:,.0f} µs whatever the model's size, each "
        f"with its share of what a training costs once. Were that the copying of a batch of "
        f"{batch:,} bytes, it would have run at {batch / overhead / 1e6:,.0f} MB/s{here}."
    )
