"""A study is gone on with only where it was begun: the same machine, the same variables."""

import pytest

from conftest import make_record, report
from crossover.analysis.machines import by_machine, own_settings
from crossover.analysis.merge import merge
from crossover.hardware.machine import describe_machine
from crossover.records.ceilings import write_ceilings
from crossover.records.record import Machine, Software
from crossover.records.settings import Settings, protocol_settings
from crossover.records.storage import read_records, trial_name, write_record
from crossover.report.figure import clean
from crossover.study import run
from crossover.study.alike import UnlikeError, check_alike, check_room
from crossover.study.configuration import study_from
from crossover.study.planner import lacking, left_text
from test_ceilings import make_ceilings

HERE = Machine(cpu_model="Test CPU", visible_cores=4)
SOFTWARE = {"backend": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6"}  # Of make_record.
FOLDER = "data/runs/main"


def study(**changes):
    return study_from({"folder": FOLDER, "widths": "4", "devices": "cpu"} | changes)


def test_the_same_machine_goes_on():
    check_alike(study(), [make_record(machine=HERE, environment={})], HERE, {}, SOFTWARE)
    check_alike(
        study(), [make_ceilings(machine=HERE, environment={"A": "1"})], HERE, {"A": "1"}, SOFTWARE
    )


def test_what_earlier_versions_recorded_is_not_compared():
    check_alike(study(), [make_record(), make_ceilings()], HERE, {"A": "1"}, SOFTWARE)


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ({"cpu_quota": 1.5}, "Test CPU (4 cores, quota 1.5)"),
        ({"cpu_model": "Other"}, "Other (4 cores)"),
        ({"visible_cores": 2}, "Test CPU (2 cores)"),
    ],
)
@pytest.mark.parametrize("make", [make_record, make_ceilings])
def test_another_machine_is_named_with_what_to_do(make, machine, told):
    known = make(machine=HERE.model_copy(update=machine), environment={})
    with pytest.raises(UnlikeError) as error:
        check_alike(study(), [known], HERE, {}, SOFTWARE)
    assert str(error.value) == (
        f"this study was begun on {told}, and this is Test CPU (4 cores): go on there, or move "
        f"{FOLDER} away."
    )


def test_other_variables_are_named_with_what_to_do():
    known = make_record(machine=HERE, environment={"A": "1"})
    with pytest.raises(UnlikeError) as error:
        check_alike(study(), [known], HERE, {}, SOFTWARE)
    assert str(error.value) == (
        "this study was begun with other variables (A=1) than there are now (none): set them as "
        f"they were, or move {FOLDER} away."
    )


def test_threads_that_were_asked_for_are_what_a_sweep_sees():
    quota = HERE.model_copy(update={"cpu_quota": 2.5})
    pinned = make_record(machine=HERE.model_copy(update={"visible_cores": 2}), environment={},
                         settings=Settings(threads=2))  # fmt: skip
    check_alike(study(threads=2), [pinned], HERE, {}, SOFTWARE)
    check_alike(study(threads=2), [pinned], quota, {}, SOFTWARE)
    with pytest.raises(UnlikeError):
        check_alike(study(), [pinned], HERE, {}, SOFTWARE)


def test_trials_of_before_stand_with_those_of_the_same_cpu_in_its_quota():
    quota = HERE.model_copy(update={"cpu_quota": 1.5})
    old, new = make_record(machine=HERE), make_record(8, machine=quota, environment={})
    assert list(by_machine([old, new])) == ["Test CPU (4 cores, quota 1.5)"]
    free = make_record(8, machine=HERE, environment={})
    assert len(by_machine([free, new])) == 2


def half_and_half(folder, **changes):
    """Five trials of one machine, and one of another, in the names of one study."""
    settings = Settings(epochs=1)
    for width, machine in ((4, HERE), (8, HERE), (16, HERE.model_copy(update=changes))):
        write_record(folder, make_record(width, settings=settings, machine=machine))
    return study(widths="4 8 16", epochs=1, protocols="published", folder=str(folder.parent))


def test_another_machines_trials_are_none_of_the_studys(tmp_path):
    """Planner and report count the same trials."""
    given = half_and_half(tmp_path / "trials", cpu_model="Other CPU")
    records = read_records(given.trials).records
    own = given.own(records)
    assert sorted(record.width for record in own) == [4, 8]
    (sweep,) = given.missing(own).values()
    assert sweep.widths == [16]
    report_of = merge(given.trials, own_settings("tensorflow", 1, 128, None), tmp_path / "none")
    assert sorted(record.width for record in report_of.records) == [4, 8]
    assert left_text(lacking(given, own, ["trials"])) == "1 trial"
    with pytest.raises(UnlikeError) as error:
        check_room(given, own, given.missing(own).values())
    name = trial_name(given.settings("published"), "cpu", 16, 1)
    assert str(error.value) == (
        "1 trial of this study is another machine's (Other CPU (4 cores)) than the rest (Test CPU "
        f"(4 cores)): move {name} out of {given.folder}/trials to train them again, or all trials "
        "to begin anew."
    )


