"""The repeats of a model of the reader's own on one device, each in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.hardware.device import start_device
from crossover.hardware.environment import prepare_process
from crossover.paths import NOTEBOOKS
from crossover.records.own import BATCHES, OUT_OF_MEMORY, OwnRun, find_own, own_name, write_own
from crossover.records.own_parameters import (
    ModelFileError,
    OwnParameters,
    RepeatOrder,
    file_digest,
)
from crossover.records.settings import Device
from crossover.training.memory import lacks_memory, most_memory
from crossover.training.progress import LINE_EVERY_SECONDS, clock_text

# A line of a repeat's process that says what it is about to do.
STAGE = "stage: "
# Processes that the system ends for want of memory end so; a shell tells it as the second.
KILLED = (-int(getattr(signal, "SIGKILL", 9)), 137)


def measure_repeats(asked: OwnParameters, device: Device) -> Iterator[OwnRun]:
    """Measure each repeat that has no record, in order; yield all, those recorded before too.

    Which batch sizes take part the first repeat decides. Raises `CrossoverError`, which says in one
    sentence what is wrong with the model, or that it needs more memory than there is.
    """
    order = RepeatOrder(asked=asked, device=device, number=1, digest=file_digest(asked.file),
                        left_out={}, decided=False)  # fmt: skip
    begun, taken = time.monotonic(), 0
    for number in range(1, asked.repeats + 1):
        run = find_own(path_of(order := order.model_copy(update={"number": number})))
        if run is None:
            run = _measured(order)
            taken += 1
            left = clock_text((time.monotonic() - begun) / taken * (asked.repeats - number))
            print(f"repeat {number}/{asked.repeats}  {_told(run)}  {left} left", flush=True)
        if not order.decided:
            missing = {one.batch_size: one.missing for one in run.batches if one.missing}
            order = order.model_copy(update={"left_out": missing, "decided": True})
        yield run


def path_of(order: RepeatOrder) -> Path:
    """Where the record of a repeat lies."""
    name = own_name(order.asked, order.device, order.number, order.digest)
    return order.asked.folder / name


def _told(run: OwnRun) -> str:
    """A repeat's steps in a few words."""
    return ", ".join(
        f"{one.batch_size}: {one.step_seconds * 1e3:.3g} ms"
        for one in run.batches
        if one.step_seconds
    )


def _measured(order: RepeatOrder) -> OwnRun:
    """One repeat in a process of its own.

    Where the system ends that, it is begun again. A batch size at which it is ended twice is more
    than memory holds, and left out.
    """
    asked, ended = order.asked, ""
    while True:
        code, stage, said = _process(order)
        run = find_own(path_of(order))
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
        if stage != ended:
            print(f"The process was ended at '{stage}': once more.", flush=True)
            ended = stage
            continue
        size = int(stage.removeprefix(BATCHES)) if stage.startswith(BATCHES) else 0
        if size <= asked.batch_size:
            raise ModelFileError(
                f"{asked.file.name}: its process was ended twice at '{stage}', as the system ends "
                f"one that needs more memory than there is ({most_memory() / 1e9:.1f} GB): give a "
                "smaller model or BATCH_SIZE."
            )
        print(f"Batches of {size} are more than memory holds: left out.", flush=True)
        why = f"{OUT_OF_MEMORY}: the system ended the process that tried it"
        order = order.model_copy(update={"left_out": order.left_out | {size: why}})


def _process(order: RepeatOrder) -> tuple[int, str, str]:
    """Run one repeat; its exit code, the stage that it had come to, and what it said of errors."""
    words, place = (
        f"ORDER={order.model_dump_json()}",
        f"repeat {order.number}/{order.asked.repeats}",
    )
    paths = [str(NOTEBOOKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    stage, said = "starting", time.monotonic()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [sys.executable, "-u", "-m", "crossover", "repeat", words],
            stdout=subprocess.PIPE, stderr=errors, env=environment, text=True, errors="replace",
        ) as process,
    ):  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(STAGE):
                    stage = line.removeprefix(STAGE).strip()
                    if time.monotonic() - said > LINE_EVERY_SECONDS:
                        print(f"{place}  {stage}", flush=True)
                        said = time.monotonic()
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        return code, stage, errors.read().decode(errors="replace")


def repeat(_: str, words: list[str]) -> int:
    """Measure one repeat in this process and write its record: what `measure_repeats` starts.

    It runs in the folder of the model's file, which may read what lies beside it.
    """
    order = RepeatOrder.model_validate_json(assigned(words, ["ORDER"])["ORDER"])
    asked, path = order.asked, path_of(order).absolute()
    with suppress(OSError):  # Where memory runs out, this process goes first, and not the notebook.
        Path("/proc/self/oom_score_adj").write_text("1000")
    prepare_process(asked.backend, order.device, asked.threads)
    device_name = start_device(asked.backend, order.device)
    from crossover.training.own_file import said_of  # A framework is imported once it is prepared.
    from crossover.training.own_run import Repeat

    os.chdir(asked.file.parent)
    try:
        run = Repeat(order, device_name, lambda text: print(STAGE + text)).record()
    except CrossoverError:
        raise
    except Exception as error:  # What a model of somebody's own may raise has no class in common.
        traceback.print_exc()
        raise ModelFileError(f"{asked.file.name} cannot be measured: {said_of(error)}") from None
    write_own(path, run)
    return 0
