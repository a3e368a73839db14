"""What the summary compares: this machine's trials, the references, the published table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd

from crossover.analysis.ablations import change_of, on_map
from crossover.analysis.machines import (
    by_kind,
    by_machine,
    most_trials,
    own_settings,
    read_places,
    study_machine,
)
from crossover.paths import PUBLISHED, REFERENCES
from crossover.records import published
from crossover.records.frame import MixedTrialsError, check_comparable, to_frame, unlike
from crossover.records.jsontext import Problem
from crossover.records.limits import Limits
from crossover.records.record import Record
from crossover.records.reference import read_reference, reference_paths
from crossover.records.settings import Backend, Settings
from crossover.records.storage import set_aside_before, trial_folders
from crossover.words import counted

BACKENDS: tuple[Backend, ...] = get_args(Backend)


@dataclass(frozen=True)
class Merged:
    """All trials in one frame, and the records and problems behind them.

    ``own`` names this machine in the frame (the published one while this
    machine has no trial), ``variants`` the study's other curves: its other
    machines, and other numbers of threads; ``backends`` the names under which
    its backends stand, the study's own first. ``records`` are the study's
    trials, ``recorded`` all of this machine's with the study's backend and
    threads, ablations included; ``left_out`` counts those that
    nothing in the report shows, and ``apart`` names references that were not
    compared with.
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

    def limits_of(self, measured: Sequence[Limits]) -> tuple[list[Limits], list[Problem]]:
        """The limits of the machine and software of these trials, and those that are of others."""
        found, others = [], []
        for limits in measured:
            if difference := unlike(limits, self.recorded):
                name = f"limits of {limits.backend} on the {limits.device.upper()}"
                reason = (
                    f"measured with another {difference} than the trials'; to measure them anew, "
                    "move their file away"
                )
                others.append(Problem(name, reason))
            else:
                found.append(limits)
        return found, others

    @property
    def devices(self) -> list[str]:
        """The devices that this machine has trials of."""
        return sorted(set(self.of(self.own)["device"]))

    def comparable(self, machine: str) -> bool:
        """Whether a machine solved the same learning problem with the same backend."""
        problem = ["epochs", "batch_size", "backend"]
        own, other = self.of(self.own), self.of(machine)
        return set(own[problem].itertuples(index=False)) >= set(
            other[problem].itertuples(index=False)
        )

    @property
    def gpu_machine(self) -> str:
        """The machine whose GPU stands in the comparison: this one, or a reference.

        A recorded reference goes before the published table; this machine's
        name, without a GPU, stands where no reference is comparable.
        """
        if "gpu" in self.devices:
            return self.own
        with_gpu = self.trials[self.trials["device"] == "gpu"]["machine"].unique()
        known = [name for name in map(str, with_gpu) if self.comparable(name)]
        recorded = [name for name in known if name != published.MACHINE]
        return (recorded or known or [self.own])[0]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Comparisons across names: CPUs here without a GPU of their own, against the GPU."""
        gpu = self.gpu_machine
        has_gpu = set(self.trials[self.trials["device"] == "gpu"]["machine"])
        without = [name for name in [self.own, *self.variants] if name not in has_gpu]
        return [(name, gpu) for name in without if gpu in has_gpu]


def merge(source: Path, settings: list[Settings], references: Path = REFERENCES) -> Merged:
    """Read everything that the report compares.

    Parameters
    ----------
    source : Path
        This study's trials: a folder of records and of its partitions' folders,
        or one reference file.
    settings : list of Settings
        Trials with other settings are left out, and counted.
    references : Path
        Folder of the references to compare with.

    Raises
    ------
    MixedTrialsError
        If the trials of the machine that the report speaks of differ in software.
    """
    places = read_places(source)
    machines: dict[str, list[Record]] = {}
    for partition, loaded in places.items():
        machines |= by_machine(loaded.records, partition)
    kinds: dict[str, dict[str, list[Record]]] = {"": {}}
    for name, trials in machines.items():
        for kind, group in by_kind(trials, settings).items():
            kinds.setdefault(kind, {})[name + kind] = group
    own = most_trials(kinds[""]) or published.MACHINE
    check_comparable(kinds[""].get(own, []))
    problems = [problem for loaded in places.values() for problem in loaded.problems]
    for folder in trial_folders(source):
        problems += set_aside_before(folder)
    every = {name: group for named in kinds.values() for name, group in named.items()}
    groups = _alike(every, problems)
    names = [name for name in dict.fromkeys([own, *groups]) if name in groups]
    frames = [to_frame(groups[name], name) for name in names]
    apart: list[Problem] = []
    known = _alike(_references(references, source, settings[0], problems, apart), problems)
    frames += [to_frame(group, name) for name, group in known.items()]
    frames.append(published.load_published(PUBLISHED))
    backends = _backends(kinds, groups, settings[0].backend)
    recorded = machines.get(study_machine(kinds[""], machines), [])
    return Merged(
        trials=pd.concat(frames, ignore_index=True),
        own=own,
        variants=[name for name in names if name not in {own, *backends.values()}],
        backends=backends,
        records=groups.get(own, []),
        recorded=[record for record in recorded if _runs_as(record.settings, settings[0])],
        problems=problems,
        left_out=_unseen(machines, groups),
        apart=apart,
    )


def _runs_as(own: Settings, study: Settings) -> bool:
    """Whether settings, an ablation's too, share the study's backend and threads."""
    return (own.backend, own.threads) == (study.backend, study.threads)


def _backends(
    kinds: dict[str, dict[str, list[Record]]], shown: Collection[str], study: Backend
) -> dict[Backend, str]:
    """The name of the machine with most trials of each backend, the study's own first."""
    found: dict[Backend, str] = {}
    for backend in [study, *sorted(set(BACKENDS) - {study})]:
        named = kinds.get("" if backend == study else f", {backend}", {})
        if name := most_trials({name: group for name, group in named.items() if name in shown}):
            found[backend] = name
    return found


