"""A study against the clock: sweeps and limits in order of worth, until the time is out."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from crossover.files import write_text
from crossover.paths import NOTEBOOKS
from crossover.records.storage import read_records
from crossover.study.jobs import START_SECONDS, Job, expected, jobs
from crossover.study.study import PUBLISHED_WIDTHS, Study, study_from
from crossover.training.progress import clock_text
from crossover.words import counted

INTERRUPT_SECONDS = 10.0


class Clock:
    """Counts down to the deadline, from when the script was started."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.deadline = now() + seconds

    @property
    def left(self) -> float:
        """Seconds left, 0 when the time is out."""
        return max(0.0, self.deadline - self.now())


def run_study(study: Study, clock: Clock, say: Callable[[str], None]) -> list[str]:
    """Run what is missing; a job that is expected to take longer than is left is not begun.

    A sweep without a measured one like it is always begun: each of its trials
    is recorded when it ends, so that whatever the deadline cuts off was not in
    vain.

    Returns
    -------
    list of str
        The jobs that were left out, cut off, or failed.
    """
    left_out = []
    for job in jobs(study):
        seconds = expected(job, read_records(study.trials).records)
        if clock.left <= START_SECONDS or (seconds is not None and seconds > clock.left):
            left_out.append(job.name)
            continue
        about = "" if seconds is None else f", about {clock_text(seconds)}"
        say(f"{job.name}{about}; {clock_text(clock.left)} left")
        if not run_job(Path(study.folder) / "notebooks", job, clock.left):
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
    with subprocess.Popen(list(map(str, command))) as process:
        try:
            return process.wait(timeout=seconds) == 0
        except subprocess.TimeoutExpired:
            # Interrupted, papermill ends its kernel first.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=INTERRUPT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            return False


def main(words: list[str]) -> int:
    """Run the study that the command line names; return 0 if nothing was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="of the trials and executed notebooks")
    parser.add_argument("--seconds", type=float, default=540.0, help="the deadline")
    for name in ("backend", "devices", "protocols", "widths"):
        parser.add_argument(f"--{name}")
    for name in ("repeats", "epochs"):
        parser.add_argument(f"--{name}", type=int)
    given = {
        name: value for name, value in vars(parser.parse_args(words)).items() if value is not None
    }
    clock = Clock(given.pop("seconds"))
    study = study_from({"widths": PUBLISHED_WIDTHS} | given)
    count = counted(len(jobs(study)), "notebook")
    say(f"Study: {count} to execute in {clock_text(clock.left)}")
    left_out = run_study(study, clock, say)
    recorded = len(read_records(study.trials).records)
    say(f"{counted(recorded, 'trial')} recorded, {clock_text(clock.left)} left")
    write_text(Path(study.folder) / "left-out.txt", "".join(f"{name}\n" for name in left_out))
    return 1 if left_out else 0


def say(line: str) -> None:
    """Print at once: what is cut off must have said where it was."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
