"""Crossovers of every comparison that a frame of trials allows, in seconds and in joules."""

from collections.abc import Iterator, Sequence

import pandas as pd

from crossover.analysis.crossing import Crossover, find_crossover
from crossover.analysis.summary import refuse_mixed_settings


def crossovers(trials: pd.DataFrame, pairs: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Find the crossover of each machine and of each pair (CPU machine, GPU machine).

    One row for each comparison and timing: ``cpu_machine``, ``gpu_machine``, ``backend``,
    ``protocol``, ``timing``, the fields of `crossover.analysis.crossing.Crossover`, the ``level``
    of its interval, and in words its ``spread`` and the whole ``sentence``. Raises `ValueError` if
    one curve mixes settings, or a pair names a machine without trials.
    """
    refuse_mixed_settings(trials)
    machines = list(dict.fromkeys(trials["machine"]))
    unknown = {name for pair in pairs for name in pair} - set(machines)
    if unknown:
        raise ValueError(f"no trials of {sorted(unknown)}; the machines are {machines}")
    wanted = [*((machine, machine) for machine in machines), *pairs]
    devices = dict(iter(trials.groupby(["machine", "device"])))
    rows: list[dict[str, object]] = []
    for cpu_machine, gpu_machine in wanted:
        cpu = devices.get((cpu_machine, "cpu"), trials.iloc[:0])
        gpu = devices.get((gpu_machine, "gpu"), trials.iloc[:0])
        names = {"cpu_machine": cpu_machine, "gpu_machine": gpu_machine}
        rows += [names | row for row in _compare(cpu, gpu)]
    return pd.DataFrame(rows)


def crossing_numbers(crossings: pd.DataFrame) -> pd.DataFrame:
    """Crossovers as a file holds them: without the ratios that they were read off."""
    return crossings.drop(columns="ratio")


def _compare(cpu: pd.DataFrame, gpu: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield one row for each backend, protocol and timing of two devices' trials."""
    keys = ["backend", "protocol"]
    for backend, protocol in pd.concat([cpu[keys], gpu[keys]]).drop_duplicates().to_numpy():
        for timing in ["cold", "steady"]:
            curves = [
                timed(frame[(frame[keys] == [backend, protocol]).all(axis=1)], f"{timing}_seconds")
                for frame in (cpu, gpu)
            ]
            result = find_crossover(*curves)
            named = {"backend": backend, "protocol": protocol, "timing": timing}
            words = {"spread": result.spread(), "sentence": result.describe()}
            yield {**named, **vars(result), "level": result.level, **words}


def timed(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """Trials as `find_crossover` takes them, their known values of one column as seconds."""
    times = trials[["parameters", "repeat", column]].dropna()
    return times.set_axis(["parameters", "repeat", "seconds"], axis=1).astype(float)


def joules_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials with ``joules``: what the CPU, and on the GPU the card too, used during the fit.

    The joules are NaN where a part is unknown: a card's energy alone is not that of a training,
    whose CPU never sleeps. A fit that ended before its counter ticked is unknown too.
    """
    card = trials["card_joules"].where(trials["device"] == "gpu", 0.0)
    joules = trials["cpu_joules"] + card
    return trials.assign(joules=joules.where(joules > 0))


def energy_crossover(trials: pd.DataFrame, protocol: str) -> Crossover:
    """Find the size at which both devices' trainings need the same energy, on one machine."""
    rows = joules_of(trials[trials["protocol"] == protocol])
    cpu, gpu = (timed(rows[rows["device"] == device], "joules") for device in ("cpu", "gpu"))
    return find_crossover(cpu, gpu)
