"""Messages of C++ libraries: held back while all goes well, shown when it does not."""

import subprocess
import sys

import pytest

BLOCK = """
import os
from crossover.hardware.quiet import held_messages
with held_messages():
    os.write(2, b"greeting of a library")
    {last}
os.write(2, b"after")
"""


def said(last):
    run = subprocess.run([sys.executable, "-c", BLOCK.format(last=last)], capture_output=True)
    return run.stderr.decode()


def test_a_greeting_is_held_back_and_what_follows_is_not():
    assert said("pass") == "after"


@pytest.mark.parametrize("failure", ["raise ValueError('no device')", "raise SystemExit(3)"])
def test_before_a_failure_it_is_shown(failure):
    text = said(failure)
    assert text.startswith("greeting of a library")
    assert "after" not in text
