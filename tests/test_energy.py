"""Energy counters: packages only, wraps set right, unknown stays unknown."""

from pathlib import Path

import pytest

from crossover.hardware.energy import (
    Counters,
    Zone,
    card_joules,
    cpu_joules,
    energy_facts,
    read_rapl,
)
from crossover.records.jsontext import parse_model
from crossover.records.record import Record

FIRST = "record-v1.json"


def zone(folder, number, name, microjoules, most=262_143_328_850):
    path = folder / f"intel-rapl:{number}"
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{most}\n")
    return path


def test_packages_are_counted_and_their_parts_are_not(tmp_path):
    zone(tmp_path, "0", "package-0", 5_000_000)
    zone(tmp_path, "0:0", "core", 4_000_000)
    zone(tmp_path, "1", "package-1", 7_000_000)
    zone(tmp_path, "2", "psys", 99_000_000)
    found = read_rapl(tmp_path)
    assert [(z.name, z.joules) for z in found] == [("package-0", 5.0), ("package-1", 7.0)]
    assert found[0].range_joules == pytest.approx(262_143.32885)


@pytest.mark.parametrize("broken", ["energy_uj", "max_energy_range_uj", "name"])
def test_a_counter_that_cannot_be_read_makes_all_unknown(tmp_path, broken):
    zone(tmp_path, "0", "package-0", 5_000_000)
    (zone(tmp_path, "1", "package-1", 7_000_000) / broken).unlink()
    assert read_rapl(tmp_path) == ()
    assert read_rapl(tmp_path / "none") == ()


def counters(*joules, clock=0.0, card=None, most=1000.0):
    return Counters(card, tuple(Zone(f"package-{n}", j, most) for n, j in enumerate(joules)), clock)


def test_a_wrapped_counter_is_set_right():
    # 10 J on the first package; the second runs from 995 over 1000 to 3: 8 J.
    assert cpu_joules(counters(100, 995), counters(110, 3, clock=1.0)) == pytest.approx(18.0)


def test_a_span_that_may_hide_two_wraps_is_unknown():
    # 1000 J at 500 W last 2 s.
    assert cpu_joules(counters(1), counters(5, clock=1.9)) == 4.0
    assert cpu_joules(counters(1), counters(5, clock=2.1)) is None


def test_what_is_not_read_at_both_ends_is_unknown():
    assert cpu_joules(counters(), counters()) is None
    assert cpu_joules(counters(1), counters()) is None
    assert card_joules(counters(card=1.0), counters()) is None
    assert card_joules(counters(card=9.0), counters(card=2.0)) is None


def test_each_phase_is_the_difference_of_its_ends():
    marks = {
        "start": counters(card=1.0),
        "build": counters(card=1.5, clock=1.0),
        "fit": counters(card=9.5, clock=1.1),
        "evaluate": counters(card=9.75, clock=1.15),
    }
    found = energy_facts(marks)
    # The counter is renewed every tenth of a second: the last phase may be another one's joules.
    assert found["gpu_joules"].model_dump() == {"build": 0.5, "fit": 8.0, "evaluate": None}
    assert found["gpu_energy_joules"] == 8.75
    assert found["cpu_joules"] is None
    assert energy_facts({"start": counters(1, card=1.0)}) == {}


def test_a_record_of_the_first_schema_still_loads():
    """Written by the first version of this project, before cards' energy was recorded."""
    record = parse_model(Record, Path(__file__).with_name("fixtures").joinpath(FIRST).read_bytes())
    assert isinstance(record, Record), record
    assert (record.settings.protocol, record.width, record.test_accuracy) == ("tuned", 64, 0.9693)
    assert record.conditions.gpu_joules is None
    assert record.machine.gpu_power_limit_watts is None
