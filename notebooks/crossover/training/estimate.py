"""How long trials take, so that a plan can name minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

from crossover.paths import PUBLISHED
from crossover.records.published import read_table
from crossover.records.record import Backend, Device, Protocol, Record, Settings, parameter_count
from crossover.records.reference import read_reference, reference_paths

PUBLISHED_EPOCHS, PUBLISHED_BATCH_SIZE = 10, 128

Curve = tuple[Device, Protocol, Backend]
Logarithms = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class Estimate:
    """Seconds that trials will take, from a machine's trials or the references.

    Trials of the same protocol, backend and device are interpolated in the
    logarithms of parameters and seconds and scaled by epochs and batch size.
    Without any, the recorded references stand in, or else the published table:
    right to a factor of a few.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._curves = _curves(records)

    def seconds(self, settings: Settings, device: Device, width: int) -> float:
        """Seconds of one trial's fit."""
        curve = (device, settings.protocol, settings.backend)
        sizes, seconds = self._curves.get(curve) or _recorded().get(curve) or _published(device)
        guess = np.exp(np.interp(np.log(parameter_count(width)), sizes, seconds))
        return float(guess / _scale(settings))


def balanced(widths: Iterable[int], seconds: Callable[[int], float], parts: int) -> list[list[int]]:
    """Split widths into at most ``parts`` groups that take about equally long.

    The longest goes first, each to the group with the least so far (Graham 1969).
    """
    ordered = sorted(widths, key=lambda width: (seconds(width), width), reverse=True)
    groups: list[list[int]] = [[] for _ in range(min(parts, len(ordered)))]
    loads = [0.0] * len(groups)
    for width in ordered:
        lightest = min(range(len(groups)), key=lambda group: (loads[group], len(groups[group])))
        groups[lightest].append(width)
        loads[lightest] += seconds(width)
    return [sorted(group) for group in groups]


def _scale(settings: Settings) -> float:
    """Factor from a trial's seconds to those of ten epochs at batch size 128."""
    return PUBLISHED_EPOCHS / settings.epochs * settings.batch_size / PUBLISHED_BATCH_SIZE


def _logarithms(known: dict[int, float]) -> Logarithms:
    """Logarithms of ascending parameters and of their seconds, shape (sizes,) each."""
    sizes = sorted(known)
    return np.log(np.array(sizes, dtype=float)), np.log([known[size] for size in sizes])


def _curves(records: Iterable[Record]) -> dict[Curve, Logarithms]:
    """The medians of the trials of each curve, scaled to the published study's settings."""
    known: dict[Curve, dict[int, list[float]]] = {}
    for record in records:
        settings = record.settings
        curve = known.setdefault((record.device, settings.protocol, settings.backend), {})
        curve.setdefault(record.parameters, []).append(record.phases.fit * _scale(settings))
    return {
        curve: _logarithms({size: float(np.median(each)) for size, each in sizes.items()})
        for curve, sizes in known.items()
    }


@cache
def _recorded() -> dict[Curve, Logarithms]:
    records = (record for path in reference_paths() for record in read_reference(path).records)
    return _curves(record for record in records if record.settings.epochs == PUBLISHED_EPOCHS)


@cache
def _published(device: Device) -> Logarithms:
    table = read_table(PUBLISHED)
    return _logarithms(dict(zip(table["parameters"], table[f"{device}_seconds"], strict=True)))
