"""What a sweep still has to train, in which order, and what it has trained."""

import math
import random

import pandas as pd

from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.records.settings import Device
from crossover.records.storage import read_files, trial_name
from crossover.training.estimate import Estimate
from crossover.training.progress import Progress, clock_text
from crossover.words import counted


def balanced_order(widths: list[int], seed: int, repeat: int) -> list[int]:
    """Training order of the widths, the same for both devices of one repeat.

    A cyclic Latin square: the seed shuffles the widths once, and each repeat starts elsewhere in
    that circle, so that of as many repeats as there are widths each stands once at every position.
    The steps from start to start are near the golden section of the circle, which spreads the
    positions of few repeats, too.
    """
    order = sorted(widths)
    random.Random(seed).shuffle(order)
    start = (repeat - 1) * _stride(len(order)) % len(order)
    return order[start:] + order[:start]


def _stride(count: int) -> int:
    """The whole number nearest to count / golden ratio that shares no factor with count."""
    golden = count * (math.sqrt(5) - 1) / 2
    coprime = (step for step in range(1, count + 1) if math.gcd(step, count) == 1)
    return min(coprime, key=lambda step: abs(step - golden))


def own_records(sweep: SweepParameters, device: Device) -> list[Record]:
    """The sweep's trials that are recorded already; only their own files are read."""
    settings = sweep.settings
    names = [trial_name(settings, device, width, sweep.repeat) for width in sweep.widths]
    paths = [sweep.folder / name for name in names]
    return read_files(path for path in paths if path.exists()).records


def remaining_widths(sweep: SweepParameters, device: Device) -> list[tuple[int, int]]:
    """Position in the balanced order and width of each trial without a record."""
    done = {record.width for record in own_records(sweep, device)}
    if done:
        print(f"Already recorded: {len(done)} of {len(sweep.widths)} trials.")
    order = balanced_order(sweep.widths, sweep.seed, sweep.repeat)
    return [(position, width) for position, width in enumerate(order, 1) if width not in done]


def first_records(sweep: SweepParameters) -> list[Record]:
    """The first repeat's trials of the sweep's protocol, on both devices.

    They tell how long others take, and what those must share with them: of a large study, each
    sweep reads no more than these.
    """
    return read_files(sweep.folder.glob(f"{sweep.protocol}-*-w*-r1-*.json")).records


def sweep_progress(
    sweep: SweepParameters, device: Device, order: list[tuple[int, int]], recorded: list[Record]
) -> Progress:
    """Print the plan of a sweep and return its progress.

    ``order`` is what `remaining_widths` returns; ``recorded`` tell how long these trials may take.
    """
    estimate, settings = Estimate(recorded), sweep.settings
    expected = [(width, estimate.seconds(settings, device, width)) for _, width in order]
    progress = Progress(expected, sweep.epochs)
    trials, minutes = counted(len(order), "trial"), clock_text(progress.left_seconds())
    print(f"{trials} to train, about {minutes} (a guess until the first has ended)")
    return progress


def sweep_table(sweep: SweepParameters, device: Device) -> pd.DataFrame:
    """One row a width: parameters, cold and steady seconds, accuracy, loss."""
    rows = [
        {
            "width": record.width,
            "parameters": record.parameters,
            "cold s": record.cold_seconds,
            "steady s": record.steady_seconds,
            "test accuracy": record.test_accuracy,
            "test loss": record.test_loss,
        }
        for record in own_records(sweep, device)
    ]
    return pd.DataFrame(rows).set_index("width").sort_index()
