"""The sentences that explain: the published guess put to numbers, and what moves a step."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from crossover.analysis.ablations import BASELINE
from crossover.analysis.breakdown import PARTS
from crossover.analysis.summary import FOREIGN_LIMIT, QUOTA_LIMIT, STEAL_LIMIT
from crossover.problem import BATCH_SIZE, batch_bytes
from crossover.records import published
from crossover.records.frame import groups
from crossover.records.limits import KINDS, Limits
from crossover.records.settings import Backend
from crossover.records.unusual import held_down
from crossover.report.figure import NAMES


def guess_sentences(breakdown: pd.DataFrame, limits: Sequence[Limits]) -> str:
    """Test the published guess, that copying costs small models their advantage, on each device."""
    copies = {found.device: found for found in limits}
    lines = []
    for device, rows in groups(breakdown[breakdown["protocol"] == "published"], "device"):
        small = rows.sort_values("width").iloc[0]
        known = copies[device]
        share = small["batch copy"] / small["step_us"]
        verdict = "does not explain" if share < 0.5 else "explains most of"
        where = "to the GPU" if device == "gpu" else "within the host's memory"
        lines.append(
            f"- **{NAMES[device]}:** copying one batch of {known.batch_bytes:,} bytes {where} "
            f"takes {small['batch copy']:,.0f} µs, {share:.1%} of a step at width {small['width']} "
            f"({small['step_us']:,.0f} µs); the matrix products take "
            f"{small['matrix products']:,.0f} µs. Copying {verdict} the step's time."
        )
    return "\n".join(lines) or "- No limits were measured here: run `make report`."


def published_guess(models: pd.DataFrame, limits: Sequence[Limits]) -> str:
    """What the guess would imply for the published GPU, from its own times."""
    key = (models["machine"] == published.MACHINE) & (models["device"] == "gpu")
    overhead = float(models[key]["overhead_seconds"].iloc[0])
    batch = batch_bytes(BATCH_SIZE)
    here = (
        f" (a block of {limits[0].large_bytes / 2**20:.0f} MiB is copied at "
        f"{limits[0].copy_bytes_per_second / 1e9:.1f} GB/s on this machine's "
        f"{NAMES[limits[0].device]})"
        if limits
        else ""
    )
    return (
        f"The published GPU's steps cost {overhead * 1e6:,.0f} µs whatever the model's size, each "
        f"with its share of what a training costs once. Were "
        f"that the copying of a batch of {batch:,} bytes, it would have run at "
        f"{batch / overhead / 1e6:,.0f} MB/s{here}."
    )


def breakdown_sentences(breakdown: pd.DataFrame) -> str:
    """The largest part of a step at the smallest and largest width of each curve."""
    lines = []
    for (protocol, device), rows in groups(breakdown, ["protocol", "device"]):
        told = []
        for _, row in rows.sort_values("width").iloc[[0, -1]].iterrows():
            parts = row[PARTS[:-1]].astype(float).dropna()
            rest = float(row["not attributed"]) / row["step_us"]
            unknown = (
                f"{rest:.0%} could not be attributed"
                if rest >= 0
                else f"parts overlap by {-rest:.0%}"
            )
            told.append(
                f"at width {row['width']} the largest measured part is {parts.idxmax()} "
                f"({parts.max() / row['step_us']:.0%} of {row['step_us']:,.0f} µs; {unknown})"
            )
        lines.append(f"- {NAMES[device]}, {protocol}: {'; '.join(told)}.")
    return "\n".join(lines)


def profile_sentences(profile: pd.DataFrame) -> str:
    """How much of a profiled step is arithmetic, smallest and largest model of each device."""
    lines = []
    for device, rows in groups(profile, "device"):
        told = []
        for _, row in rows.sort_values("width").iloc[[0, -1]].iterrows():
            seen = row[list(KINDS)].astype(float) / row["profiled_us"]
            arithmetic = seen["matrix products"] + seen["other arithmetic"]
            copying = seen["copying to the device"] + seen["copying from the device"]
            told.append(
                f"at width {row['width']}, of {row['profiled_us']:,.0f} µs, {arithmetic:.0%} is "
                f"arithmetic, {copying:.0%} copying to and from the device, "
                f"{seen['waiting for a batch']:.0%} waiting for a batch, and "
                f"{seen['starting operations'] + seen['Python']:.0%} starting operations and Python"
            )
        lines.append(f"- {NAMES[device]}: {'; '.join(told)}.")
    return "\n".join(lines) or "No step was profiled here: `make report` does it once."


def ablation_sentences(table: pd.DataFrame) -> str:
    """Which single change helps most on each device, small model and large."""
    lines = []
    for device, rows in groups(table[table["change"] != BASELINE], "device"):
        told = []
        for width, part in groups(rows, "width"):
            ranked = part.sort_values("ratio")
            best, worst = ranked.iloc[-1], ranked.iloc[0]
            told.append(
                f"at width {width} *{best['change']}* buys most ({best['ratio']:.2f} times as "
                f"fast) and *{worst['change']}* least ({worst['ratio']:.2f})"
            )
        lines.append(f"- {NAMES[device]}: {'; '.join(told)}.")
    return "\n".join(lines) or (
        "The ablations are not trained yet: `make explain` trains them, one change at a time."
    )


def dispatch_meaning(backend: Backend) -> str:
    """What steps an execution measure on a backend, in Keras's implementation of it."""
    return {
        "tensorflow": "With several *steps an execution* TensorFlow runs them in one call of its "
        "graph. What an epoch an execution saves is the dispatching of every step from Python: the "
        "part *dispatch*.",
        "jax": "Several *steps an execution* are a loop in Python on JAX: every step is still a "
        "call. What an epoch an execution saves is Keras's bookkeeping between the steps, and the "
        "part *dispatch* holds no more than that.",
        "torch": "On torch Keras runs one step an execution, so that the part *dispatch* is not "
        "measured.",
    }[backend]


