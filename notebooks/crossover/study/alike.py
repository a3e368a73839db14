"""Whether a study may be gone on with here: on the same machine, in the same environment."""

from collections.abc import Iterable, Mapping, Sequence

from crossover.errors import CrossoverError
from crossover.hardware.cgroup import binding
from crossover.records.frame import MixedTrialsError, check_comparable, machine_label, processor
from crossover.records.parameters import SweepParameters
from crossover.records.record import Machine, Measured, Record
from crossover.records.storage import record_name
from crossover.records.unusual import environment_text
from crossover.study.study import Study, sweep_device
from crossover.training.plan import own_records
from crossover.words import counted

NAMED = 5


class UnlikeError(CrossoverError):
    """A study was begun on another machine, or in another environment."""


def check_alike(
    study: Study,
    recorded: Sequence[Record | Measured],
    machine: Machine,
    environment: Mapping[str, str],
    versions: Mapping[str, str | None],
) -> None:
    """Refuse to add to what was recorded where machine, software or variables are others.

    ``recorded`` is what the study has of its own settings; what earlier versions recorded tells too
    little to be compared. Of the ``machine`` as it is now, a sweep with ``threads`` sees so many
    cores; ``environment`` are the variables that it would heed, and ``versions`` what is installed,
    by its name in `Software`. Raises `UnlikeError`, which names both and what to do.
    """
    here, away = _seen_by(machine, study.threads), f"or move {study.folder} away."
    for one in recorded:
        for name, version in versions.items():
            if version != (then := getattr(one.software, name)):
                package = study.backend if name == "backend" else name
                raise UnlikeError(
                    f"this study was begun with {package} {then}, and {version} is installed: "
                    f"install that version again, {away}"
                )
        if one.environment is None:
            continue
        if processor(one.machine) != processor(here):
            raise UnlikeError(
                f"this study was begun on {_label(one.machine)}, and this is {_label(here)}: "
                f"go on there, {away}"
            )
        if one.environment != environment:
            then, now = environment_text(one.environment), environment_text(environment)
            raise UnlikeError(
                f"this study was begun with other variables ({then}) than there are now ({now}): "
                f"set them as they were, {away}"
            )


def check_room(study: Study, own: Sequence[Record], missing: Iterable[SweepParameters]) -> None:
    """Refuse a study that could never be completed where it lies.

    ``own`` are the study's trials, of one machine, and ``missing`` the sweeps that these lack.
    Raises `UnlikeError` if trials of another machine bear the names of missing ones, or the study's
    own differ in software.
    """
    digests = {study.settings(protocol).digest for protocol in study.protocols}
    try:
        check_comparable([record for record in own if record.settings.digest in digests])
    except MixedTrialsError as error:
        raise UnlikeError(
            f"{error} Move those of one of them out of {study.folder}/trials, or all to begin anew."
        ) from None
    taken = [trial for sweep in missing for trial in own_records(sweep, sweep_device(sweep))]
    if taken:
        named = ", ".join(record_name(trial) for trial in taken[:NAMED])
        more = f" and {len(taken) - NAMED} more" if len(taken) > NAMED else ""
        raise UnlikeError(
            f"{counted(len(taken), 'trial')} of this study {'is' if len(taken) == 1 else 'are'} "
            f"another machine's ({machine_label(taken[0].machine)}) than the rest "
            f"({machine_label(own[0].machine)}): move {named}{more} out of "
            f"{study.folder}/trials to train them again, or all trials to begin anew."
        )


def _label(machine: Machine) -> str:
    return machine_label(machine.model_copy(update={"gpu_model": None}))


def _seen_by(machine: Machine, threads: int | None) -> Machine:
    """The machine as a sweep with so many threads records it."""
    cores = min(threads or machine.visible_cores or 1, machine.visible_cores or 1)
    quota = binding(machine.cpu_quota, cores)
    return machine.model_copy(update={"visible_cores": cores, "cpu_quota": quota})
