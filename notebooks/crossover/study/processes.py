"""The processes of a study: ended together, and none left behind."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

MARK = "CROSSOVER_STUDY"
PATIENCE_SECONDS = 5.0
ROUNDS = 3


class Stopped(BaseException):
    """A signal asked the study to stop; no ``except Exception`` may swallow it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into ``Stopped``; ignore what follows it.

    A signal that is ignored from the start, as under nohup, stays ignored.
    """
    stopping = [one for one in signal.Signals if one.name in ("SIGINT", "SIGTERM", "SIGHUP")]
    handlers = {number: signal.getsignal(number) for number in stopping}
    heeded = {number: old for number, old in handlers.items() if old is not signal.SIG_IGN}

    def stop(number: int, _: object) -> None:
        for heard in heeded:
            signal.signal(heard, signal.SIG_IGN)
        raise Stopped(number)

    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, old in heeded.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, old)


def end_study(mark: str) -> int:
    """End every process that carries a study's mark; return how many there were.

    The mark is an environment variable, which a process hands down to all that it starts: kernels
    that outlived a killed parent are found by it too.
    """
    ended: set[int] = set()
    for _ in range(ROUNDS):  # An ending process may start one more.
        processes = _marked(mark)
        if not processes:
            break
        ended.update(process.pid for process in processes)
        for process in processes:
            _ask_to_end(process)
        for process in psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)[1]:
            with suppress(psutil.Error):
                process.kill()
    return len(ended)


def _marked(mark: str) -> list[psutil.Process]:
    """The processes with the mark, but this one and those that started it."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    marked = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid not in spared and process.environ().get(MARK) == mark:
                marked.append(process)
    return marked


def _ask_to_end(process: psutil.Process) -> None:
    """Snakemake cancels its cluster jobs on SIGINT only; the others end on SIGTERM."""
    with suppress(psutil.Error):
        if os.name == "posix" and "snakemake" in process.cmdline():
            process.send_signal(signal.SIGINT)
        else:
            process.terminate()
