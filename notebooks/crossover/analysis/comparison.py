"""Crossovers of every comparison that a frame of trials allows."""

from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd

from crossover.analysis.crossing import find_crossover
from crossover.analysis.summary import refuse_mixed_settings


def crossovers(trials: pd.DataFrame, pairs: list[tuple[str, str]] | None = None) -> pd.DataFrame:
    """Find the crossover of each comparison, for cold and steady times.

    Parameters
    ----------
    pairs : list of (CPU machine, GPU machine), optional
        Comparisons across machines, besides each machine with itself.

    Returns
    -------
    DataFrame
        One row for each comparison and timing: ``cpu_machine``, ``gpu_machine``, ``backend``,
        ``protocol``, ``timing``, the fields of `crossover.analysis.crossing.Crossover`, the
        ``level`` of its interval, and in words its ``spread`` and the whole ``sentence``.

    Raises
    ------
    ValueError
        If one curve mixes settings, or a pair names a machine without trials.
    """
    refuse_mixed_settings(trials)
    machines = list(dict.fromkeys(trials["machine"]))
    unknown = {name for pair in pairs or [] for name in pair} - set(machines)
    if unknown:
        raise ValueError(f"no trials of {sorted(unknown)}; the machines are {machines}")
    wanted = [(machine, machine) for machine in machines] + list(pairs or [])
    devices = {key: group for key, group in trials.groupby(["machine", "device"])}
    rows: list[dict[str, object]] = []
    for cpu_machine, gpu_machine in wanted:
        cpu = devices.get((cpu_machine, "cpu"), trials.iloc[:0])
        gpu = devices.get((gpu_machine, "gpu"), trials.iloc[:0])
        for row in _compare(cpu, gpu):
            rows.append({"cpu_machine": cpu_machine, "gpu_machine": gpu_machine, **row})
    return pd.DataFrame(rows)


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
            yield {**named, **asdict(result), "level": result.level, **words}


def timed(trials: pd.DataFrame, column: str) -> pd.DataFrame:
    """Trials as `find_crossover` takes them, their known values of one column as seconds."""
    times = trials[["parameters", "repeat", column]].dropna()
    return times.set_axis(["parameters", "repeat", "seconds"], axis=1).astype(float)
