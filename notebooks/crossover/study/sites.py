"""The machines that a study runs on, and the jobs that its missing sweeps become."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from crossover.analysis.ablations import change_of
from crossover.paths import PROFILES
from crossover.records.parameters import SweepParameters
from crossover.records.record import Record
from crossover.study.jobs import LIMITS, LIMITS_PARAMETERS, TRAIN, limits_seconds_of
from crossover.study.slurm import choose_partitions, read_partitions
from crossover.study.study import Study, study_from, trial_count
from crossover.words import counted

# A machine that is new to the study may be far slower than the estimate's source.
SLOWER, START_MINUTES = 4, 30


@dataclass(frozen=True)
class Site:
    """A study on one group of like machines, with ``cores`` CPU cores each."""

    study: Study
    cores: int = 1

    def jobs(
        self, missing: Mapping[str, SweepParameters], seconds: list[float]
    ) -> dict[str, dict[str, Any]]:
        """What the workflow needs of each missing sweep, by name, in running order."""
        return {
            name: self._job(sweep, f"{self._change(sweep)}repeat {sweep.repeat}", expected)
            | {"notebook": f"notebooks/{TRAIN}", "parameters": sweep.model_dump()}
            for (name, sweep), expected in zip(missing.items(), seconds, strict=True)
        }

    def _change(self, sweep: SweepParameters) -> str:
        """What sets a sweep apart where the study has several variants of its settings."""
        if len(self.study.changes) < 2:
            return ""
        settings = sweep.settings
        return f"{change_of(settings) or f'batches of {settings.batch_size}'}, "

    def left(self, records: list[Record], limits: bool) -> str:
        """What is not there yet, in words: trials, and limits where they belong to the study."""
        trials = trial_count(self.study.missing(self.study.own(records)))
        devices = len(self.study.missing_limits()) if limits else 0
        parts = [counted(trials, "trial")] if trials else []
        parts += [f"the limits of {counted(devices, 'device')}"] if devices else []
        return " and ".join(parts)

    def limits_jobs(self, missing: Mapping[str, SweepParameters]) -> dict[str, dict[str, Any]]:
        """What the workflow needs to measure the limits of each device that lacks them."""
        return {
            name: self._job(sweep, "limits: copies, matrix products", limits_seconds_of(sweep))
            | {
                "notebook": f"notebooks/{LIMITS}",
                "parameters": sweep.model_dump(include={*LIMITS_PARAMETERS}),
            }
            for name, sweep in missing.items()
        }

    def _job(self, sweep: SweepParameters, what: str, seconds: float) -> dict[str, Any]:
        """Title and resources of a job."""
        title = f"{self.study.partition} {sweep.protocol}, {sweep.device.upper()}, {what}"
        return {
            "title": title.strip(),
            "minutes": START_MINUTES + math.ceil(SLOWER * seconds / 60),
            "cores": self.cores,
            "partition": self.study.partition or None,
        }


def executor_of(profile: str) -> str:
    """Name the Snakemake executor of a profile in ``workflow/profiles``.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    known = {path.parent.name: path for path in sorted(PROFILES.glob("*/config.yaml"))}
    if profile not in known:
        raise ValueError(f"PROFILE is {profile!r:.80}: known are {', '.join(known)}.")
    return str(yaml.safe_load(known[profile].read_text(encoding="utf-8"))["executor"])


def sites(settings: Mapping[str, Any], profile: str, partitions: str) -> list[Site]:
    """The studies of one command: one, or one a partition.

    The machine that plans is not the one that trains on a cluster: there,
    devices and cores are what SLURM says, or the devices are named.

    Parameters
    ----------
    settings : mapping
        As `crossover.study.study.study_from` takes them.
    profile : str
    partitions : str
        Names; empty stands for SLURM's default partition.

    Raises
    ------
    ValueError
        One sentence that names the setting and what would be right.
    """
    executor = executor_of(profile)
    names = partitions.replace(",", " ").split()
    if names and executor != "slurm":
        raise ValueError("PARTITIONS are SLURM's: give PROFILE=slurm too, or leave them out.")
    if executor == "local":
        return [Site(study_from(settings))]
    if executor != "slurm":
        if not settings.get("devices"):
            raise ValueError(
                f"DEVICES is missing: with PROFILE={profile} nothing here tells what the "
                'machines have; give DEVICES=cpu or DEVICES="cpu gpu".'
            )
        return [Site(study_from(settings))]
    found = []
    for partition in choose_partitions(names, read_partitions()):
        own = {**settings, "devices": settings.get("devices") or partition.devices}
        study = study_from(own | {"partition": partition.name if names else ""})
        found.append(Site(study, partition.cores))
    return found
