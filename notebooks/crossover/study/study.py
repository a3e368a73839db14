"""A study: all sweeps that belong together, and which of them are missing."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from crossover.analysis.machines import own_settings, study_trials
from crossover.errors import CrossoverError
from crossover.problem import BATCH_SIZE, EPOCHS, EXPLAINED_WIDTHS
from crossover.records.backends import DEFAULT_BACKEND
from crossover.records.ceilings import ceilings_name, find_ceilings
from crossover.records.parameters import SweepParameters, Widths, parse_parameters, split_words
from crossover.records.record import Record
from crossover.records.rounds import missing_widths
from crossover.records.settings import (
    Backend,
    BatchSize,
    Device,
    Epochs,
    Frozen,
    Protocol,
    Repeat,
    Settings,
    Threads,
    protocol_settings,
)
from crossover.records.storage import read_records
from crossover.training.estimate import Estimate, balanced

Change = dict[str, int]
# What all trials of a study share, of whichever protocol.
SHARED = {"backend", "epochs", "batch_size", "threads"}


class SeedError(CrossoverError):
    """Trials of the same study were trained from another seed."""


# A cluster's word for a group of like nodes; it names a folder here.
Partition = Annotated[str, Field(pattern=r"^([A-Za-z0-9][\w.-]{0,62})?$")]


class Study(Frozen):
    """The settings of a study, as ``make report`` takes them.

    ``changes`` are variants of these settings, each trained in its own sweeps. ``shards`` splits
    each sweep by width into that many jobs; ``partition`` names the part of a cluster whose nodes,
    of ``cores`` CPU cores each, train this study's trials.
    """

    folder: str
    widths: Annotated[Widths, Field(min_length=1)]
    devices: Annotated[list[Device], BeforeValidator(split_words), Field(max_length=2)]
    protocols: Annotated[list[Protocol], BeforeValidator(split_words), Field(min_length=1)]
    repeats: Repeat = 1
    epochs: Epochs = EPOCHS
    batch_size: BatchSize = BATCH_SIZE
    backend: Backend = DEFAULT_BACKEND
    threads: Threads | None = None
    seed: int = 777
    changes: Annotated[list[Change], Field(min_length=1, default_factory=lambda: [{}])]
    shards: Annotated[int, Field(ge=1, le=64)] = 1
    partition: Partition = ""
    cores: Annotated[int, Field(ge=1)] = 1

    @field_validator("devices", "protocols")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names):
            raise ValueError("each may stand once")
        return names

    @property
    def trials(self) -> Path:
        """The folder of the trial records, one a partition: its nodes are another machine."""
        return Path(self.folder) / "trials" / self.partition

    @property
    def trial_count(self) -> int:
        """The trials of the whole study."""
        return sum(len(sweep.widths) for sweep in self.sweeps())

    @property
    def ceilings(self) -> Path:
        """The folder of the ceilings records, beside the trials."""
        return Path(self.folder) / "ceilings" / self.partition

    def missing_ceilings(self) -> dict[str, SweepParameters]:
        """What is not measured of the devices' ceilings, by the name of the executed notebook.

        The widths come in the order of worth: first those at which the report takes a step apart. A
        record that cannot be read, or is of another machine or software than the study's trials, is
        named by the report and left as it is.
        """
        missing: dict[str, SweepParameters] = {}
        for device in self.devices:
            path = self.ceilings / ceilings_name(
                self.backend, device, self.batch_size, self.threads
            )
            widths = self.widths
            if path.exists():
                measured = find_ceilings(path)
                widths = [width for width in widths if measured and measured.at(width) is None]
            if widths:
                ordered = sorted(set(widths), key=lambda w: (w not in EXPLAINED_WIDTHS, w))
                missing[self._named(f"ceilings-{path.stem}")] = self.ceilings_sweep(device, ordered)
        return missing

    def ceilings_sweep(self, device: Device, widths: list[int]) -> SweepParameters:
        """What measures a device's ceilings at some widths, in their order."""
        sweep = self._sweep(device, "published", 1, {"output": str(self.ceilings.resolve())})
        return sweep.model_copy(update={"widths": widths})

    @property
    def rounds(self) -> Path:
        """The folder of the rounds records, beside the trials."""
        return Path(self.folder) / "rounds" / self.partition

    def missing_rounds(self, wanted: list[int]) -> dict[str, SweepParameters]:
        """The trainings in turns at some widths that have no record, by the notebook's name.

        Records that cannot be read are named by the report and left as they are.
        """
        missing: dict[str, SweepParameters] = {}
        for device in self.devices:
            if widths := missing_widths(self.rounds_sweep(device, wanted), device):
                kind = self.backend, device, self.batch_size, self.threads
                name = Path(ceilings_name(*kind)).stem
                missing[self._named(f"rounds-{name}")] = self.rounds_sweep(device, widths)
        return missing

    def rounds_sweep(self, device: Device, widths: list[int]) -> SweepParameters:
        """What trains in turns on a device at some widths, in their order."""
        sweep = self._sweep(device, "published", 1, {"output": str(self.rounds.resolve())})
        return sweep.model_copy(update={"widths": widths})

    def settings(self, protocol: Protocol) -> Settings:
        """The settings that all trials of one protocol share."""
        return protocol_settings(protocol, **self.model_dump(include=SHARED))

    def recorded(self) -> list[Record]:
        """Its own trials that are recorded."""
        return self.own(read_records(self.trials).records)

    def own(self, records: list[Record]) -> list[Record]:
        """The trials of its folder that belong to this study, as the report counts them."""
        return study_trials(records, own_settings(**self.model_dump(include=SHARED)))

    def sweeps(self) -> Iterator[SweepParameters]:
        """All sweeps in running order: devices alternate, and swap each repeat.

        So do changes, lest a machine that slows down favour the first of them.
        """
        for repeat in range(1, self.repeats + 1):
            turn = slice(None, None, 1 if repeat % 2 else -1)
            devices, changes = self.devices[turn], self.changes[turn]
            for protocol, change in itertools.product(self.protocols, changes):
                for device in devices:
                    yield self._sweep(device, protocol, repeat, change)

    def _sweep(
        self,
        device: Device,
        protocol: Protocol,
        repeat: int,
        change: dict[str, int] | dict[str, str],
    ) -> SweepParameters:
        own = {"device": device, "protocol": protocol, "repeat": repeat, "seed": self.seed}
        places = {"widths": sorted(set(self.widths)), "output": str(self.trials.resolve())}
        return parse_parameters(self.model_dump(include=SHARED) | own | places | change)

    def check_seed(self, records: list[Record]) -> None:
        """Raise ``SeedError`` where a trial of these settings began from another seed.

        A trial is told by its repeat, which has a seed of its own: a second seed for the same
        repeat would have to replace what was measured.
        """
        first = itertools.takewhile(lambda sweep: sweep.repeat == 1, self.sweeps())
        own = {sweep.settings.digest for sweep in first}
        for record in records:
            began = record.seed - record.repeat + 1
            if began != self.seed and record.settings.digest in own:
                raise SeedError(
                    f"SEED is {self.seed}, but trials of this study began from {began}: leave SEED "
                    f"at {began} and give more REPEATS, or move {self.trials} away."
                )

    def missing(self, records: list[Record]) -> dict[str, SweepParameters]:
        """Sweeps with trials that have no record, by name, with just those widths."""
        done = {(r.settings.digest, r.device, r.repeat, r.width) for r in records}
        estimate = Estimate(records)
        missing: dict[str, SweepParameters] = {}
        for sweep in self.sweeps():
            settings = sweep.settings
            key = (settings.digest, sweep.device, sweep.repeat)
            widths = [width for width in sweep.widths if (*key, width) not in done]
            seconds = partial(estimate.seconds, settings, sweep_device(sweep))
            for part in balanced(widths, seconds, self.shards):
                what = f"{sweep.protocol}-{sweep.device}-r{sweep.repeat}"
                name = f"{what}-w{'_'.join(map(str, part))}-{settings.digest}"
                missing[self._named(name)] = sweep.model_copy(update={"widths": part})
        return missing

    def _named(self, name: str) -> str:
        """A notebook's name, told apart from the other partitions'."""
        return f"{self.partition}-{name}" if self.partition else name


def sweep_device(sweep: SweepParameters) -> Device:
    """The device of a planned sweep, which is never 'auto'."""
    return "gpu" if sweep.device == "gpu" else "cpu"
