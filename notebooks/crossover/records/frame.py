"""Records as a data frame, and the refusal to put unlike trials on one curve."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from crossover.errors import CrossoverError
from crossover.problem import TRAIN_IMAGES, trained_images
from crossover.records.record import Machine, Measured, PhaseJoules, Record
from crossover.records.settings import Settings
from crossover.records.unusual import environment_text, held_down
from crossover.words import printable

NAME_LENGTH = 80


def groups(frame: pd.DataFrame, by: str | list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The groups of a frame, each with its key."""
    yield from frame.groupby(by)


class MixedTrialsError(CrossoverError):
    """Trials that differ in more than width and repeat were merged."""


def to_frame(records: Sequence[Record], machine: str) -> pd.DataFrame:
    """One row a trial, under the machine's name; see ``COLUMNS`` and ``NUMBERS``.

    ``steps`` counts the optimizer steps of an epoch, and ``evaluated`` the images held out that are
    evaluated after them; ``cpu_joules`` and ``card_joules`` are what the CPU and the GPU's card
    used during the fit; ``start_seconds`` are those that the fit costs once, and ``warmed`` whether
    a warm-up of the same width has paid some of them; ``position`` is the trial's place in its
    sweep, from 1; ``clocks_held_down`` says what slowed the CPU's clocks, '' where nothing is known
    to have; ``processor`` is the device by its own name and ``date`` the day of the trial (UTC);
    seconds, accuracy, shares and joules are NaN where unknown.
    """
    columns = {"machine": lambda _: machine, **COLUMNS, **NUMBERS}
    frame = pd.DataFrame({name: list(map(read, records)) for name, read in columns.items()})
    return frame.astype(dict.fromkeys(NUMBERS, float))


def _evaluated(settings: Settings) -> int:
    held_out = TRAIN_IMAGES - trained_images(settings.validation_split)
    return held_out if settings.validation else 0


def _diverged(record: Record) -> bool:
    """Whether a loss was no number: such values are recorded as None."""
    return record.test_loss is None or any(None in values for values in record.history.values())


def _processor(record: Record) -> str:
    """The device by its own name: the GPU's model, or the CPU's with its cores."""
    if record.device == "gpu":
        return shortened(record.machine.gpu_model or "unknown GPU")
    return machine_label(record.machine.model_copy(update={"gpu_model": None}))


COLUMNS: dict[str, Callable[[Record], Any]] = {
    "backend": lambda record: record.settings.backend,
    "protocol": lambda record: record.settings.protocol,
    "device": lambda record: record.device,
    "processor": _processor,
    "date": lambda record: f"{record.started:%Y-%m-%d}",
    "width": lambda record: record.width,
    "parameters": lambda record: record.parameters,
    "repeat": lambda record: record.repeat,
    "epochs": lambda record: record.settings.epochs,
    "steps": lambda record: record.settings.steps,
    "evaluated": lambda record: _evaluated(record.settings),
    "batch_size": lambda record: record.settings.batch_size,
    "throttled": lambda record: record.conditions.gpu_throttled,
    "diverged": _diverged,
    "warmed": lambda record: record.warmed,
    "settings_digest": lambda record: record.settings.digest,
    "precision": lambda record: record.precision or "float32",
    "clocks_held_down": lambda record: ", ".join(held_down(record.machine, record.conditions)),
}
NUMBERS: dict[str, Callable[[Record], float | None]] = {
    "cold_seconds": lambda record: record.cold_seconds,
    "steady_seconds": lambda record: record.steady_seconds,
    "start_seconds": lambda record: record.start_seconds,
    "accuracy": lambda record: record.test_accuracy,
    "position": lambda record: record.position,
    "steal_fraction": lambda record: record.conditions.steal_fraction,
    "foreign_fraction": lambda record: record.conditions.foreign_fraction,
    "cpu_throttled_fraction": lambda record: record.conditions.cpu_throttled_fraction,
    "cpu_joules": lambda record: (record.conditions.cpu_joules or PhaseJoules()).fit,
    "card_joules": lambda record: (record.conditions.gpu_joules or PhaseJoules()).fit,
}


