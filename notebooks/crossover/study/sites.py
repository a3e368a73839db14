"""The machines that a study runs on: this one, or groups of a cluster's like nodes."""

from collections.abc import Mapping
from typing import Any

import yaml

from crossover.errors import CrossoverError
from crossover.paths import PROFILES
from crossover.study.configuration import study_from
from crossover.study.slurm import choose_partitions, read_partitions
from crossover.study.study import Study


def executor_of(profile: str) -> str:
    """The Snakemake executor of a profile; raises `CrossoverError` if there is no such profile."""
    paths = {path.parent.name: path for path in sorted(PROFILES.glob("*/config.yaml"))}
    if profile not in paths:
        raise CrossoverError(f"PROFILE is {profile!r:.80}: known are {', '.join(paths)}.")
    return str(yaml.safe_load(paths[profile].read_text(encoding="utf-8"))["executor"])


def studies_of(config: Mapping[str, Any]) -> list[Study]:
    """The studies of one command: one, or one a partition.

    The machine that plans is not the one that trains on a cluster: there, devices and cores are
    what SLURM says, or the devices are named. Without names of ``partitions``, SLURM's default one
    is meant. Raises `CrossoverError`, which names the setting and what would be right.
    """
    settings, profile = config["study"], config["profile"]
    executor = executor_of(profile)
    names = config["partitions"].replace(",", " ").split()
    if names and executor != "slurm":
        raise CrossoverError("PARTITIONS are SLURM's: give PROFILE=slurm too, or leave them out.")
    if executor not in ("local", "slurm") and not settings.get("devices"):
        raise CrossoverError(
            f"DEVICES is missing: with PROFILE={profile} nothing here tells what the "
            'machines have; give DEVICES=cpu or DEVICES="cpu gpu".'
        )
    if executor != "slurm":
        return [study_from(settings)]
    studies = []
    for partition in choose_partitions(names, read_partitions()):
        own = {"partition": partition.name if names else "", "cores": partition.cores}
        own["devices"] = settings.get("devices") or partition.devices
        studies.append(study_from({**settings, **own}))
    return studies
