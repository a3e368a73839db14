"""Records as a data frame, and the refusal to put unlike trials on one curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from crossover.records.record import Machine, Record, printable
from crossover.training.mnist import TRAIN_IMAGES
from crossover.training.parameters import steps_per_epoch, trained_images

COLUMNS = [
    "machine", "backend", "protocol", "device", "width", "parameters", "repeat",
    "cold_seconds", "steady_seconds", "accuracy", "epochs", "steps", "evaluated", "batch_size",
    "steal_fraction", "foreign_fraction", "throttled", "diverged", "settings_digest", "threads",
    "cpu_joules", "card_joules", "precision",
]  # fmt: skip
FLOATS = [
    "cold_seconds", "steady_seconds", "accuracy", "steal_fraction", "foreign_fraction",
    "cpu_joules", "card_joules",
]  # fmt: skip


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The groups of a frame, each with its key."""
    yield from frame.groupby(by)


class MixedTrialsError(ValueError):
    """Trials that differ in more than width and repeat were merged."""


def to_frame(records: Sequence[Record], machine: str) -> pd.DataFrame:
    """One row a trial, under the machine's name; see ``COLUMNS``.

    ``steps`` counts the optimizer steps of an epoch, and ``evaluated`` the
    images held out that are evaluated after them; ``cpu_joules`` and
    ``card_joules`` are what the CPU and the GPU's card used during the fit;
    seconds, accuracy, shares and joules are NaN where unknown.
    """
    frame = pd.DataFrame([_row(record, machine) for record in records], columns=COLUMNS)
    return frame.astype(dict.fromkeys(FLOATS, float))


def _row(record: Record, machine: str) -> dict[str, Any]:
    settings = record.settings
    return {
        "machine": machine,
        "backend": settings.backend,
        "protocol": settings.protocol,
        "device": record.device,
        "width": record.width,
        "parameters": record.parameters,
        "repeat": record.repeat,
        "cold_seconds": record.cold_seconds,
        "steady_seconds": record.steady_seconds,
        "accuracy": record.test_accuracy,
        "epochs": settings.epochs,
        "steps": steps_per_epoch(settings.batch_size, settings.validation_split),
        "evaluated": (
            TRAIN_IMAGES - trained_images(settings.validation_split) if settings.validation else 0
        ),
        "batch_size": settings.batch_size,
        "steal_fraction": record.conditions.steal_fraction,
        "foreign_fraction": record.conditions.foreign_fraction,
        "throttled": record.conditions.gpu_throttled,
        "diverged": _diverged(record),
        "settings_digest": settings.digest,
        "threads": settings.threads,
        "cpu_joules": record.conditions.cpu_joules and record.conditions.cpu_joules.fit,
        "card_joules": record.conditions.gpu_joules and record.conditions.gpu_joules.fit,
        "precision": record.precision or "float32",
    }


def _diverged(record: Record) -> bool:
    """Whether a loss was no number: such values are recorded as None."""
    return record.test_loss is None or any(None in values for values in record.history.values())


def check_one_machine(records: Sequence[Record]) -> None:
    """Raise MixedTrialsError unless all trials share hardware, and each backend's software."""
    first_of: dict[tuple[str, ...], Record] = {}
    for record in records:
        backend = record.settings.backend
        _agree(_machine_facts(first_of.setdefault((backend,), record)), _machine_facts(record))
        curve = backend, record.device
        _agree(_card_facts(first_of.setdefault(curve, record)), _card_facts(record))


def check_comparable(records: Sequence[Record]) -> None:
    """Raise unless the trials of each backend and protocol may share curves.

    Raises
    ------
    MixedTrialsError
        Names the field and both values: settings and software must agree
        among all trials of a protocol, the hardware among those of a device.
    """
    check_one_machine(records)
    first_of: dict[tuple[str, ...], Record] = {}
    for record in records:
        protocol = record.settings.backend, record.settings.protocol
        first = first_of.setdefault(protocol, record)
        _agree(first.settings.model_dump(), record.settings.model_dump())
        card = first_of.setdefault((*protocol, record.device), record)
        if record.device == "gpu":
            _agree({"precision": card.precision}, {"precision": record.precision})


def _machine_facts(record: Record) -> dict[str, Any]:
    machine, software = record.machine, record.software
    return {
        "backend version": software.backend,
        "keras": software.keras,
        "numpy": software.numpy,
        "cpu_model": machine.cpu_model,
        "visible_cores": machine.visible_cores,
    }


def _card_facts(record: Record) -> dict[str, Any]:
    return {"gpu_model": record.machine.gpu_model} if record.device == "gpu" else {}


def _agree(first: dict[str, Any], second: dict[str, Any]) -> None:
    for field, value in first.items():
        if second[field] != value:
            raise MixedTrialsError(
                f"trials with different {field} ({value!r} and {second[field]!r}) cannot share "
                "a curve: report them as two machines or two studies."
            )


def machine_label(machine: Machine, partition: str = "") -> str:
    """A short name for tables and plots, such as 'AMD EPYC (2 cores)'."""
    cores = machine.visible_cores
    cpu = f"{machine.cpu_model or 'unknown CPU'} ({cores or '?'} core{'' if cores == 1 else 's'})"
    label = f"{cpu} + {machine.gpu_model}" if machine.gpu_model else cpu
    return printable(f"{partition}: {label}" if partition else label, 80)