def test_where_nothing_stands_in_the_way_a_study_goes_on(tmp_path):
    given = half_and_half(tmp_path / "trials")
    records = read_records(given.trials).records
    check_room(given, given.own(records), given.missing(given.own(records)).values())
    more = given.model_copy(update={"repeats": 2})
    check_room(more, given.own(records), more.missing(given.own(records)).values())


def test_another_version_is_named_with_what_to_do():
    for known in (make_record(machine=HERE), make_ceilings(machine=HERE)):
        with pytest.raises(UnlikeError) as error:
            check_alike(study(), [known], HERE, {}, SOFTWARE | {"numpy": "2.5.0"})
        assert str(error.value) == (
            "this study was begun with numpy 2.4.6, and 2.5.0 is installed: install that version "
            f"again, or move {FOLDER} away."
        )


def test_the_protocol_that_was_not_asked_for_counts_too(tmp_path):
    """A machine with most published trials, and another with most of both: as in the report."""
    other = HERE.model_copy(update={"cpu_model": "Other CPU"})
    records = [make_record(width, machine=HERE, repeat=2) for width in (4, 8, 16)]
    records += [make_record(width, machine=other) for width in (4, 8)]
    tuned = protocol_settings("tuned")
    records += [make_record(width, machine=other, settings=tuned) for width in (4, 8, 16)]
    for record in records:
        write_record(tmp_path, record)
    given = study(widths="4 8 16", protocols="published", folder=str(tmp_path))
    found = merge(tmp_path, own_settings("tensorflow", 10, 128, None), tmp_path / "none")
    assert {record.machine.cpu_model for record in given.own(records)} == {"Other CPU"}
    assert found.own == "Other CPU (4 cores)"


def test_software_that_changed_within_a_study_is_named(tmp_path):
    newer = Software(python="3.11", backend="2.22.0", keras="3.15.1", numpy="2.4.6")
    records = [make_record(4), make_record(8, software=newer)]
    given = study(widths="4 8", protocols="published")
    with pytest.raises(UnlikeError, match=r"backend version \('2.21.0' and '2.22.0'\)") as error:
        check_room(given, given.own(records), [])
    assert str(error.value).endswith(f"out of {FOLDER}/trials, or all to begin anew.")


def test_a_study_of_two_machines_is_told_by_planner_and_report_alike(project):
    half_and_half(project / "data/runs/main/trials", cpu_model="Other CPU")
    words = ("WIDTHS=4 8 16", "EPOCHS=1", "PROTOCOLS=published", "DEVICES=cpu")
    code, out, err = report(project, "report", *words)
    assert code == 2
    assert "1 trial of this study is another machine's (Other CPU (4 cores))" in err
    assert "nothing to train" not in out
    code, out, err = report(project, "partial", *words)
    assert (code, err) == (0, "")
    assert "Study in data/runs/main: 1 trial" in out
    page = (project / "figures/report.html").read_text(encoding="utf-8")
    assert "published CPU, repeat 1: 16" in page


@pytest.mark.parametrize("length", [30, 79, 120])
def test_long_names_that_differ_at_their_end_stay_apart(length):
    one, other = ("G" * length + end for end in "12")
    records = [
        make_record(4, device="gpu", machine=HERE.model_copy(update={"gpu_model": name}))
        for name in (one, other)
    ]
    names = list(by_machine(records))
    assert len(names) == 2
    assert all(len(name) <= 80 for name in names)
    assert len({clean(name) for name in names}) == 2


def test_the_front_door_refuses_before_anything_is_trained_or_measured(project):
    machine = describe_machine("cpu", "CPU:0")
    settings = Settings(epochs=1)
    trial = make_record(settings=settings, machine=machine, environment={"LD_PRELOAD": "x.so"})
    path = write_record(project / "data/runs/main/trials", trial)
    words = ("WIDTHS=4 8", "EPOCHS=1", "PROTOCOLS=published", "DEVICES=cpu")
    for _ in range(2):
        code, out, err = report(project, "report", *words)
        assert code == 2
        assert err.startswith("crossover: this study was begun with other variables (LD_PRELOAD=x.")
        assert "to train" not in out
    assert list(path.parent.glob("*.json")) == [path]
    assert not list(project.glob("data/runs/main/ceilings/*"))


def test_what_another_backend_or_number_of_threads_left_is_no_part_of_the_study(project):
    other = Machine(cpu_model="Other", visible_cores=1)
    folder = project / "data/runs/main"
    for changes in ({"backend": "jax"}, {"threads": 1}):
        settings = Settings(epochs=1, **changes)
        write_record(
            folder / "trials", make_record(settings=settings, machine=other, environment={})
        )
        write_ceilings(folder / "ceilings", make_ceilings(machine=other, environment={}, **changes))
    known = read_records(folder / "trials").records
    assert len(known) == 2
    assert run._look_here(study(folder=str(folder), epochs=1), known, [])
    with pytest.raises(UnlikeError, match=r"begun on Other \(1 core\)"):
        run._look_here(study(folder=str(folder), epochs=1, threads=1), known, [])
