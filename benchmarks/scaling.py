"""How long studies over 10, 100 and 1,000 machines take, and what limits them: a simulation.

Two questions, answered by discrete events over recorded times:

- *machines*: each machine trains a whole study of its own, one job a sweep;
- *nodes*: one study of 100,000 trials is spread over that many like nodes.

The last columns say by how much a study would be shorter if one thing took no time at all.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import simpy
import yaml

from crossover.paths import PROFILES, PUBLISHED, REFERENCES
from crossover.problem import WIDTHS
from crossover.records.record import Record
from crossover.records.reference import read_reference
from crossover.study.planner import TRAIN, jobs_of
from crossover.study.study import Study

MEASURED = Path(__file__).with_name("measured.json")
REPEATS, LARGE_REPEATS = 5, 2778
LONGEST_POLL_SECONDS, POLL_STEP_SECONDS = 180, 10  # The executor's own back-off.


@dataclass(frozen=True)
class Costs:
    """Seconds of everything but the trainings."""

    submit: float
    start: float
    imports: float
    poll: float
    plan_a_trial: float
    merge_a_trial: float
    report: float


@dataclass(frozen=True)
class Outcome:
    """When a simulated study ended, in seconds from its command."""

    seconds: float
    trained: float


def simulate(jobs: list[tuple[int, float]], nodes: list[int], trials: int, costs: Costs) -> Outcome:
    """Run jobs of (kind of node, seconds of training) on ``nodes`` of each kind."""
    world = simpy.Environment(initial_time=trials * costs.plan_a_trial)
    kinds = [simpy.Resource(world, capacity=count) for count in nodes]
    queue = simpy.Resource(world, capacity=_profile()["jobs"])
    ended: list[float] = []
    noticed = [world.event() for _ in jobs]

    def job(kind: int, seconds: float, done: simpy.Event) -> Iterator[simpy.Event]:
        with kinds[kind].request() as node:
            yield node
            yield world.timeout(costs.start + costs.imports + seconds)
        ended.append(world.now)
        waiting.append(done)

    def submit() -> Iterator[simpy.Event]:
        for (kind, seconds), done in zip(jobs, noticed, strict=True):
            place = queue.request()
            yield place
            yield world.timeout(costs.submit)
            done.callbacks.append(lambda _, place=place: queue.release(place))
            world.process(job(kind, seconds, done))

    def poll() -> Iterator[simpy.Event]:
        pause, left = costs.poll, len(jobs)
        while left:
            yield world.timeout(pause if costs.poll else 1)
            left -= len(waiting)
            pause = costs.poll if waiting else min(pause + POLL_STEP_SECONDS, LONGEST_POLL_SECONDS)
            for done in waiting:
                done.succeed()
            waiting.clear()

    waiting: list[simpy.Event] = []
    world.process(submit())
    world.run(until=world.process(poll()))
    return Outcome(world.now + trials * costs.merge_a_trial + costs.report, max(ended))


def sweeps(repeats: int, records: list[Record]) -> list[float]:
    """Seconds of training of each of a study's sweeps, in running order."""
    study = Study(
        folder="simulated", widths=[*WIDTHS], devices=["cpu", "gpu"],
        protocols=["published", "tuned"], repeats=repeats,
    )  # fmt: skip
    named = {str(number): sweep for number, sweep in enumerate(study.sweeps())}
    return [job.timed_seconds for job in jobs_of(study, TRAIN, named, records)]


def limits(
    jobs: list[tuple[int, float]], nodes: list[int], trials: int, costs: Costs
) -> dict[str, object]:
    """Simulate one study, and again with each cost in turn set to nothing."""
    full = simulate(jobs, nodes, trials, costs)
    without = {
        "polling": replace(costs, poll=0),
        "submission": replace(costs, submit=0),
        "job start": replace(costs, start=0),
        "imports": replace(costs, imports=0),
        "planning": replace(costs, plan_a_trial=0),
        "merging": replace(costs, merge_a_trial=0, report=0),
    }
    shorter = {
        name: f"{full.seconds - simulate(jobs, nodes, trials, free).seconds:,.0f}"
        for name, free in without.items()
    }
    training = sum(seconds for _, seconds in jobs) / sum(nodes)
    return {
        "jobs": len(jobs), "trials": trials, "training s a node": f"{training:,.0f}",
        "study s": f"{full.seconds:,.0f}", **shorter,
    }  # fmt: skip


def _profile() -> dict[str, int]:
    """The SLURM profile: jobs in the queue at once, seconds between looks at it."""
    profile: dict[str, int] = yaml.safe_load((PROFILES / "slurm/config.yaml").read_text())
    return profile


def inputs() -> tuple[list[Record], Costs]:
    """Read the recorded and measured times, and print each with its source."""
    records: list[Record] = []
    for path in sorted(REFERENCES.glob("*.jsonl")):
        read = [r for r in read_reference(path).records if r.settings.threads is None]
        print(f"trainings: {len(read)} trials of {path.name}")
        records += read
    devices = {record.device for record in records}
    for device in {"cpu", "gpu"} - devices:
        print(f"trainings: {device.upper()} seconds of {PUBLISHED.name}, as no reference has any")
    measured = json.loads(MEASURED.read_text())
    imports = [r.phases.runtime_start + r.phases.data + r.phases.warm_up for r in records]
    if imports:
        value, source = pd.Series(imports).median(), "median of the trials above"
        measured["imports"] = {"seconds": value, "source": source}
    measured["poll"] = {
        "seconds": _profile()["slurm-init-seconds-before-status-checks"],
        "source": "workflow/profiles/slurm",
    }
    for name, entry in measured.items():
        print(f"{name}: {entry['seconds']:.4g} s ({entry['source']})")
    return records, Costs(**{name: e["seconds"] for name, e in measured.items()})


def main() -> None:
    """Print both tables."""
    records, costs = inputs()
    one, large = sweeps(REPEATS, records), sweeps(LARGE_REPEATS, records)
    machines, nodes = [], []
    for count in (10, 100, 1000):
        jobs = [(machine, seconds) for seconds in one for machine in range(count)]
        trials = len(jobs) * len(WIDTHS)
        machines.append({"machines": count} | limits(jobs, [1] * count, trials, costs))
        spread = [(0, seconds) for seconds in large]
        nodes.append({"nodes": count} | limits(spread, [count], len(large) * len(WIDTHS), costs))
    print(f"\nA study of {REPEATS} repeats on each of many machines; seconds saved without:")
    print(pd.DataFrame(machines).to_string(index=False))
    print("\nOne study of 100,000 trials over many like nodes; seconds saved without:")
    print(pd.DataFrame(nodes).to_string(index=False))


if __name__ == "__main__":
    main()
