"""A study against the clock: jobs in order of worth, or of a plan, until the time is out."""

import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

from crossover.assignments import assigned
from crossover.errors import CrossoverError
from crossover.files import write_text
from crossover.hardware.machine import describe_machine, installed_versions
from crossover.hardware.variables import recorded_environment
from crossover.paths import NOTEBOOKS
from crossover.records.reference import read_kept, take_up
from crossover.records.storage import read_records
from crossover.study.alike import check_alike
from crossover.study.archive import archived
from crossover.study.configuration import SETTINGS, defaults, study_from, study_settings
from crossover.study.planfile import is_left, read_plan
from crossover.study.planner import START_SECONDS, Job, lacking
from crossover.study.processes import Stopped, stoppable
from crossover.study.study import Study
from crossover.training.estimate import Estimate
from crossover.training.progress import clock_text
from crossover.words import counted

INTERRUPT_SECONDS = 10.0
# What this verb takes beside a study's settings, and the seconds where none are named.
OWN, DEADLINE = ("FOLDER", "SECONDS", "ARCHIVE", "PLAN", "FROM"), "540"
LOG = "log.txt"
# Of a kernel that could not begin, as when another process takes its port first: tried once more.
UNBORN = "Kernel died before replying"
# What papermill and the kernel say, beside what the notebook prints.
ERRORS = ".errors.log"


class Clock:
    """Counts down to the deadline, from when the script was started."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.deadline = now() + seconds

    @property
    def left(self) -> float:
        """Seconds left, 0 when the time is out."""
        return max(0.0, self.deadline - self.now())


def worthwhile(study: Study) -> Iterator[tuple[Job, float]]:
    """What a study lacks, and the least seconds that a job must have: see ``run_jobs``.

    A sweep without a measured one like it is always begun: each of its trials is recorded when it
    ends, so that whatever the deadline cuts off was not in vain.
    """
    for planned in lacking(study, study.recorded(), ("trials", "ceilings", "rounds")):
        job = planned.timed(Estimate(study.recorded()))  # By what has been recorded meanwhile.
        yield job, START_SECONDS if job.guessed else job.seconds


def run_jobs(
    todo: Iterable[tuple[Job, float]], folder: Path, clock: Clock, say: Callable[[str], None]
) -> list[str]:
    """Run jobs one after the other into the notebooks of a folder.

    ``todo`` tells each job, and the seconds that must be left for it to begin, when the job before
    has ended. Returns the names of those that were left out, cut off, or failed.
    """
    left_out = []
    for job, least in todo:
        if clock.left <= least:
            left_out.append(job.name)
            continue
        about = "" if job.guessed else f", about {clock_text(job.seconds)}"
        say(f"{job.name}{about}; {clock_text(clock.left)} left")
        ended = run_job(folder / "notebooks", job, clock.left)
        if not ended and UNBORN in _last_words(folder, job):
            ended = run_job(folder / "notebooks", job, clock.left)
        if not ended:
            say(f"{job.name} did not end{_last_words(folder, job)}; {clock_text(clock.left)} left")
            left_out.append(job.name)
    return left_out


def run_job(folder: Path, job: Job, seconds: float) -> bool:
    """Execute a notebook into a folder for at most so many seconds; whether it finished."""
    folder.mkdir(parents=True, exist_ok=True)
    executed = folder / f"{job.name}.ipynb"
    command = [sys.executable, "-m", "papermill", NOTEBOOKS / job.notebook, executed]
    command += ["--kernel", job.kernel, "--cwd", NOTEBOOKS, "--no-progress-bar"]
    # Not /dev/stdout: opened anew, it would overwrite a log that this is redirected to.
    command += ["--log-level", "WARNING", "--stdout-file", executed.with_suffix(".log")]
    command += ["--parameters_yaml", job.parameters]
    errors = (folder / f"{job.name}{ERRORS}").open("w", encoding="utf-8")
    with errors, subprocess.Popen(list(map(str, command)), stderr=errors) as process:
        try:
            return process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:  # Its time is out, Ctrl-C, or the machine is taken away.
            _end(process)


def _last_words(folder: Path, job: Job) -> str:
    """Why a notebook failed, in its own last line; empty where it only was too slow."""
    text = (folder / "notebooks" / f"{job.name}{ERRORS}").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\w*(Error|Exception|Exit)\b", line)]
    return f" ({lines[-1]:.300})" if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt papermill if it still runs; it ends its kernel first, or is killed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def offline(_: str, words: list[str]) -> int:
    """Run a study in a FOLDER until SECONDS are over; return 0 if nothing was left out.

    It goes on with the reference FROM, which must be of this machine and software.
    """
    given = assigned(words, [*SETTINGS, *OWN])
    clock = Clock(_seconds(given.get("SECONDS", DEADLINE)))
    if "FOLDER" not in given:
        raise CrossoverError("FOLDER is missing: name one for trials and executed notebooks.")
    settings = defaults()["study"] | study_settings(given)
    study = study_from(settings | {"folder": given["FOLDER"]})
    folder, plan = Path(study.folder), given.get("PLAN")
    packing = archived(folder, Path(given["ARCHIVE"])) if "ARCHIVE" in given else nullcontext()
    if plan:
        read_plan(Path(plan), study.folder, study.backend)  # A wrong one is refused first.
    if "FROM" in given:
        go_on(study, given["FROM"])
    folder.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        """Print at once and write down: what is cut off must have said where it was."""
        print(line, flush=True)
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    def todo() -> Iterable[tuple[Job, float]]:
        if not plan:
            return worthwhile(study)
        jobs = read_plan(Path(plan), study.folder, study.backend)
        return ((job, least) for job, least in jobs if is_left(job))

    count = len(list(todo()))
    say(f"Study: {counted(count, 'notebook')} to execute in {clock_text(clock.left)}")
    try:
        with stoppable(), packing:
            left_out = run_jobs(todo(), folder, clock, say)
            recorded = len(read_records(study.trials).records)
            say(f"{counted(recorded, 'trial')} recorded, {clock_text(clock.left)} left")
            write_text(folder / "left-out.txt", "".join(f"{name}\n" for name in left_out))
    except Stopped as stopped:
        return 128 + stopped.number
    return 1 if left_out else 0


def go_on(study: Study, name: str) -> None:
    """Write a kept study into this one's folder; refuse another machine's, and other software's."""
    kept = read_kept(name)
    machine, heeded = describe_machine("cpu", ""), recorded_environment()
    check_alike(study, kept.trials, machine, heeded, installed_versions(study.backend))
    take_up(kept, Path(study.folder))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):  # Below 0 where all of it went into the installation.
        raise CrossoverError(f"SECONDS is {text!r:.80}: it must be a number.")
    return seconds
