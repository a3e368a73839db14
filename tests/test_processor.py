"""The CPU by its own name and numbers, as Linux tells them and as py-cpuinfo does."""

import sys

import pytest

from crossover.hardware import machine

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a file")
TOLD = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC 9R14: a name
stepping\t: 1
flags\t\t: fpu vme

processor\t: 1
model name\t: Another
"""


@pytest.fixture
def told(tmp_path):
    """What a file of Linux's tells of the first processor."""

    def ask(text):
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc" / "cpuinfo").write_text(text)
        return machine._told_by_linux(tmp_path)

    return ask


@pytest.mark.parametrize(
    ("text", "known"),
    [
        (TOLD, ["AMD EPYC 9R14: a name", 25, 17, 1]),
        (
            TOLD.replace("stepping\t: 1", "stepping\t: unknown"),
            ["AMD EPYC 9R14: a name", 25, 17, None],
        ),
        (TOLD.replace("cpu family", "family"), ["AMD EPYC 9R14: a name", None, 17, 1]),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n", []),
        ("model name\t:\n", []),
        ("", []),
    ],
)
def test_linux_tells_the_first_processors_name_and_numbers(text, known, told):
    assert told(text) == known


def test_without_such_a_file_another_way_is_asked(tmp_path, monkeypatch):
    assert machine._told_by_linux(tmp_path) == []
    other = {"brand_raw": "Apple M9", "model": "no number"}
    monkeypatch.setattr(machine, "_told_by_linux", list)
    monkeypatch.setattr(machine.cpuinfo, "get_cpu_info", lambda: other)
    found = machine._processor.__wrapped__()
    assert found.pop("cpu_generation")
    assert found == {"cpu_model": "Apple M9"}


@LINUX
def test_both_ways_say_the_same_here():
    """So that a study begun before is gone on with."""
    linux = machine._told_by_linux()
    if not linux:
        pytest.skip("this machine's file names no model")
    model, *numbers = machine._told_by_cpuinfo()
    assert linux[0] == model
    assert [told for told in linux[1:] if told is not None] == [
        other for told, other in zip(linux[1:], numbers, strict=True) if told is not None
    ]
