"""The repeats of a model of the reader's own on one device, each in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.hardware.device import start_device
from crossover.hardware.environment import prepare_process
from crossover.paths import NOTEBOOKS
from crossover.records.own import BATCHES, OUT_OF_MEMORY, OwnRun, find_own, own_name, write_own
from crossover.records.own_parameters import ModelFileError, OwnParameters, file_digest
from crossover.records.settings import Device
from crossover.training.memory import lacks_memory, most_memory
from crossover.training.progress import LINE_EVERY_SECONDS, clock_text

# A line of a repeat's process that says what it is about to do.
STAGE = "stage: "
# Processes that the system ends for want of memory end so; a shell tells it as the second.
KILLED = (-int(getattr(signal, "SIGKILL", 9)), 137)


def measure_repeats(asked: OwnParameters, device: Device) -> Iterator[OwnRun]:
    """Measure each repeat that has no record, in order; yield all, those recorded before too.

    Raises `CrossoverError`, which says in one sentence what is wrong with the model, or that it
    needs more memory than there is.
    """
    digest = file_digest(asked.file)
    begun, taken, below = time.monotonic(), 0, None
    for number in range(1, asked.repeats + 1):
        path = asked.folder / own_name(asked, device, number, digest)
        run = find_own(path)
        if run is None:
            run = _measured(asked, device, number, path, below)
            taken += 1
            left = (time.monotonic() - begun) / taken * (asked.repeats - number)
            print(f"repeat {number}/{asked.repeats}  {_told(run)}  {clock_text(left)} left",
                  flush=True)  # fmt: skip
        too_large = [one.batch_size for one in run.batches if OUT_OF_MEMORY in (one.missing or "")]
        below = min(too_large, default=None)
        yield run


def _told(run: OwnRun) -> str:
    """A repeat's steps in a few words."""
    return ", ".join(
        f"{one.batch_size}: {one.step_seconds * 1e3:.3g} ms"
        for one in run.batches
        if one.step_seconds
    )


def _measured(
    asked: OwnParameters, device: Device, number: int, path: Path, below: int | None
) -> OwnRun:
    """One repeat in a process of its own, and once more for each batch size that ended it."""
    while True:
        code, stage, said = _process(asked, device, number, below)
        run = find_own(path)
        if code == 0 and run is not None:
            return run
        if told := re.findall(r"^crossover: (.+)$", said, re.MULTILINE):
            raise CrossoverError(told[-1], abs(code))
        if code not in KILLED and not lacks_memory(said):
            last = said.strip().splitlines()[-1:] or ["it said nothing"]
            raise ModelFileError(
                f"{asked.file.name}: its process ended with code {code} at '{stage}': "
                f"{last[0]:.200}"
            )
        size = int(stage.removeprefix(BATCHES)) if stage.startswith(BATCHES) else 0
        if size <= asked.batch_size or size == below:
            raise ModelFileError(
                f"{asked.file.name} needs more memory than there is "
                f"({most_memory() / 1e9:.1f} GB): the system ended its process at '{stage}'; give "
                f"a smaller model{' or BATCH_SIZE' if size else ''}."
            )
        print(f"Batches of {size} are more than memory holds: left out.", flush=True)
        below = size


def _process(
    asked: OwnParameters, device: Device, number: int, below: int | None
) -> tuple[int, str, str]:
    """Run one repeat; its exit code, the stage that it had come to, and what it said of errors."""
    words = [f"ASKED={asked.model_dump_json()}", f"DEVICE={device}", f"REPEAT={number}"]
    words += [f"BELOW={below}"] if below else []
    paths = [str(NOTEBOOKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    stage, said = "starting", time.monotonic()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-u", "-m", "crossover", "repeat", *words],
            stdout=subprocess.PIPE, stderr=errors, env=environment, text=True, errors="replace",
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(STAGE):
                    stage = line.removeprefix(STAGE).strip()
                    if time.monotonic() - said > LINE_EVERY_SECONDS:
                        print(f"repeat {number}/{asked.repeats}  {stage}", flush=True)
                        said = time.monotonic()
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        return code, stage, errors.read().decode(errors="replace")


def repeat(_: str, words: list[str]) -> int:
    """Measure one repeat in this process and write its record: what `measure_repeats` starts."""
    given = assigned(words, ["ASKED", "DEVICE", "REPEAT", "BELOW"])
    asked = OwnParameters.model_validate_json(given["ASKED"])
    device: Device = "gpu" if given["DEVICE"] == "gpu" else "cpu"
    number = int(given["REPEAT"])
    with suppress(OSError):  # Where memory runs out, this process goes first, and not the notebook.
        Path("/proc/self/oom_score_adj").write_text("1000")
    prepare_process(asked.backend, device, asked.threads)
    device_name = start_device(asked.backend, device)
    from crossover.training.own_run import Repeat  # A framework is imported once it is prepared.

    below = int(given["BELOW"]) if "BELOW" in given else None
    measured = Repeat(asked, device, device_name, number, below, lambda text: print(STAGE + text))
    write_own(asked.folder / own_name(asked, device, number), measured.record())
    return 0
