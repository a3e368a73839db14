"""What the summary compares: this machine's trials, the references, the published table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import pandas as pd

from crossover.analysis.batch_map import on_map
from crossover.analysis.machines import Group, by_machine, groups_of, study_machine
from crossover.paths import PUBLISHED, REFERENCES
from crossover.records import published
from crossover.records.frame import MixedTrialsError, check_comparable, to_frame, unlike
from crossover.records.jsontext import Problem
from crossover.records.record import Measured, Record
from crossover.records.reference import read_reference, reference_paths
from crossover.records.settings import Backend, Settings
from crossover.records.storage import (
    read_records,
    record_name,
    set_aside_before,
    trial_folders,
)
from crossover.words import counted

AnyMeasured = TypeVar("AnyMeasured", bound=Measured)


@dataclass(frozen=True)
class Merged:
    """All trials in one frame, and the records and problems behind them.

    ``own`` names this machine in the frame (the published one while this machine has no trial),
    ``variants`` the study's other curves: its other machines, and other numbers of threads;
    ``backends`` the names under which its backends stand, the study's own first. ``records`` are
    the study's trials, ``recorded`` all of this machine's with the study's backend and threads,
    those of the map included; ``left_out`` counts those that nothing in the report shows, and
    ``apart`` names references that were not compared with.
    """

    trials: pd.DataFrame
    own: str
    variants: list[str]
    backends: dict[Backend, str]
    records: list[Record]
    recorded: list[Record]
    problems: list[Problem]
    left_out: int
    apart: list[Problem]

    def of(self, machine: str) -> pd.DataFrame:
        """The trials of one machine."""
        return self.trials[self.trials["machine"] == machine]

    def own_of(
        self, measured: Sequence[AnyMeasured], kind: str
    ) -> tuple[list[AnyMeasured], list[Problem]]:
        """What was measured beside trials on their machine and software, and what on others."""
        own, others = [], []
        for one in measured:
            if difference := unlike(one, self.recorded):
                name = f"{kind} of {one.backend} on the {one.device.upper()}"
                reason = (
                    f"measured with another {difference} than the trials'; to measure them anew, "
                    "move their file away"
                )
                others.append(Problem(name, reason))
            else:
                own.append(one)
        return own, others

    @property
    def devices(self) -> list[str]:
        """The devices that this machine has trials of."""
        return sorted(set(self.of(self.own)["device"]))

    @property
    def _with_gpu(self) -> list[str]:
        """The machines that have trials of a GPU; the published one is the last."""
        return list(self.trials.loc[self.trials["device"] == "gpu", "machine"].unique())

    def comparable(self, machine: str) -> bool:
        """Whether a machine solved the same learning problem with the same backend."""
        own, other = (
            set(self.of(name)[["epochs", "batch_size", "backend"]].itertuples(index=False))
            for name in (self.own, machine)
        )
        return own >= other

    @property
    def gpu_machine(self) -> str:
        """The machine whose GPU stands in the comparison: this one, or a reference.

        A recorded reference goes before the published table; this machine's name, without a GPU,
        stands where no reference is comparable.
        """
        with_gpu = self._with_gpu
        if self.own in with_gpu:
            return self.own
        return next(filter(self.comparable, with_gpu), self.own)

    @property
    def compared(self) -> dict[str, str]:
        """The machine of each device in the comparison."""
        return {"cpu": self.own, "gpu": self.gpu_machine}

    def processor(self, device: str, machine: str = "") -> str:
        """A machine's device by its own name, that of the comparison's if no machine is named.

        The machine's name where it has no trial of the device.
        """
        name = machine or self.compared[device]
        names = self.of(name).query("device == @device")["processor"]
        return str(names.iloc[0]) if len(names) else name

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Comparisons across names: CPUs here without a GPU of their own, against the GPU."""
        gpu, with_gpu = self.gpu_machine, self._with_gpu
        without = [name for name in [self.own, *self.variants] if name not in with_gpu]
        return [(name, gpu) for name in without if gpu in with_gpu]


def merge(source: Path, settings: list[Settings], references: Path = REFERENCES) -> Merged:
    """Read everything that the report compares: a study's trials, and a folder of references.

    ``source`` is a folder of records and of its partitions' folders, or one reference file; trials
    of other ``settings`` are left out, and counted. Raises `MixedTrialsError` if the trials of the
    machine that the report speaks of differ in software.
    """
    asked, (machines, problems) = settings[0], _read(source)
    here = study_machine(machines, settings)
    groups = _groups(machines, asked, here)
    records = next((group.records for group in groups if group.label == here), [])
    check_comparable(records)
    own = here if records else published.MACHINE
    groups, mixed = _alike(groups)
    backends = _backends(groups, asked)
    own_trials = {_identity(trial) for trials in machines.values() for trial in trials}
    foreign, foreign_problems, apart = _references(references, source, asked, own_trials)
    frames = [to_frame(group.records, group.label) for group in [*groups, *foreign]]
    return Merged(
        trials=pd.concat([*frames, published.load_published(PUBLISHED)], ignore_index=True),
        own=own,
        variants=[group.label for group in groups
                  if group.label not in {own, *backends.values()}],
        backends=backends,
        records=records,
        recorded=[record for record in machines.get(here, [])
                  if record.settings.backend == asked.backend
                  and record.settings.threads == asked.threads],
        problems=[*problems, *mixed, *foreign_problems],
        left_out=_unseen(machines, groups),
        apart=apart,
    )  # fmt: skip


