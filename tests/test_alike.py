"""A study is gone on with only where it was begun: the same machine, the same variables."""

import pytest

from conftest import make_record, report
from crossover.analysis.machines import by_machine
from crossover.hardware.machine import describe_machine
from crossover.records.limits import write_limits
from crossover.records.record import Machine, Settings
from crossover.records.storage import read_records, write_record
from crossover.study import run
from crossover.study.alike import UnlikeError, check_alike
from crossover.study.study import study_from
from test_limits import make_limits

HERE = Machine(cpu_model="Test CPU", visible_cores=4)
FOLDER = "data/runs/main"


def study(**changes):
    return study_from({"folder": FOLDER, "widths": "4", "devices": "cpu"} | changes)


def test_the_same_machine_goes_on():
    check_alike(study(), [make_record(machine=HERE, environment={})], HERE, {})
    check_alike(study(), [make_limits(machine=HERE, environment={"A": "1"})], HERE, {"A": "1"})


def test_what_earlier_versions_recorded_is_not_compared():
    check_alike(study(), [make_record(), make_limits()], HERE, {"A": "1"})


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ({"cpu_quota": 1.5}, "Test CPU (4 cores, quota 1.5)"),
        ({"cpu_model": "Other"}, "Other (4 cores)"),
        ({"visible_cores": 2}, "Test CPU (2 cores)"),
    ],
)
@pytest.mark.parametrize("make", [make_record, make_limits])
def test_another_machine_is_named_with_what_to_do(make, machine, told):
    known = make(machine=HERE.model_copy(update=machine), environment={})
    with pytest.raises(UnlikeError) as error:
        check_alike(study(), [known], HERE, {})
    assert str(error.value) == (
        f"this study was begun on {told}, and this is Test CPU (4 cores): go on there, or move "
        f"{FOLDER} away."
    )


def test_other_variables_are_named_with_what_to_do():
    known = make_record(machine=HERE, environment={"A": "1"})
    with pytest.raises(UnlikeError) as error:
        check_alike(study(), [known], HERE, {})
    assert str(error.value) == (
        "this study was begun with other variables (A=1) than there are now (none): set them as "
        f"they were, or move {FOLDER} away."
    )


def test_threads_that_were_asked_for_are_what_a_sweep_sees():
    quota = HERE.model_copy(update={"cpu_quota": 2.5})
    pinned = make_record(machine=HERE.model_copy(update={"visible_cores": 2}), environment={},
                         settings=Settings(threads=2))  # fmt: skip
    check_alike(study(threads=2), [pinned], HERE, {})
    check_alike(study(threads=2), [pinned], quota, {})
    with pytest.raises(UnlikeError):
        check_alike(study(), [pinned], HERE, {})


def test_trials_of_before_stand_with_those_of_the_same_cpu_in_its_quota():
    quota = HERE.model_copy(update={"cpu_quota": 1.5})
    old, new = make_record(machine=HERE), make_record(8, machine=quota, environment={})
    assert list(by_machine([old, new])) == ["Test CPU (4 cores, quota 1.5)"]
    free = make_record(8, machine=HERE, environment={})
    assert len(by_machine([free, new])) == 2


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
    assert not list(project.glob("data/runs/main/limits/*"))


def test_what_another_backend_or_number_of_threads_left_is_no_part_of_the_study(project):
    other = Machine(cpu_model="Other", visible_cores=1)
    folder = project / "data/runs/main"
    for changes in ({"backend": "jax"}, {"threads": 1}):
        settings = Settings(epochs=1, **changes)
        write_record(
            folder / "trials", make_record(settings=settings, machine=other, environment={})
        )
        write_limits(folder / "limits", make_limits(machine=other, environment={}, **changes))
    known = read_records(folder / "trials").records
    assert len(known) == 2
    assert run._look_here(study(folder=str(folder), epochs=1), known, {})
    with pytest.raises(UnlikeError, match=r"begun on Other \(1 core\)"):
        run._look_here(study(folder=str(folder), epochs=1, threads=1), known, {})
