"""What of this machine is unusual right now, for the user to read before anything is trained."""

from __future__ import annotations

from crossover.hardware.conditions import watch_conditions
from crossover.hardware.environment import usable_cores
from crossover.hardware.machine import describe_machine
from crossover.hardware.variables import (
    ignored_environment,
    ignored_keras_file,
    recorded_environment,
)
from crossover.records.unusual import announcement


def announce(threads: int | None = None) -> list[str]:
    """At most three lines; one where nothing unusual was found.

    ``threads`` is what the user asked for; None leaves it to the machine.
    """
    with watch_conditions() as watched:
        machine = describe_machine("cpu", "CPU:0")
    told = (recorded_environment(), ignored_environment(), ignored_keras_file())
    lines = announcement(machine, watched.conditions, *told, threads or usable_cores())
    if lines:
        return lines
    unknown = "" if machine.cpu_mhz_max else "; its clocks cannot be read"
    return [f"Nothing unusual was found about this machine{unknown}."]