def _read(source: Path) -> tuple[dict[str, list[Record]], list[Problem]]:
    """A study's trials by machine, and its files that are no valid trial or were set aside."""
    folders = trial_folders(source)
    if source.is_file():
        places = {"": read_reference(source)}
    else:
        places = {"" if path == source else path.name: read_records(path) for path in folders}
    machines = {
        name: trials
        for partition, loaded in places.items()
        for name, trials in by_machine(loaded.records, partition).items()
    }
    problems = [problem for loaded in places.values() for problem in loaded.problems]
    aside = [problem for folder in folders for problem in set_aside_before(folder)]
    return machines, problems + aside


def _groups(machines: dict[str, list[Record]], asked: Settings, here: str) -> list[Group]:
    """The groups of all machines: this one's first, then what is least unlike the study."""
    groups = [group for name in machines for group in groups_of(name, machines[name], asked)]
    return sorted(groups, key=lambda group: (
        group.label != here, group.backend != asked.backend, group.threads != asked.threads
    ))  # fmt: skip


def _backends(groups: list[Group], asked: Settings) -> dict[Backend, str]:
    """The name of the machine with most trials of each backend, the study's own first."""
    most = sorted(groups, key=lambda group: -len(group.records))
    backends: dict[Backend, str] = {}
    for group in sorted(most, key=lambda group: (group.backend != asked.backend, group.backend)):
        if group.threads == asked.threads:
            backends.setdefault(group.backend, group.label)
    return backends


def _unseen(machines: dict[str, list[Record]], groups: list[Group]) -> int:
    """How many trials nothing in the report shows."""
    read = Counter(record.settings for trials in machines.values() for record in trials)
    shown = {record.settings for group in groups for record in group.records}
    return sum(
        count for settings, count in read.items() if settings not in shown and not on_map(settings)
    )


def with_batch_sizes(merged: Merged, machine: str) -> pd.DataFrame:
    """A machine's trials, and where they are this machine's those of the batch-size map too."""
    # A study of the map's own settings has its trials among the machine's already.
    own = {record.settings for record in merged.records}
    mapped = [record for record in merged.recorded if on_map(record.settings)]
    extra = [record for record in mapped if record.settings not in own]
    frames = [merged.of(machine)]
    if machine == merged.own and extra:
        frames.append(to_frame(extra, machine))
    return pd.concat(frames, ignore_index=True)


def _references(
    folder: Path, source: Path, asked: Settings, own_trials: set[tuple[str, datetime, float]]
) -> tuple[list[Group], list[Problem], list[Problem]]:
    """The trials like the study's of each reference but the source itself, in groups.

    Then what is no valid trial or may share no curve, and the references that hold no such group:
    those too that hold nothing but the study's ``own_trials``, which 'make record' copied.
    """
    usable = reference_paths(folder)
    unusable = sorted(set(folder.glob("*.jsonl")) - set(usable))
    problems = [Problem(path.name, "no file that 'make record' writes") for path in unusable]
    groups: list[Group] = []
    apart = []
    for path in usable:
        if path == source.resolve():
            continue
        reference = read_reference(path)
        problems += reference.problems
        named = groups_of(f"reference {path.stem}", reference.records, asked)
        like = [group for group in named if group.threads == asked.threads]
        if why := _why_apart(reference.records, like, own_trials):
            apart.append(Problem(path.name, why))
        else:
            groups += like
    groups, mixed = _alike(groups)
    return groups, problems + mixed, apart


def _why_apart(
    records: list[Record], like: list[Group], own_trials: set[tuple[str, datetime, float]]
) -> str:
    """Why a reference's trials are not compared with; empty where they are."""
    if not records:
        return "it holds no trial"
    if not like:
        return f"{counted(len(records), 'trial')} with other settings"
    copied = own_trials.issuperset(map(_identity, records))
    return "a copy of the trials of this study" if copied else ""


def _identity(trial: Record) -> tuple[str, datetime, float]:
    """What no two trials share, and what `make record` copies: name, time, and seconds."""
    return record_name(trial), trial.started, trial.phases.fit


def _alike(groups: list[Group]) -> tuple[list[Group], list[Problem]]:
    """The groups whose trials may share curves; a mixed one is a problem, not fatal."""
    alike, problems = [], []
    for group in groups:
        try:
            check_comparable(group.records)
        except MixedTrialsError as error:
            problems.append(Problem(group.label, str(error)))
        else:
            alike.append(group)
    return alike, problems