def _unseen(machines: dict[str, list[Record]], groups: dict[str, list[Record]]) -> int:
    """How many trials nothing in the report shows."""
    read = Counter(record.settings for trials in machines.values() for record in trials)
    shown = {record.settings for group in groups.values() for record in group}
    return sum(
        count
        for found, count in read.items()
        if found not in shown and not change_of(found) and not on_map(found)
    )


def with_batch_sizes(study: Merged, machine: str) -> pd.DataFrame:
    """A machine's trials, and where they are this machine's those of the batch-size map too."""
    extra = [record for record in study.recorded if on_map(record.settings)]
    frames = [study.of(machine)]
    if machine == study.own and extra:
        frames.append(to_frame(extra, machine))
    return pd.concat(frames, ignore_index=True)


def _references(
    folder: Path,
    source: Path,
    study: Settings,
    problems: list[Problem],
    apart: list[Problem],
) -> dict[str, list[Record]]:
    """The trials like the study's of each reference but the source itself, by name.

    Each backend but the study's stands under a name of its own. References
    without any such trial are named in ``apart``.
    """
    usable = reference_paths(folder)
    unusable = sorted(set(folder.glob("*.jsonl")) - set(usable))
    problems += [Problem(path.name, "no file that 'make record' writes") for path in unusable]
    found: dict[str, list[Record]] = {}
    for path in usable:
        if path == source.resolve():
            continue
        reference = read_reference(path)
        problems += reference.problems
        count = len(found)
        for record in reference.records:
            used = record.settings.backend
            if record.settings in own_settings(used, study.epochs, study.batch_size, study.threads):
                suffix = "" if used == study.backend else f", {used}"
                found.setdefault(f"reference {path.stem}{suffix}", []).append(record)
        if len(found) == count:
            trials = counted(len(reference.records), "trial")
            why = f"{trials} with other settings" if reference.records else "it holds no trial"
            apart.append(Problem(path.name, why))
    return found


def _alike(groups: dict[str, list[Record]], problems: list[Problem]) -> dict[str, list[Record]]:
    """The groups whose trials may share curves; a mixed one is a problem, not fatal."""
    alike = {}
    for name, records in groups.items():
        try:
            check_comparable(records)
        except MixedTrialsError as error:
            problems.append(Problem(name, str(error)))
        else:
            if records:
                alike[name] = records
    return alike
