"""A study against the clock: jobs in order of worth until the time is out, kept in one archive."""

from __future__ import annotations

import argparse
import io
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crossover.files import write_text
from crossover.paths import NOTEBOOKS
from crossover.records.storage import read_records
from crossover.study.jobs import START_SECONDS, Job, expected, jobs
from crossover.study.plan import PlanError, missing, read_plan
from crossover.study.processes import Stopped, stoppable
from crossover.study.study import Study, study_from
from crossover.training.progress import clock_text
from crossover.words import counted

INTERRUPT_SECONDS = 10.0
ARCHIVE_SECONDS = 20.0
LOG = "log.txt"
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


def worthwhile(study: Study, clock: Clock) -> Iterator[tuple[Job, bool, str]]:
    """What a study lacks, and whether there is time for it: see ``run_jobs``.

    A sweep without a measured one like it is always begun: each of its trials
    is recorded when it ends, so that whatever the deadline cuts off was not in
    vain.
    """
    for job in jobs(study):
        seconds = expected(job, read_records(study.trials).records)
        least = START_SECONDS if seconds is None else max(seconds, START_SECONDS)
        yield job, clock.left > least, "" if seconds is None else f", about {clock_text(seconds)}"


def planned(path: Path, folder: str, backend: str, clock: Clock) -> Iterator[tuple[Job, bool, str]]:
    """The jobs of a plan that have anything left to do: see ``run_jobs``."""
    for plan in read_plan(path, folder, backend):
        if missing(plan.job):
            yield plan.job, clock.left > plan.seconds, ""


def run_jobs(
    todo: Iterable[tuple[Job, bool, str]], folder: Path, clock: Clock, say: Callable[[str], None]
) -> list[str]:
    """Run jobs one after the other into the notebooks of a folder.

    Parameters
    ----------
    todo : iterable
        Each job, whether there is time to begin it, and what to add to its
        announcement; asked for when the job before has ended.

    Returns
    -------
    list of str
        The jobs that were left out, cut off, or failed.
    """
    left_out = []
    for job, in_time, about in todo:
        if not in_time:
            left_out.append(job.name)
            continue
        say(f"{job.name}{about}; {clock_text(clock.left)} left")
        if not run_job(folder / "notebooks", job, clock.left):
            say(f"{job.name} did not end{_last_words(folder, job)}; {clock_text(clock.left)} left")
            left_out.append(job.name)
    return left_out


def run_job(folder: Path, job: Job, seconds: float) -> bool:
    """Execute a notebook into a folder for at most so many seconds; whether it finished."""
    folder.mkdir(parents=True, exist_ok=True)
    executed = folder / f"{job.name}.ipynb"
    command = [sys.executable, "-m", "papermill", NOTEBOOKS / job.notebook, executed]
    command += ["--kernel", f"crossover-{job.device}", "--cwd", NOTEBOOKS, "--no-progress-bar"]
    # Not /dev/stdout: opened anew, it would overwrite a log that this is redirected to.
    command += ["--log-level", "WARNING", "--stdout-file", executed.with_suffix(".log")]
    command += ["--parameters_yaml", job.parameters]
    errors = (folder / f"{job.name}{ERRORS}").open("w", encoding="utf-8")
    with errors, subprocess.Popen(list(map(str, command)), stderr=errors) as process:
        try:
            return process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            _end(process)
            return False
        except BaseException:  # Ctrl-C, or the machine is taken away.
            _end(process)
            raise


def _last_words(folder: Path, job: Job) -> str:
    """Why a notebook failed, in its own last line; empty where it only was too slow."""
    text = (folder / "notebooks" / f"{job.name}{ERRORS}").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r"\w*(Error|Exception|Exit)\b", line)]
    return f" ({lines[-1]:.300})" if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt papermill, which ends its kernel first; kill it if that takes long."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=INTERRUPT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def archived(folder: Path, archive: Path | None) -> Iterator[None]:
    """Keep a folder in an archive that is renewed every ``ARCHIVE_SECONDS`` and at the end.

    Whatever is cut off, the archive is a whole one: it is written beside and
    then put in the place of the last.
    """
    if archive is None:
        yield
        return
    over = threading.Event()

    def renew() -> None:
        seen: object = None
        while not over.wait(ARCHIVE_SECONDS):
            with suppress(OSError):  # A full disk, or a file that vanishes: tried again.
                now = sorted((path, path.stat().st_mtime) for path in _files(folder))
                if now != seen:  # Packing takes time of a core that a trial may need.
                    write_archive(folder, archive)
                seen = now

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        try:
            write_archive(folder, archive)
        except OSError as error:
            print(
                f"crossover: {archive} could not be written ({error.strerror}); all that has "
                f"ended is in {folder}.",
                file=sys.stderr,
            )


def write_archive(folder: Path, archive: Path) -> None:
    """Pack trials, limits, executed notebooks and logs of a study into one file."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    packed = folder / ".archive.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        for path in _files(folder):
            with suppress(OSError):  # A file that vanishes.
                content = path.read_bytes()  # At once: a notebook may be written meanwhile.
                member = tar.gettarinfo(path, str(path.relative_to(folder)))
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    beside = archive.with_name(f"{archive.name}.new")
    shutil.copyfile(packed, beside)
    beside.replace(archive)


def _files(folder: Path) -> list[Path]:
    """The files of a study that are worth keeping, those that are being written left out."""
    kinds = {".json", ".ipynb", ".log", ".txt"}
    found = [path for path in folder.rglob("*") if path.suffix in kinds and path.is_file()]
    return sorted(path for path in found if not path.name.startswith("."))


def main(words: list[str]) -> int:
    """Run the study that the command line names; return 0 if nothing was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="of the trials and executed notebooks")
    parser.add_argument("--seconds", type=float, default=540.0, help="the deadline")
    parser.add_argument("--archive", type=Path, help="keep all in this file, renewed meanwhile")
    parser.add_argument("--plan", type=Path, help="run this plan's jobs in its order")
    for name in ("backend", "devices", "protocols", "widths"):
        parser.add_argument(f"--{name}")
    for name in ("repeats", "epochs"):
        parser.add_argument(f"--{name}", type=int)
    given = {
        name: value for name, value in vars(parser.parse_args(words)).items() if value is not None
    }
    clock = Clock(given.pop("seconds"))
    archive, plan = given.pop("archive", None), given.pop("plan", None)
    study = study_from(given)
    folder = Path(study.folder)
    folder.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        """Print at once and write down: what is cut off must have said where it was."""
        print(line, flush=True)
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")

    try:
        found = planned(plan, study.folder, study.backend, clock) if plan else jobs(study)
        count = len(list(found))
    except PlanError as error:
        print(f"crossover: {error}", file=sys.stderr)
        return 2
    say(f"Study: {counted(count, 'notebook')} to execute in {clock_text(clock.left)}")
    todo = planned(plan, study.folder, study.backend, clock) if plan else worthwhile(study, clock)
    try:
        with stoppable(), archived(folder, archive):
            left_out = run_jobs(todo, folder, clock, say)
            recorded = len(read_records(study.trials).records)
            say(f"{counted(recorded, 'trial')} recorded, {clock_text(clock.left)} left")
            write_text(folder / "left-out.txt", "".join(f"{name}\n" for name in left_out))
    except Stopped as stopped:
        return 128 + stopped.number
    return 1 if left_out else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
