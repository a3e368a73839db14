"""``make mine``: the reader's own model on each device there is, the answer, and the report."""

import html
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crossover.analysis.own import own_models
from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.files import check_folder
from crossover.paths import OWN_MODELS, RUNS
from crossover.records.own import read_own, recorded_repeats
from crossover.records.own_parameters import OwnParameters, file_digest
from crossover.records.parameters import (
    ParameterError,
    SummaryParameters,
    built,
    split_words,
)
from crossover.records.settings import Device
from crossover.report.results import read_results
from crossover.report.sections.own_models import Devices
from crossover.study.configuration import present_devices
from crossover.study.run import (
    alone,
    end_left_behind,
    last_study,
    report_last,
    set_aside_unreadable,
)
from crossover.study.workflow import execute, summary_parameters, tell_failures
from crossover.training.progress import clock_text
from crossover.words import counted

SETTINGS = ("MODEL", "BATCH_SIZE", "BACKEND", "REPEATS", "SECONDS", "THREADS", "DEVICES")
# Starting a process and its framework, building, trying four batch sizes, and a short last epoch.
START_SECONDS = 20.0


def mine(_: str, words: list[str]) -> int:
    """Measure a model on each device that has repeats to run, then make the report."""
    given = assigned(words, SETTINGS)
    if "MODEL" not in given:
        raise CrossoverError(
            "MODEL is missing: name a Python file that defines build(), as in "
            "make mine MODEL=examples/perceptron.py"
        )
    asked, devices = parameters_of(given), _devices(given.get("DEVICES", ""))
    with alone():
        return _measure(asked, devices)


def parameters_of(given: Mapping[str, str]) -> OwnParameters:
    """What the settings of a command ask for; `CrossoverError` says which one is wrong."""
    file = Path(given["MODEL"]).expanduser().absolute()
    file_digest(file)
    values: dict[str, Any] = {"model": str(file), "output": str(OWN_MODELS)}
    for name, kind in (("BATCH_SIZE", int), ("REPEATS", int), ("THREADS", int), ("SECONDS", float)):
        if name in given:
            try:
                values[name.lower()] = kind(given[name])
            except ValueError:
                raise ParameterError(f"{name} is {given[name]!r:.80}: give a number.") from None
    if "BACKEND" in given:
        values["backend"] = given["BACKEND"]
    return built(OwnParameters, values)


def _devices(text: str) -> list[Device]:
    """The devices that are named; where none is, those that there are."""
    named = split_words(text)
    if not named:
        return present_devices()
    if not isinstance(named, list) or not set(named) <= {"cpu", "gpu"}:
        raise ParameterError(f'DEVICES is {text!r:.80}: give "cpu", "gpu" or "cpu gpu".')
    return [device for device in ("cpu", "gpu") if device in named]


def _measure(asked: OwnParameters, devices: list[Device]) -> int:
    check_folder(asked.folder)
    set_aside_unreadable(asked.folder, read_own(asked.folder)[1])
    end_left_behind()
    print(*_plan(asked, devices), sep="\n", flush=True)
    codes = [_run(asked, device) for device in devices if _left(asked, device)]
    if not any(recorded_repeats(asked, device) for device in devices):
        return max(codes)
    print(*_answer(asked, devices), sep="\n", flush=True)
    return max([*codes, report_last(RUNS / "main")])


def _answer(asked: OwnParameters, devices: list[Device]) -> Iterator[str]:
    """What the report will say of the model, without its marks."""
    results = read_results(SummaryParameters(**summary_parameters(*last_study(RUNS / "main"))))
    runs = [run for device in devices for run in recorded_repeats(asked, device)]
    for model in own_models(runs):
        first, *rest = Devices(results).lines(model)
        for line in (f"{model.first.model} {first}", *(f"  {line}" for line in rest)):
            yield html.unescape(line.replace("**", ""))


def _left(asked: OwnParameters, device: Device) -> int:
    """The repeats that have no record."""
    return asked.repeats - len(recorded_repeats(asked, device))


def _plan(asked: OwnParameters, devices: list[Device]) -> Iterator[str]:
    left = {device: _left(asked, device) for device in devices}
    told = ", ".join(
        f"{counted(count, 'repeat')} on the {device.upper()}" for device, count in left.items()
    )
    seconds = sum(left.values()) * (asked.seconds + START_SECONDS)
    if not seconds:
        yield f"Your model {asked.name}: all repeats are recorded; nothing to measure."
    else:
        yield f"Your model {asked.name}: {told} to measure; about {clock_text(seconds)} (m:ss)."
    if "gpu" not in devices:
        yield "No GPU: none was found, or DEVICES leaves it out; recorded ones are estimated."


def _run(asked: OwnParameters, device: Device) -> int:
    """Execute the notebook with a device's kernel; say in sentences what failed."""
    kind = f"own-{asked.name}-{asked.backend}-{device}"
    logs, target = RUNS / "main" / "logs", RUNS / "main" / "notebooks" / device / f"{kind}.ipynb"
    logs.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    executed, log = logs / f"{kind}.ipynb", logs / f"{kind}.txt"
    command = [
        *(sys.executable, "-m", "papermill", "notebooks/own.ipynb", str(executed)),
        *("--kernel", f"crossover-{device}", "--cwd", "notebooks"),
        *("--no-progress-bar", "--log-level", "WARNING", "--stdout-file", "-"),
        *("--parameters_yaml", json.dumps(asked.model_dump())),
    ]
    with log.open("w", encoding="utf-8") as messages:
        code = execute(command, messages)
    if code:
        tell_failures(log.read_text(encoding="utf-8", errors="replace"), log)
    else:
        executed.replace(target)
    return code
