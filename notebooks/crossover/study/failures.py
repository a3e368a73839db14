"""What failed in a workflow, in sentences from its logs."""

import os
import re
import shutil
from pathlib import Path

from crossover.files import LEAST_FREE_BYTES
from crossover.words import printable

DIED = "a training's process was killed, by someone or for want of memory: run it again."
DIED_WITH_FLAGS = (
    "a training's process was killed, by someone, for want of memory, or by a flag in XLA_FLAGS "
    "that this XLA does not know: unset that, then run it again."
)
END = "At least one job did not complete"
FULL = "the disk is full: make room, then run the same command again."


def failures(messages: str) -> list[str]:
    """The sentences of the errors in a log, each once, at most five."""
    sentences = re.findall(
        r"^(?:crossover|SystemExit|(?:[\w.]+\.)?\w+Error): (.+)$", messages, re.MULTILINE
    )
    if not sentences:  # What Snakemake says of its own troubles: a heading, then the matter.
        told = re.findall(r"^\w*(?:Error|Exception)\b.*:\n(.+)$", messages, re.MULTILINE)
        sentences = [f"a step failed: {line.strip()}" for line in told if not line.startswith(END)]
    return list(dict.fromkeys(map(_told, sentences)))[:5]


def _told(line: str) -> str:
    """A log's sentence with the one thing to do, where the library that wrote it gives none."""
    if "No space left on device" in line:
        return FULL
    if line == "Kernel died":
        return DIED_WITH_FLAGS if os.environ.get("XLA_FLAGS") else DIED
    return printable(line, 400)


def unexplained(folder: Path) -> str:
    """Why a step may have ended without a sentence; a full disk swallows messages too."""
    if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        return FULL
    return "a step was ended without a message: run the same command again."
