"""The trial record: the schema of everything that one training leaves behind."""

import statistics
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from crossover.problem import parameter_count
from crossover.records.settings import (
    Backend,
    BatchSize,
    Device,
    Frozen,
    Precision,
    Repeat,
    Settings,
    Threads,
    Width,
)

Seconds = Annotated[float, Field(ge=0, le=1e7)]
Duration = Annotated[float, Field(ge=1e-6, le=1e7)]
Joules = Annotated[float, Field(ge=0, le=1e15)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=-1e15, le=1e15)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Megahertz = Annotated[float, Field(ge=0, le=1e6)]


def _only_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds control characters")
    return text


Text = Annotated[str, Field(max_length=200), AfterValidator(_only_printable)]
# Variables of the environment that a trial heeded and that are not the default, by name.
Environment = Annotated[dict[Text, Text], Field(max_length=100)]


class Machine(Frozen):
    """The hardware and the operating system; None is unknown or absent.

    ``cpu_generation`` is the microarchitecture, for one name of a CPU may stand for several:
    ``cpu_family``, ``cpu_number`` and ``cpu_stepping`` are the processor's own numbers for it.
    ``cpu_quota`` are the cores, and ``memory_limit_bytes`` the memory, that a container grants.
    ``cpu_driver`` is what sets the clocks, between ``cpu_mhz_min`` and ``cpu_mhz_max``;
    ``cpu_boost`` and ``smt`` say whether cores may run above their nominal clock, and two threads
    share one.
    """

    cpu_model: Text | None = None
    cpu_generation: Text | None = None
    cpu_family: Count | None = None
    cpu_number: Count | None = None
    cpu_stepping: Count | None = None
    physical_cores: Count | None = None
    logical_cores: Count | None = None
    visible_cores: Count | None = None
    numa_nodes: Count | None = None
    smt: bool | None = None
    cpu_driver: Text | None = None
    cpu_mhz_min: Megahertz | None = None
    cpu_mhz_max: Megahertz | None = None
    cpu_boost: bool | None = None
    cpu_quota: Annotated[float, Field(gt=0, le=1e6)] | None = None
    memory_bytes: Count | None = None
    memory_limit_bytes: Count | None = None
    gpu_model: Text | None = None
    gpu_driver: Text | None = None
    gpu_memory_bytes: Count | None = None
    gpu_power_limit_watts: Annotated[float, Field(ge=0, le=1e6)] | None = None
    operating_system: Text | None = None
    kernel: Text | None = None


class Software(Frozen):
    """Versions of what the trial ran on, and its threads; None is unknown or absent.

    ``pools`` are the threads that each of the backend's pools on the CPU has, counted in the
    process; ``threads`` those that multiply on the CPU. CUDA is a GPU's: a trial on the CPU has
    none, whatever its backend was built for.
    """

    python: Text | None = None
    backend: Text | None = None
    keras: Text | None = None
    numpy: Text | None = None
    cuda: Text | None = None
    cudnn: Text | None = None
    threads: Count | None = None
    pools: Annotated[dict[Text, Count], Field(max_length=16)] | None = None


class PhaseJoules(Frozen):
    """Energy of a trial's phases, from the hardware's own counters; None is unknown."""

    build: Joules | None = None
    fit: Joules | None = None
    evaluate: Joules | None = None


class Conditions(Frozen):
    """The state of the machine around a trial.

    ``steal_fraction`` and ``foreign_fraction`` are shares of the capacity of all visible cores that
    the hypervisor, or other processes, took while the trial ran. A card's clocks and throttle
    reasons are read before the trial and at the end of its fit; its ``_fraction`` are the shares of
    the time between in which power or heat held the clocks down, by the driver's counters.
    ``cpu_throttled_fraction`` is the share of the scheduler's periods in which the container's
    quota held the trial back, and ``cpu_throttled_seconds`` for how long, added up over the cores.
    The CPU's clock, the most that it is allowed, and what sets it are read like a card's.
    ``gpu_joules`` is of the whole card, ``cpu_joules`` of all CPU packages, whoever used them; the
    ``_energy_joules`` are their sums.
    """

    load_average_before: Number | None = None
    load_average_after: Number | None = None
    steal_fraction: Number | None = None
    foreign_fraction: Number | None = None
    cpu_throttled_fraction: Fraction | None = None
    cpu_throttled_seconds: Seconds | None = None
    cpu_mhz_before: Megahertz | None = None
    cpu_mhz_after: Megahertz | None = None
    cpu_mhz_limit: Megahertz | None = None
    cpu_governor: Text | None = None
    cpu_preference: Text | None = None
    platform_profile: Text | None = None
    on_battery: bool | None = None
    gpu_clock_mhz_before: Count | None = None
    gpu_clock_mhz_after: Count | None = None
    gpu_throttled: bool | None = None
    gpu_energy_joules: Number | None = None
    cpu_energy_joules: Number | None = None
    gpu_memory_clock_mhz_before: Count | None = None
    gpu_memory_clock_mhz_after: Count | None = None
    gpu_throttle_reasons_before: Text | None = None
    gpu_throttle_reasons_after: Text | None = None
    gpu_power_cap_fraction: Fraction | None = None
    gpu_thermal_fraction: Fraction | None = None
    gpu_joules: PhaseJoules | None = None
    cpu_joules: PhaseJoules | None = None


