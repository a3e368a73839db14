"""How often the crossover's interval covers a known crossover, and how often its status is false.

Simulated studies follow the published table's shape. In all rows but one the
true medians are straight between widths on logarithmic axes, so that what is
tested is the interval over the repeats; in that one the curves are smooth,
and the limits include what straight lines between widths may add. Paired studies are of one
machine; in unpaired ones the GPU's repeats are another machine's. Beside
the report's interval stands Welch's t interval of whole sweeps (1947), which is
narrower and does not hold where one device has two speeds.

Writes ``coverage.csv`` and ``statuses.csv`` in ``data/reference``, which the report cites.
"""

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from crossover.analysis import band
from crossover.analysis.crossing import Crossover, find_crossover
from crossover.analysis.order import median_ranks
from crossover.paths import COVERAGE, STATUSES
from crossover.problem import parameter_count
from crossover.training.plan import balanced_order

Floats = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, int], tuple[Floats, Floats]]

STUDIES = 3000
REPEATS = (5, 6, 10)
SIZES = np.array([parameter_count(2**power) for power in range(2, 11)], dtype=np.float64)
COUNT = len(SIZES)
CPU_OVERHEAD, CPU_EACH, GPU_OVERHEAD, GPU_EACH = 12.0, 1.17e-4, 32.5, 1.0e-5
CPU_MEDIANS, GPU_MEDIANS = CPU_OVERHEAD + CPU_EACH * SIZES, GPU_OVERHEAD + GPU_EACH * SIZES
EXACT = (GPU_OVERHEAD - CPU_OVERHEAD) / (CPU_EACH - GPU_EACH)
# Between widths 128 and 256.
RATIO = np.log(CPU_MEDIANS / GPU_MEDIANS)
STRAIGHT = float(np.exp(np.interp(0, RATIO, np.log(SIZES))))
AT_128, AT_256 = 5, 6
SMOOTH = "2%, smooth curves"
# What the interval is not made for, and how far it is off there.
SLOWER, DRIFT = "4 of 10 trainings twice as slow, one by one", "sweeps that drift"


def lognormal(spread: float | Floats) -> Noise:
    """Independent noise of every training."""
    return lambda rng, n: (
        rng.normal(0, spread, (n, COUNT)),
        rng.normal(0, spread, (n, COUNT)),
    )


