"""How long trials take, so that a plan can name minutes."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from crossover.paths import PUBLISHED
from crossover.problem import (
    BATCH_SIZE,
    EPOCHS,
    explained_widths,
    parameter_count,
)
from crossover.records.backends import BACKENDS
from crossover.records.ceilings import Ceilings, ceilings_name, find_ceilings
from crossover.records.parameters import SweepParameters
from crossover.records.published import read_table
from crossover.records.record import Record
from crossover.records.reference import read_reference, reference_paths
from crossover.records.rounds import find_rounds
from crossover.records.settings import Backend, Device, Protocol, Settings

Key = tuple[Device, Protocol, Backend]
Parts = tuple[float, float]


class Curve:
    """What trials of one kind take, over their parameters; of like trials the medians.

    Each trial has two parts: the seconds of its fit beyond the epochs (tracing, compiling), and
    those of a later epoch at batch size 128. ``sizes`` and ``epochs`` are logarithms, ``starts``
    seconds; shape (sizes,) each.
    """

    def __init__(self, parts: Mapping[int, Sequence[Parts]]) -> None:
        ascending = sorted(parts)
        self.starts, epochs = np.transpose([np.median(parts[size], axis=0) for size in ascending])
        self.sizes, self.epochs = np.log(ascending), np.log(epochs)

    def at(self, parameters: int) -> Parts:
        """Seconds of the start and of an epoch at a size, interpolated in logarithms."""
        size = np.log(parameters)
        start = np.interp(size, self.sizes, self.starts)
        return float(start), float(np.exp(np.interp(size, self.sizes, self.epochs)))


class Estimate:
    """Seconds that trials will take, from a machine's trials or the references.

    Trials of the same protocol, backend and device are interpolated in the logarithms of parameters
    and seconds; their epochs are scaled by number and batch size, what comes before the second
    epoch is paid once. Without any, the recorded references stand in, or else the published table:
    right to a factor of a few.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._curves = _curves(records, _recorded())

    def is_measured(self, settings: Settings, device: Device) -> bool:
        """Whether a trial of the machine itself tells, and no reference stands in."""
        return (device, settings.protocol, settings.backend) in self._curves

    def seconds(self, settings: Settings, device: Device, width: int) -> float:
        """Seconds of one trial's fit."""
        key = (device, settings.protocol, settings.backend)
        curve = self._curves.get(key) or _recorded().get(key) or _published(device)
        start, epoch = curve.at(parameter_count(width))
        return start + settings.epochs * epoch * BATCH_SIZE / settings.batch_size


def ceilings_seconds(sweep: SweepParameters, device: Device) -> float:
    """Seconds of measuring the ceilings that a sweep names, from what was measured of them."""
    common, width, profile = BACKENDS[sweep.backend].ceilings_seconds[device]
    own = width * len(sweep.widths) + profile * len(explained_widths(sweep.widths))
    measured = own_ceilings(sweep, device)
    timed = [one for one in measured.widths if one.seconds] if measured else []
    if not timed:
        return common + own
    usual = sum(width + profile * bool(one.profile) for one in timed)
    return own * sum(one.seconds or 0 for one in timed) / usual


def rounds_seconds(sweep: SweepParameters, device: Device) -> tuple[float, bool]:
    """Seconds of the trainings in turns that a sweep names, and whether others like them tell."""
    kind = sweep.backend, device, sweep.batch_size, sweep.threads
    paths = sweep.folder.glob(f"{Path(ceilings_name(*kind)).stem}-w*.json")
    taken = [rounds.seconds for path in paths if (rounds := find_rounds(path))]
    usual = BACKENDS[sweep.backend].rounds_seconds[device]
    return len(sweep.widths) * (statistics.fmean(taken) if taken else usual), bool(taken)


def own_ceilings(sweep: SweepParameters, device: Device) -> Ceilings | None:
    """What is measured already of the ceilings that a sweep names."""
    name = ceilings_name(sweep.backend, device, sweep.batch_size, sweep.threads)
    return find_ceilings(sweep.folder / name)


def balanced(widths: Iterable[int], seconds: Callable[[int], float], parts: int) -> list[list[int]]:
    """Split widths into at most ``parts`` groups that take about equally long.

    The longest goes first, each to the group with the least so far (Graham 1969).
    """
    taken = {width: seconds(width) for width in widths}
    ordered = sorted(taken, key=lambda width: (taken[width], width), reverse=True)
    groups: list[list[int]] = [[] for _ in range(min(parts, len(ordered)))]
    for width in ordered:
        lightest = min(groups, key=lambda group: (sum(taken[w] for w in group), len(group)))
        lightest.append(width)
    return [sorted(group) for group in groups]


def _curves(records: Iterable[Record], long: Mapping[Key, Curve]) -> dict[Key, Curve]:
    """The medians of the trials of each kind; ``long`` ones split fits of a single epoch."""
    kinds: dict[Key, dict[int, list[Parts]]] = {}
    for record in records:
        settings = record.settings
        key = (record.device, settings.protocol, settings.backend)
        parts = _parts(record, long.get(key))
        kinds.setdefault(key, {}).setdefault(record.parameters, []).append(parts)
    return {key: Curve(sizes) for key, sizes in kinds.items()}


def _parts(record: Record, long: Curve | None) -> Parts:
    """Seconds of a trial's start, and of an epoch at the published batch size."""
    settings, fit = record.settings, record.phases.fit
    batches = settings.batch_size / BATCH_SIZE
    later = record.phases.epochs[1:]
    if later:
        epoch = min(statistics.fmean(later), fit / settings.epochs)
        return fit - settings.epochs * epoch, epoch * batches
    # What a single epoch spent on its start only longer trials tell.
    start, epoch = long.at(record.parameters) if long else (0.0, 1.0)
    share = epoch / batches / (start + epoch / batches)
    return fit * (1 - share), fit * share * batches


@cache
def _recorded() -> dict[Key, Curve]:
    records = (record for path in reference_paths() for record in read_reference(path).records)
    return _curves((r for r in records if r.settings.epochs == EPOCHS), {})


@cache
def _published(device: Device) -> Curve:
    table = read_table(PUBLISHED)
    fits = dict(zip(table["parameters"], table[f"{device}_seconds"], strict=True))
    return Curve({size: [(0.0, seconds / EPOCHS)] for size, seconds in fits.items()})