# What the warm-up trained before records told.
FIRST_WARM_UP_WIDTH = 16


class Phases(Frozen):
    """Wall-clock seconds of each phase; every epoch is kept raw.

    ``runtime_start`` and ``data`` happen once a sweep, ``warm_up`` is the sweep's throw-away
    training; they are repeated in each of its records. ``warm_up_width`` is what that trained; None
    in records of earlier versions, which trained width 16. ``fit`` is what the published study
    timed.
    """

    runtime_start: Seconds
    warm_up: Seconds
    warm_up_width: Width | None = None
    data: Seconds
    build: Seconds
    epochs: Annotated[list[Duration], Field(min_length=1, max_length=10_000)]
    fit: Duration
    evaluate: Seconds


class Code(Frozen):
    """Which code ran: package version, digest of its sources, and Git's view."""

    version: Text
    digest: Text
    commit: Text | None = None
    modified: bool | None = None


class Record(Frozen):
    """One trial: one training of one width on one device, one repeat.

    ``precision`` is what the device's matrix products had, by a product that was tried;
    ``environment`` what the trial heeded of it, see `crossover.hardware.environment`. Both are None
    in records of earlier versions.
    """

    schema_version: Literal[1] = 1
    settings: Settings
    device: Device
    device_name: Text
    width: Width
    parameters: Annotated[int, Field(ge=1)]
    repeat: Repeat
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    position: Annotated[int, Field(ge=1, le=10_000)]
    started: AwareDatetime
    phases: Phases
    test_accuracy: Fraction | None
    test_loss: Annotated[float, Field(ge=0)] | None
    history: Annotated[dict[Text, list[float | None]], Field(max_length=8)]
    precision: Precision | None = None
    environment: Environment | None = None
    machine: Machine
    software: Software
    conditions: Conditions
    code: Code

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """Refuse records whose parts contradict each other."""
        expected = parameter_count(self.width)
        if self.parameters != expected:
            raise ValueError(f"width {self.width} has {expected} parameters, not {self.parameters}")
        if len(self.phases.epochs) != self.settings.epochs:
            raise ValueError(
                f"{len(self.phases.epochs)} epoch times for {self.settings.epochs} epochs"
            )
        if sum(self.phases.epochs) > 1.001 * self.phases.fit:
            raise ValueError("its epochs take longer than the whole fit")
        if any(len(values) != self.settings.epochs for values in self.history.values()):
            raise ValueError("its history has not one value an epoch")
        return self

    @property
    def warmed(self) -> bool:
        """Whether the warm-up had trained the same width, so that less was left to compile."""
        return self.width == (self.phases.warm_up_width or FIRST_WARM_UP_WIDTH)

    @property
    def cold_seconds(self) -> float:
        """Seconds of the whole fit, first epoch included, as published."""
        return self.phases.fit

    @property
    def steady_seconds(self) -> float | None:
        """Median epoch after the first, times the epochs; None for one epoch."""
        later = self.phases.epochs[1:]
        return statistics.median(later) * self.settings.epochs if later else None

    @property
    def start_seconds(self) -> float | None:
        """What the fit costs once: tracing and compiling.

        The first epoch less the median of the later ones, and what lies outside of epochs. None for
        one epoch, and where a warm-up of the same width had paid some of it.
        """
        first, *later = self.phases.epochs
        if not later or self.warmed:
            return None
        outside = max(self.phases.fit - sum(self.phases.epochs), 0.0)
        return outside + max(first - statistics.median(later), 0.0)


class Measured(Frozen):
    """What is measured beside the trials: with which settings, on which machine, and when."""

    backend: Backend
    device: Device
    device_name: Text
    batch_size: BatchSize
    threads: Threads | None
    started: Annotated[datetime, Field(strict=False)]
    environment: Environment | None = None
    machine: Machine
    software: Software
    conditions: Conditions
    code: Code
