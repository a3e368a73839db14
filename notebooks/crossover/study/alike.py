"""Whether a study may be gone on with here: on the same machine, in the same environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crossover.hardware.cgroup import binding
from crossover.records.frame import machine_label, processor
from crossover.records.limits import Limits
from crossover.records.record import Machine, Record
from crossover.records.unusual import environment_text
from crossover.study.study import Study


class UnlikeError(ValueError):
    """A study was begun on another machine, or in another environment."""


def check_alike(
    study: Study,
    recorded: Sequence[Record | Limits],
    machine: Machine,
    environment: Mapping[str, str],
) -> None:
    """Refuse to add to what was recorded where the machine or its variables are others.

    What earlier versions recorded tells too little to be compared.

    Parameters
    ----------
    recorded : sequence of Record or Limits
        What the study has of its own settings.
    machine : Machine
        As it is now; a sweep with ``threads`` sees so many cores of it.
    environment : mapping
        The variables that a sweep would heed.

    Raises
    ------
    UnlikeError
        Names both, and what to do.
    """
    here = _seen_by(machine, study.threads)
    for known in recorded:
        if known.environment is None:
            continue
        if processor(known.machine) != processor(here):
            raise UnlikeError(
                f"this study was begun on {_label(known.machine)}, and this is {_label(here)}: "
                f"go on there, or move {study.folder} away."
            )
        if known.environment != dict(environment):
            then, now = environment_text(known.environment), environment_text(environment)
            raise UnlikeError(
                f"this study was begun with other variables ({then}) than there are now ({now}): "
                f"set them as they were, or move {study.folder} away."
            )


def _label(machine: Machine) -> str:
    return machine_label(machine.model_copy(update={"gpu_model": None}))


def _seen_by(machine: Machine, threads: int | None) -> Machine:
    """The machine as a sweep with so many threads records it."""
    cores = min(threads or machine.visible_cores or 1, machine.visible_cores or 1)
    quota = binding(machine.cpu_quota, cores)
    return machine.model_copy(update={"visible_cores": cores, "cpu_quota": quota})