def contaminated(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """2%, and a tenth of the trainings take 1.5 to 4 times as long."""
    slow = np.where(rng.random((2, n, COUNT)) < 0.1, np.log(rng.uniform(1.5, 4, (2, n, COUNT))), 0)
    cpu, gpu = slow + rng.normal(0, 0.02, slow.shape)
    return cpu, gpu


def two_speeds(*widths: int) -> Noise:
    """2%, and half of the CPU's trainings of these widths take twice as long as the others."""

    def noise(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        cpu, gpu = lognormal(0.02)(rng, n)
        cpu[:, list(widths)] += rng.choice([-0.5, 0.5], (n, len(widths))) * np.log(2)
        return cpu, gpu

    return noise


def one_by_one(share: float) -> Noise:
    """2%, and this share of the CPU's trainings, each by itself, take twice as long."""
    # The median is this quantile of the fast ones.
    shift = 0.02 * stats.norm.ppf(0.5 / (1 - share))

    def noise(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
        cpu, gpu = lognormal(0.02)(rng, n)
        return cpu + np.where(rng.random(cpu.shape) < share, np.log(2), 0) - shift, gpu

    return noise


def drifting(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """2%, and the CPU's sweeps drift by 10%, each like the one before: autocorrelation 0.7."""
    cpu, gpu = lognormal(0.02)(rng, n)
    drift = rng.normal(0, 0.1, n)
    for at in range(1, n):
        drift[at] = 0.7 * drift[at - 1] + np.sqrt(1 - 0.7**2) * drift[at]
    return cpu + drift[:, None], gpu


def slow_processes(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """2%, and in three of ten of the CPU's sweeps widths 128 and 256 take twice as long."""
    cpu, gpu = lognormal(0.02)(rng, n)
    slow = rng.random(n) < 0.3
    # The median over sweeps is this share's quantile of the fast ones.
    shift = 0.02 * stats.norm.ppf(0.5 / 0.7) * np.sqrt(2)
    cpu[:, [AT_128, AT_256]] += np.where(slow, np.log(2), 0)[:, None] - shift * WEIGHT
    return cpu, gpu


def slow_sweeps(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """2%, and each sweep has a factor of its own, spread by 10%."""
    cpu, gpu = lognormal(0.02)(rng, n)
    return cpu + rng.normal(0, 0.1, (n, 1)), gpu + rng.normal(0, 0.1, (n, 1))


def slow_repeats(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """2%, and both sweeps of a repeat have one factor, spread by 10%."""
    cpu, gpu = lognormal(0.02)(rng, n)
    factor = rng.normal(0, 0.1, (n, 1))
    return cpu + factor, gpu + factor


def slow_phases(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """10%, and each training of a sweep is like the one before: autocorrelation 0.8."""
    noise = rng.normal(0, 0.1, (2, n, COUNT))
    for at in range(1, COUNT):
        noise[..., at] = 0.8 * noise[..., at - 1] + 0.6 * noise[..., at]
    widths = list(range(COUNT))
    orders = [balanced_order(widths, 777, repeat) for repeat in range(1, n + 1)]
    cpu, gpu = np.take_along_axis(noise, np.argsort(orders)[None], axis=2)
    return cpu, gpu


# How much of both widths' noise there is at the true crossover.
_share = np.interp(np.log(STRAIGHT), np.log(SIZES[[AT_128, AT_256]]), [0, 1])
WEIGHT = float(np.hypot(1 - _share, _share))

NOISES: dict[str, Noise] = {
    "2%": lognormal(0.02),
    "10%": lognormal(0.10),
    "25%": lognormal(0.25),
    "growing 2 to 30%": lognormal(np.geomspace(0.02, 0.30, COUNT)),
    "a tenth 1.5 to 4 times slower": contaminated,
    "half twice as slow, width 128": two_speeds(AT_128),
    "half twice as slow, widths 128 and 256": two_speeds(AT_128, AT_256),
    "3 of 10 sweeps twice as slow there": slow_processes,
    "3 of 10 trainings twice as slow, one by one": one_by_one(0.3),
    "a factor a sweep": slow_sweeps,
    "a factor a repeat, both devices": slow_repeats,
    "slow phases in a sweep": slow_phases,
    SMOOTH: lognormal(0.02),
    SLOWER: one_by_one(0.4),
    DRIFT: drifting,
}


ALWAYS = ("2%", "10%", "growing 2 to 30%", "a factor a sweep")


def timed(medians: Floats, noise: Floats) -> pd.DataFrame:
    """Trials with this noise of their log times, shape (repeats, widths)."""
    repeats = np.repeat(np.arange(1, len(noise) + 1), COUNT)
    seconds = (medians * np.exp(noise)).ravel()
    return pd.DataFrame(
        {"parameters": np.tile(SIZES, len(noise)), "repeat": repeats, "seconds": seconds}
    )


def welch(cpu: Floats, gpu: Floats, truth: float) -> bool:
    """Whether Welch's t interval of the sweeps' log ratio at the true crossover holds zero."""
    ends = np.log(SIZES)
    sides = [np.array([np.interp(np.log(truth), ends, curve) for curve in c]) for c in (cpu, gpu)]
    return bool(stats.ttest_ind(*sides, equal_var=False).pvalue > 0.05)


def cell(name: str, repeats: int, paired: bool, studies: int = STUDIES) -> dict[str, object]:
    """Coverage under one kind of noise, over all its studies (no study is left out)."""
    rng = np.random.default_rng([list(NOISES).index(name), repeats, paired])
    truth = EXACT if name == SMOOTH else STRAIGHT
    found: list[Crossover] = []
    theirs = []
    for _ in range(studies):
        cpu, gpu = NOISES[name](rng, repeats)
        if not paired:
            _, gpu = NOISES[name](rng, repeats)
        # Straight curves have no error of straight lines for the limits to include.
        with patch.object(band, "STEEPEST", band.STEEPEST if name == SMOOTH else 0.0):
            found.append(find_crossover(timed(CPU_MEDIANS, cpu), timed(GPU_MEDIANS, gpu)))
        curves = cpu + np.log(CPU_MEDIANS), gpu + np.log(GPU_MEDIANS)
        theirs.append(welch(*curves, truth))
    low, high = (np.array([getattr(f, n) for f in found]) for n in ("low", "high"))
    return {
        "noise": name,
        "repeats": repeats,
        "paired": paired,
        "level": round(median_ranks(repeats).level, 4),
        "coverage": round(float(np.mean((low <= truth) & (truth <= high))), 3),
        "high / low": round(float(np.nanmedian(high / low)), 2),
        "crossed": round(float(np.mean([f.status == "crossed" for f in found])), 3),
        "Welch's coverage": round(float(np.mean(theirs)), 3),
        "studies": studies,
    }


def false_status(name: str, repeats: int, studies: int = STUDIES) -> dict[str, object]:
    """Statuses where the GPU is always faster, by 3% at the smallest size and more at others."""
    rng = np.random.default_rng([list(NOISES).index(name), repeats, 7])
    gpu_medians = CPU_MEDIANS / np.geomspace(1.03, 6, COUNT)
    statuses = []
    for _ in range(studies):
        cpu, gpu = NOISES[name](rng, repeats)
        statuses.append(find_crossover(timed(CPU_MEDIANS, cpu), timed(gpu_medians, gpu)).status)
    shares = pd.Series(statuses).value_counts(normalize=True)
    named = ("crossed", "gpu always faster", "unresolved")
    return {"noise": name, "repeats": repeats, "studies": studies} | {
        status: round(float(shares.get(status, 0)), 3) for status in named
    }


def main() -> None:
    """Print both tables, and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    studies = parser.parse_args().studies
    start = time.perf_counter()
    rows = list(itertools.product(NOISES, REPEATS, (True, False), [studies]))
    falsely = list(itertools.product(ALWAYS, (1, 2, 3, *REPEATS), [studies]))
    with multiprocessing.Pool() as pool:
        table = pd.DataFrame(pool.starmap(cell, rows, 1))
        statuses = pd.DataFrame(pool.starmap(false_status, falsely, 1))
    print(table.to_string(index=False))
    print(
        f"\ntrue crossover, straight between widths {STRAIGHT:,.0f}; of the smooth curves "
        f"{EXACT:,.0f} (straight lines: {STRAIGHT / EXACT - 1:+.1%})"
    )
    print("\nThe GPU is always faster, by 3% at the smallest size:")
    print(statuses.to_string(index=False))
    print(f"\n{studies} studies a row, {time.perf_counter() - start:.0f} s")
    if studies == STUDIES:
        table.to_csv(COVERAGE, index=False)
        statuses.to_csv(STATUSES, index=False)


if __name__ == "__main__":
    main()
