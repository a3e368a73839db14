"""A study's trials told apart: by partition, by machine, and by what differs in their settings."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from crossover.records.frame import machine_label, processor
from crossover.records.record import Record
from crossover.records.settings import Backend, Settings, protocol_settings

Fact = TypeVar("Fact")


@dataclass(frozen=True)
class Group:
    """One machine's trials of a study's learning problem, of one backend and number of threads.

    ``label`` is the machine's name, and what is another than the study's.
    """

    label: str
    backend: Backend
    threads: int | None
    records: list[Record]


def own_settings(
    backend: Backend, epochs: int, batch_size: int, threads: int | None
) -> list[Settings]:
    """The settings of a study's protocols."""
    given = {"epochs": epochs, "batch_size": batch_size, "threads": threads, "backend": backend}
    return [protocol_settings("published", **given), protocol_settings("tuned", **given)]


def by_machine(records: list[Record], partition: str = "") -> dict[str, list[Record]]:
    """Tell one folder's trials apart by the machines that they ran on, by `machine_label`.

    A GPU's trials belong to the CPU that they were made with; where several models of GPU go with
    one model of CPU, each is a machine, and the CPU's trials stand with the GPU that has most.
    """
    records = _with_quotas(records)
    gpus = _usual(
        (processor(record.machine), record.machine.gpu_model)
        for record in records
        if record.machine.gpu_model
    )
    machines: dict[str, list[Record]] = {}
    for record in records:
        model = record.machine.gpu_model or gpus.get(processor(record.machine))
        name = machine_label(record.machine.model_copy(update={"gpu_model": model}), partition)
        machines.setdefault(name, []).append(record)
    return machines


def _with_quotas(records: list[Record]) -> list[Record]:
    """The trials; those of earlier versions, which tell no quota, have their CPU's usual one."""
    quotas = _usual(
        (processor(record.machine)[:2], record.machine.cpu_quota)
        for record in records
        if record.environment is not None
    )
    completed = []
    for record in records:
        cpu = processor(record.machine)[:2]
        if record.environment is None and cpu in quotas:
            machine = record.machine.model_copy(update={"cpu_quota": quotas[cpu]})
            record = record.model_copy(update={"machine": machine})
        completed.append(record)
    return completed


def _usual(facts: Iterable[tuple[tuple[object, ...], Fact]]) -> dict[tuple[object, ...], Fact]:
    """The most frequent fact of each CPU."""
    facts_of: dict[tuple[object, ...], list[Fact]] = {}
    for cpu, fact in facts:
        facts_of.setdefault(cpu, []).append(fact)
    return {cpu: statistics.mode(own) for cpu, own in facts_of.items()}


def groups_of(machine: str, records: list[Record], asked: Settings) -> list[Group]:
    """One machine's trials of the study's learning problem; others are in no group.

    Backend or number of threads may be another than the study's, but not both.
    """
    kinds: dict[tuple[Backend, int | None], list[Record]] = {}
    for record in records:
        kinds.setdefault((record.settings.backend, record.settings.threads), []).append(record)
    groups = []
    for (backend, threads), trials in kinds.items():
        alike = own_settings(backend, asked.epochs, asked.batch_size, threads)
        own = [record for record in trials if record.settings in alike]
        others = [f", {backend}"] if backend != asked.backend else []
        if threads != asked.threads:
            others.append(f", {threads or 'all'} thread{'s' * (threads != 1)}")
        if own and len(others) < 2:
            groups.append(Group("".join([machine, *others]), backend, threads, own))
    return groups


def study_trials(records: list[Record], settings: list[Settings]) -> list[Record]:
    """The trials of one folder that belong to a study: those of the machine that has most.

    Report and planner alike count these, those of other settings than the study's protocols too:
    another machine's trials are none of the study's, though they may bear the names that its own
    would have.
    """
    machines = by_machine(records)
    return machines.get(study_machine(machines, settings), [])


def study_machine(machines: dict[str, list[Record]], settings: list[Settings]) -> str:
    """The machine that a study is of: with most trials of its settings, or with most of any."""
    own = {
        name: [record for record in trials if record.settings in settings]
        for name, trials in machines.items()
    }
    wanted = own if any(own.values()) else machines
    return max(wanted, key=lambda name: len(wanted[name]), default="")