def check_one_machine(records: Sequence[Record]) -> None:
    """Raise MixedTrialsError unless all trials share hardware, and each backend's software.

    They must share what their environments said too. What earlier versions did not record agrees
    with everything.
    """
    first_of: dict[str, dict[str, Any]] = {}
    for record in records:
        facts = _machine_facts(record)
        if record.device == "cpu" and record.environment is not None:
            facts["threads"] = record.software.threads
        _agree(first_of.setdefault(record.settings.backend, {}), facts)


def check_comparable(records: Sequence[Record]) -> None:
    """Raise MixedTrialsError unless the trials of each backend and protocol may share curves.

    It names the field and both values: settings and software must agree among all trials of a
    protocol, the hardware among those of a device.
    """
    check_one_machine(records)
    first_of: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        facts = record.settings.model_dump()
        if record.device == "gpu":
            facts["precision"] = record.precision
        protocol = record.settings.backend, record.settings.protocol
        _agree(first_of.setdefault(protocol, {}), facts)


def unlike(measured: Measured, records: Sequence[Record]) -> str:
    """In what a record beside trials differs from those of its backend; empty where it is theirs.

    Machine and software must agree, and on a GPU its model.
    """
    own = (one for one in records if one.settings.backend == measured.backend)
    return next(filter(None, (difference(measured, one) for one in own)), "")


def difference(one: Record | Measured, other: Record | Measured) -> str:
    """In what machine or software two records differ, with both values; empty where none."""
    return _difference(_machine_facts(one), _machine_facts(other))


def _machine_facts(record: Record | Measured) -> dict[str, Any]:
    """What must not differ on one machine, as far as this record knows it."""
    machine, software = record.machine, record.software
    facts: dict[str, Any] = {
        "backend version": software.backend,
        "keras": software.keras,
        "numpy": software.numpy,
        "cpu_model": machine.cpu_model,
        "visible_cores": machine.visible_cores,
    }
    if record.environment is not None:  # As all that was recorded together with it.
        facts["CPU quota"] = machine.cpu_quota
        facts["environment"] = environment_text(record.environment)
    if record.device == "gpu":
        facts["gpu_model"] = machine.gpu_model
    return facts


def processor(machine: Machine) -> tuple[str | None, int | None, float | None]:
    """What tells machines apart by their CPU: its model, the cores visible, and a quota."""
    return machine.cpu_model, machine.visible_cores, machine.cpu_quota


def _agree(first: dict[str, Any], facts: dict[str, Any]) -> None:
    """Add the facts to the first ones, or say which of them is another."""
    if difference := _difference(first, facts):
        raise MixedTrialsError(
            f"trials with different {difference} cannot share a curve: report them as two machines "
            "or two studies."
        )


def _difference(first: dict[str, Any], facts: dict[str, Any]) -> str:
    """Add the facts to the first ones; that which is another, with both values."""
    for field, value in facts.items():
        if first.setdefault(field, value) != value:
            return f"{field} ({first[field]!r} and {value!r})"
    return ""


def machine_label(machine: Machine, partition: str = "") -> str:
    """A short name for tables and plots, such as 'AMD EPYC (2 cores, quota 0.5)'."""
    cores = machine.visible_cores
    granted = f", quota {machine.cpu_quota:g}" if machine.cpu_quota else ""
    count = f"{cores or '?'} core{'' if cores == 1 else 's'}{granted}"
    cpu = f"{machine.cpu_model or 'unknown CPU'} ({count})"
    label = f"{cpu} + {machine.gpu_model}" if machine.gpu_model else cpu
    return shortened(f"{partition}: {label}" if partition else label)


def shortened(name: str) -> str:
    """A name of at most 80 characters; what two long ones share does not make them one."""
    whole = printable(name, len(name))
    if len(whole) <= NAME_LENGTH:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:6]
    return f"{whole[: NAME_LENGTH - len(digest) - 2]}… {digest}"
