"""What SLURM says of its partitions and of the jobs in its queue."""

import shutil
import subprocess
from dataclasses import dataclass

from crossover.errors import CrossoverError
from crossover.records.settings import Device


class SlurmError(CrossoverError):
    """SLURM is missing, or does not answer: no job can be handed to it."""

    code = 5


@dataclass(frozen=True)
class Partition:
    """One of SLURM's partitions; ``cores`` are those of its smallest node."""

    name: str
    cores: int
    devices: list[Device]
    default: bool


def read_partitions() -> dict[str, Partition]:
    """Ask SLURM for its partitions, by name."""
    answer = _ask("sinfo", "--noheader", "--exact", "--format=%P|%c|%G")
    return parse_partitions(answer)


def parse_partitions(answer: str) -> dict[str, Partition]:
    """Read lines such as ``main*|64|gpu:a100:4``, one for each kind of node of a partition."""
    partitions: dict[str, Partition] = {}
    for line in answer.splitlines():
        marked, count, generic = line.strip().split("|")
        name, cores = marked.rstrip("*"), int(count)
        gpu = any(word.startswith("gpu") for word in generic.split(","))
        if last := partitions.get(name):
            cores, gpu = min(last.cores, cores), gpu or "gpu" in last.devices
        devices: list[Device] = ["cpu", "gpu"] if gpu else ["cpu"]
        partitions[name] = Partition(name, cores, devices, marked.endswith("*"))
    return partitions


def choose_partitions(names: list[str], partitions: dict[str, Partition]) -> list[Partition]:
    """The partitions of these names, each once; without a name, the default one.

    Raises `CrossoverError` if SLURM has no partition of a name, or no default.
    """
    unknown = [name for name in names if name not in partitions]
    if unknown:
        raise CrossoverError(
            f"PARTITIONS names {unknown[0]!r:.80}: SLURM has {', '.join(partitions)}."
        )
    chosen = [partitions[name] for name in dict.fromkeys(names)]
    chosen = chosen or [partition for partition in partitions.values() if partition.default]
    if not chosen:
        raise CrossoverError(
            f"SLURM has no default partition: give PARTITIONS, of {', '.join(partitions)}."
        )
    return chosen


def queued(prefix: str) -> list[str]:
    """The numbers of this user's waiting or running jobs whose names start with a prefix."""
    answer = _ask("squeue", "--me", "--noheader", "--format=%i %j")
    rows = [line.split(maxsplit=1) for line in answer.splitlines()]
    return [row[0] for row in rows if len(row) == 2 and row[1].startswith(prefix)]


def _ask(*command: str) -> str:
    """What one of SLURM's commands prints."""
    if shutil.which(command[0]) is None:
        raise SlurmError(
            f"PROFILE=slurm needs SLURM's {command[0]}: run this on the cluster's login node."
        )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except subprocess.SubprocessError as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        raise SlurmError(
            f"SLURM's {command[0]} failed ({said[-1]}): check that its controller runs."
        ) from None
    return done.stdout
