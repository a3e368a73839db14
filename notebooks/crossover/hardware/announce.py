"""What of this machine is unusual right now, for the user to read before anything is trained."""

from crossover.hardware.conditions import Watched
from crossover.hardware.environment import usable_cores
from crossover.hardware.variables import (
    ignored_environment,
    ignored_keras_file,
    recorded_environment,
)
from crossover.records.record import Machine
from crossover.records.unusual import announcement


def announce(machine: Machine, threads: int | None = None) -> list[str]:
    """At most three lines; ``threads`` are those that the user asked for, None is all there are."""
    used = threads or usable_cores()
    told = recorded_environment(), ignored_environment(used), ignored_keras_file()
    lines = announcement(machine, Watched().so_far(), *told, used)
    unknown = "" if machine.cpu_mhz_max else "; its clocks cannot be read"
    return lines or [f"Nothing unusual was found about this machine{unknown}."]