def ablation_caution(table: pd.DataFrame, noise: dict[tuple[str, int], float]) -> str:
    """What differences mean nothing; empty where every change was repeated or nothing is known."""
    once = (table["low"] == table["high"]).all()
    known = [
        noise[key] for key in zip(table["device"], table["width"], strict=True) if key in noise
    ]
    if not once or not known:
        return ""
    return (
        f"Each change was trained once, while repeats of the published protocol itself differ by a "
        f"factor of up to {max(known):.2f} at these widths on this machine (the grey bands). "
        "Differences inside a band say nothing: `make explain REPEATS=5` narrows them."
    )


def roofline_sentences(table: pd.DataFrame) -> str:
    """The share of the ceiling that each curve reaches at its largest width."""
    lines = []
    for (protocol, device), rows in groups(table, ["protocol", "device"]):
        low, high = rows.sort_values("width").iloc[[0, -1]].to_dict("records")
        lines.append(
            f"- {NAMES[device]}, {protocol}: {low['share']:.1%} of the ceiling at width "
            f"{low['width']}, {high['share']:.0%} at width {high['width']} "
            f"({high['flops_per_second'] / 1e9:,.3g} of {high['ceiling_flops'] / 1e9:,.3g} GFLOP/s "
            "that the matrix products alone reach)."
        )
    lines += _peak_sentences(table)
    if (table["share"] > 1).any():
        lines.append(
            "\nMore than 100% means that the machine was slower while its ceiling was measured."
        )
    return "\n".join(lines)


def limits_caution(limits: Sequence[Limits]) -> str:
    """What disturbed the measuring of each device's limits; empty where nothing is known of."""
    lines = []
    for found in limits:
        conditions = found.conditions
        shares = {
            "the CPU quota held them back in": (conditions.cpu_throttled_fraction, QUOTA_LIMIT),
            "the hypervisor took": (conditions.steal_fraction, STEAL_LIMIT),
            "other programs took": (conditions.foreign_fraction, FOREIGN_LIMIT),
        }
        told = [
            f"{what} {share:.1%} of the {'periods' if 'quota' in what else 'capacity'}"
            for what, (share, limit) in shares.items()
            if share is not None and share > limit
        ]
        told += held_down(found.machine, conditions)
        if conditions.gpu_throttled:
            told.append("the GPU lowered its clock")
        if told:
            lines.append(
                f"⚑ While the limits of the {NAMES[found.device]} were measured: "
                f"{', '.join(told)}. They are rough."
            )
    return "\n\n".join(lines)


def _peak_sentences(table: pd.DataFrame) -> list[str]:
    """How far trainings and ceilings are from the most that each device was seen to do."""
    lines = []
    for device, rows in groups(table.dropna(subset="peak_flops"), "device"):
        most = rows.sort_values("peak_flops").iloc[-1]
        peak = float(most["peak_flops"])
        reached = [("the step's products alone", rows["ceiling_flops"].max())]
        if rows["blas_flops"].notna().any():
            reached.append(("NumPy's BLAS with the same products", rows["blas_flops"].max()))
        reached.append(("the best training", rows["flops_per_second"].max()))
        shares = ", ".join(f"{what} {rate / peak:.0%}" for what, rate in reached)
        lines.append(
            f"- The most arithmetic that this machine's {NAMES[device]} was seen to do is "
            f"{peak / 1e9:,.3g} GFLOP/s ({most['peak_way']}). Of that, at their best width, "
            f"{shares}."
        )
    return lines
