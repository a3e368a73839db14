"""How often the crossover's 95 % interval covers a known crossover.

Simulated studies follow the published table's shape. The true medians are
straight between widths on log-log axes, so that the true crossover is known
exactly and what is tested is the interval over repeats. How far
interpolation alone would move the crossover of a curve that is linear in the
parameters is printed below the table.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pandas as pd

from crossover.analysis.crossing import Crossover, find_crossover
from crossover.records.record import parameter_count

STUDIES = 400
SIZES = np.array([parameter_count(2**power) for power in range(2, 11)], dtype=np.float64)
CPU_MEDIANS = 12.0 + 1.17e-4 * SIZES
GPU_MEDIANS = 32.5 + 1.0e-5 * SIZES
EXACT = (32.5 - 12.0) / (1.17e-4 - 1.0e-5)


def true_crossover() -> float:
    """Crossing of the true medians, straight between widths on log-log axes."""
    ratio = np.log(CPU_MEDIANS / GPU_MEDIANS)
    return float(np.exp(np.interp(0, ratio, np.log(SIZES))))


def simulate(
    medians: npt.NDArray[np.float64],
    repeats: int,
    noise: float,
    slow: bool,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Repeats of all widths; with ``slow``, 5 % of them take 1.5 to 2 times as long."""
    seconds = medians * np.exp(rng.normal(0, noise, (repeats, len(medians))))
    if slow:
        factor = rng.uniform(1.5, 2, seconds.shape)
        seconds = np.where(rng.random(seconds.shape) < 0.05, seconds * factor, seconds)
    return pd.DataFrame({"parameters": np.tile(SIZES, repeats), "seconds": seconds.ravel()})


def cell(repeats: int, noise: float, slow: bool) -> dict[str, object]:
    """Coverage of one combination, over all its studies (no study is left out)."""
    rng = np.random.default_rng([repeats, int(noise * 100), slow])
    truth = true_crossover()
    found: list[Crossover] = []
    for _ in range(STUDIES):
        cpu, gpu = (simulate(m, repeats, noise, slow, rng) for m in (CPU_MEDIANS, GPU_MEDIANS))
        found.append(find_crossover(cpu, gpu))
    return {
        "repeats": repeats,
        "noise": f"{noise:.0%}",
        "slow trials": slow,
        "coverage": f"{np.mean([f.low <= truth <= f.high for f in found]):.1%}",
        "crossed": f"{np.mean([f.status == 'crossed' for f in found]):.1%}",
        "high / low": round(float(np.nanmedian([f.high / f.low for f in found])), 3),
    }


def main() -> None:
    """Print the table of coverage."""
    start = time.perf_counter()
    table = pd.DataFrame(
        [
            cell(repeats, noise, slow)
            for repeats in (5, 10)
            for noise in (0.03, 0.10, 0.25)
            for slow in (False, True)
        ]
    )
    print(table.to_string(index=False))
    print(
        f"true crossover {true_crossover():,.0f}; of straight lines {EXACT:,.0f} "
        f"(interpolation: {true_crossover() / EXACT - 1:+.1%})"
    )
    print(f"{STUDIES} studies a cell, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
