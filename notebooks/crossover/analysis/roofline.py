"""How near trainings come to the hardware's ceilings: rates against what was measured alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from crossover.analysis.stepmodel import step_seconds
from crossover.problem import evaluation_flops, product_flops, step_bytes
from crossover.records.ceilings import Ceilings, WidthCeilings
from crossover.records.frame import groups

COLUMNS = [
    "protocol", "device", "precision", "width", "intensity", "flops_per_second", "bytes_per_second",
    "ceiling_flops", "ceiling_bytes", "share", "blas_flops", "peak_flops", "peak_way",
]  # fmt: skip
STEP = ["backend", "protocol", "device", "width"]


def measured_steps(
    trials: pd.DataFrame, ceilings: Sequence[Ceilings]
) -> Iterator[tuple[float, "pd.Series[Any]", Ceilings, WidthCeilings]]:
    """The steady steps of one machine's trials at the widths whose ceilings were measured there.

    Of each cell its median seconds, its first trial, the ceilings of its device, and of its width.
    """
    by_device: dict[tuple[str, str], Ceilings] = {
        (one.backend, one.device): one for one in ceilings
    }
    for (backend, _, device, width), cell in groups(trials, STEP):
        measured, seconds = by_device.get((backend, device)), step_seconds(cell).median()
        parts = measured.at(width) if measured else None
        if measured and parts and pd.notna(seconds):
            yield seconds, cell.iloc[0], measured, parts


def roofline(trials: pd.DataFrame, ceilings: Sequence[Ceilings]) -> pd.DataFrame:
    """Achieved rates of one machine's steady training steps beside its measured ceilings.

    One row for each protocol, device and width with ceilings: the products' ``precision``,
    ``intensity`` (FLOP/byte), ``flops_per_second`` and ``bytes_per_second`` achieved (the products
    that evaluate the images held out count), ``ceiling_flops`` (matrix products of the same shapes
    and precision), ``ceiling_bytes`` (the device's memory) and ``share``, the achieved part of the
    lower ceiling (Williams, Waterman & Patterson 2009): min(ceiling_flops, intensity ·
    ceiling_bytes). ``blas_flops`` is what NumPy's BLAS reaches with those products (NaN on a GPU),
    and ``peak_flops`` the most arithmetic of any kind, done in ``peak_way``.
    """
    rows = []
    for seconds, trial, measured, parts in measured_steps(trials, ceilings):
        width, batch_size, precision = trial[["width", "batch_size", "precision"]]
        flops, moved = product_flops(width, batch_size), step_bytes(width, batch_size)
        rate = (flops + evaluation_flops(width, trial["evaluated"]) / trial["steps"]) / seconds
        ceiling, peak = parts.flops_per_second(precision), measured.peak(precision)
        reached = min(ceiling, flops / moved * measured.memory_bytes_per_second)
        rows.append(
            {
                **trial[["protocol", "device", "precision", "width"]],
                "intensity": flops / moved,
                "flops_per_second": rate,
                "bytes_per_second": moved / seconds,
                "ceiling_flops": ceiling,
                "ceiling_bytes": measured.memory_bytes_per_second,
                "share": rate / reached,
                "blas_flops": parts.blas_flops_per_second,
                "peak_flops": peak.flops_per_second if peak else None,
                "peak_way": peak.way if peak else "",
            }
        )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"blas_flops": float, "peak_flops": float})
