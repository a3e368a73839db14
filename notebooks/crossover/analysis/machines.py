"""A study's trials told apart: by partition, by machine, and by what differs in their settings."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from crossover.records.frame import machine_label, processor
from crossover.records.record import Record
from crossover.records.reference import read_reference
from crossover.records.settings import Backend, Settings, protocol_settings
from crossover.records.storage import Loaded, read_records, trial_folders


@dataclass(frozen=True)
class Group:
    """One machine's trials of a study's learning problem, of one backend and number of threads."""

    machine: str
    backend: Backend
    threads: int | None
    records: list[Record]

    def label(self, study: Settings) -> str:
        """The machine's name, and what is another than the study's."""
        if self.backend != study.backend:
            return f"{self.machine}, {self.backend}"
        if self.threads != study.threads:
            return f"{self.machine}, {self.threads or 'all'} thread{'s' * (self.threads != 1)}"
        return self.machine


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
    gpus: dict[tuple[object, ...], Counter[str]] = {}
    records = _with_quotas(records)
    for record in records:
        counted = gpus.setdefault(processor(record.machine), Counter())
        counted.update([record.machine.gpu_model] if record.machine.gpu_model else [])
    machines: dict[str, list[Record]] = {}
    for record in records:
        usual = gpus[processor(record.machine)].most_common(1)
        model = record.machine.gpu_model or (usual[0][0] if usual else None)
        name = machine_label(record.machine.model_copy(update={"gpu_model": model}), partition)
        machines.setdefault(name, []).append(record)
    return machines


def _with_quotas(records: list[Record]) -> list[Record]:
    """The trials; those of earlier versions, which tell no quota, have their CPU's usual one."""
    usual: dict[tuple[object, ...], Counter[float | None]] = {}
    for record in records:
        if record.environment is not None:
            *cpu, quota = processor(record.machine)
            usual.setdefault(tuple(cpu), Counter()).update([quota])
    completed = []
    for record in records:
        quotas = usual.get(processor(record.machine)[:2])
        if record.environment is None and quotas:
            [(quota, _)] = quotas.most_common(1)
            machine = record.machine.model_copy(update={"cpu_quota": quota})
            record = record.model_copy(update={"machine": machine})
        completed.append(record)
    return completed


def read_places(source: Path) -> dict[str, Loaded]:
    """The records of one file, or of a folder and, by name, of its partitions' folders."""
    if source.is_file():
        return {"": read_reference(source)}
    return {
        "" if folder == source else folder.name: read_records(folder)
        for folder in trial_folders(source)
    }


def groups_of(machine: str, records: list[Record], study: Settings) -> list[Group]:
    """One machine's trials of the study's learning problem; others are in no group.

    Backend or number of threads may be another than the study's, but not both.
    """
    kinds: dict[tuple[Backend, int | None], list[Record]] = {}
    for record in records:
        kinds.setdefault((record.settings.backend, record.settings.threads), []).append(record)
    groups = []
    for (backend, threads), trials in kinds.items():
        alike = own_settings(backend, study.epochs, study.batch_size, threads)
        own = [record for record in trials if record.settings in alike]
        if own and (backend == study.backend or threads == study.threads):
            groups.append(Group(machine, backend, threads, own))
    return groups


def study_trials(records: list[Record], settings: list[Settings]) -> list[Record]:
    """The trials of one folder that belong to a study: those of the machine that has most.

    Report and planner alike count these: another machine's trials are none of the study's, though
    they may bear the names that its own would have.

    Parameters
    ----------
    records : list of Record
    settings : list of Settings
        Of the study's protocols.

    Returns
    -------
    list of Record
        All of that machine's, those of other settings too.
    """
    machines = by_machine(records)
    return machines.get(study_machine(machines, settings), [])


def study_machine(machines: dict[str, list[Record]], settings: list[Settings]) -> str:
    """The machine that a study is of: with most trials of its settings, or with most of any."""
    own = {
        name: sum(record.settings in settings for record in trials)
        for name, trials in machines.items()
    }
    counts = own if any(own.values()) else {name: len(machines[name]) for name in machines}
    return max(counts, key=lambda name: counts[name], default="")
