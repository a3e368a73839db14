"""What is unusual about a machine: clocks, cores and environment, in at most three lines."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import make_record
from crossover.hardware.clocks import describe_clocks, read_clocks
from crossover.records.generations import generation
from crossover.records.record import Conditions, Machine, Software
from crossover.records.settings import Settings
from crossover.records.unusual import (
    LONGEST_LINE,
    announcement,
    held_down,
    unusual_of,
)
from crossover.report.sections.machine import clocks_text, cores_text, cpu_name, gpu_name

LAPTOP = {
    "scaling_driver": "intel_pstate", "scaling_governor": "powersave",
    "energy_performance_preference": "balance_power", "cpuinfo_min_freq": "400000",
    "cpuinfo_max_freq": "4700000", "scaling_max_freq": "4700000", "scaling_cur_freq": "1200000",
}  # fmt: skip


def cpu_folder(folder, files=LAPTOP, **single):
    """Linux's folder of CPUs with the files of each core's clock, and single ones beside them."""
    for core in sorted(os.sched_getaffinity(0)):
        place = folder / f"cpu{core}/cpufreq"
        place.mkdir(parents=True)
        for name, text in files.items():
            (place / name).write_text(f"{text}\n")
    for name, text in {"smt/active": "1", "intel_pstate/no_turbo": "1", **single}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder


def test_clocks_are_read_as_linux_tells_them(tmp_path):
    cpu_folder(tmp_path / "sys/devices/system/cpu")
    for node in ("node0", "node1"):
        (tmp_path / "sys/devices/system/node" / node).mkdir(parents=True)
    assert describe_clocks(tmp_path) == {
        "cpu_mhz_min": 400.0, "cpu_mhz_max": 4700.0, "cpu_driver": "intel_pstate",
        "cpu_boost": False, "smt": True, "numa_nodes": 2,
    }  # fmt: skip
    found = read_clocks(tmp_path)
    assert (found["cpu_mhz"], found["cpu_mhz_limit"]) == (1200.0, 4700.0)
    assert (found["cpu_governor"], found["cpu_preference"]) == ("powersave", "balance_power")


def test_a_machine_that_tells_nothing_has_no_clocks(tmp_path):
    assert set(describe_clocks(tmp_path).values()) == {None}
    names = ("cpu_mhz", "cpu_mhz_limit", "cpu_governor", "platform_profile")
    assert [read_clocks(tmp_path)[name] for name in names] == [None] * 4


ACPI = {"cpu_driver": "acpi-cpufreq", "cpu_mhz_max": 3000.0}
PSTATE = {"cpu_driver": "intel_pstate", "cpu_mhz_max": 4700.0}


@pytest.mark.parametrize(
    ("machine", "conditions", "found"),
    [
        ({}, {}, []),
        (ACPI, {"cpu_governor": "performance", "cpu_mhz_limit": 3000.0}, []),
        (ACPI, {"cpu_governor": "powersave"}, ["governor powersave"]),
        # Intel's own driver calls its usual, dynamic way so: what it prefers tells.
        (PSTATE, {"cpu_governor": "powersave", "cpu_preference": "balance_performance"}, []),
        (
            PSTATE,
            {"cpu_governor": "powersave", "cpu_preference": "power"},
            ["energy preference power"],
        ),
        (PSTATE, {"cpu_mhz_limit": 1200.0}, ["clock limited to 1.2 of 4.7 GHz"]),
        ({}, {"on_battery": True}, ["on battery"]),
        ({}, {"on_battery": False}, []),
        ({}, {"platform_profile": "low-power"}, ["power profile low-power"]),
        ({}, {"platform_profile": "performance"}, []),
    ],
)
def test_only_what_slows_clocks_is_flagged(machine, conditions, found):
    assert held_down(Machine(**machine), Conditions(**conditions)) == found


def test_nothing_unusual_is_no_line():
    usual = Machine(visible_cores=4, logical_cores=4)
    assert announcement(usual, Conditions(), {}, {}, [], 4) == []


def test_everything_unusual_is_three_lines_that_say_what_to_do():
    machine = Machine(
        visible_cores=4, logical_cores=64, cpu_quota=1.5, cpu_driver="acpi-cpufreq",
        memory_bytes=64 * 2**30, memory_limit_bytes=2 * 2**30,
    )  # fmt: skip
    lines = announcement(
        machine,
        Conditions(cpu_governor="powersave", on_battery=True),
        {"TF_ENABLE_ONEDNN_OPTS": "0"},
        {"OMP_NUM_THREADS": "1"},
        ["floatx float64"],
        1,
    )
    assert len(lines) == 3
    cores, clocks, environment = lines
    assert "a CPU quota grants 1.5 of 4 cores; 4 of 64 cores are visible" in cores
    assert "a limit grants 2 of 64 GiB of memory. Trainings use 1 thread; what the" in cores
    assert clocks.startswith("Unusual here: on battery, governor powersave; trials are flagged.")
    assert clocks.endswith(
        "To mend: plug it in; run 'sudo cpupower frequency-set --governor performance'."
    )
    assert "heeded and recorded: TF_ENABLE_ONEDNN_OPTS=0" in environment
    assert "not heeded: OMP_NUM_THREADS=1 and Keras's file (floatx float64)" in environment


@pytest.mark.parametrize(
    ("machine", "conditions", "todo"),
    [
        (
            PSTATE,
            {"cpu_mhz_limit": 1200.0},
            "raise the limit with 'sudo cpupower frequency-set --max",
        ),
        (PSTATE, {"cpu_preference": "power"}, "choose the profile 'performance' in its power sett"),
        (ACPI, {"platform_profile": "low-power"}, "choose the profile 'performance' in its power"),
        (ACPI, {"cpu_governor": "powersave"}, "run 'sudo cpupower frequency-set --governor perf"),
        ({}, {"on_battery": True}, "plug it in."),
    ],
)
def test_each_cause_has_its_own_remedy(machine, conditions, todo):
    (line,) = announcement(Machine(**machine), Conditions(**conditions), {}, {}, [], 1)
    assert f"To mend: {todo}" in line


def test_a_line_is_of_bounded_length():
    ignored = {f"JAX_{number}": "x" * 200 for number in range(50)}
    (line,) = announcement(Machine(), Conditions(), {}, ignored, [], 1)
    assert len(line) == LONGEST_LINE


def test_with_threads_asked_for_the_quota_is_told_and_the_affinity_is_not():
    machine = Machine(visible_cores=2, logical_cores=8, cpu_quota=1 / 3)
    asked = make_record(machine=machine, settings=Settings(threads=2), environment={})
    assert unusual_of([asked]) == ["a CPU quota grants 0.333 of 2 cores"]
    assert unusual_of([make_record(machine=machine, environment={})])[1:] == [
        "2 of 8 cores are visible"
    ]


SUPPLIES = {
    "laptop on battery": ({"BAT0": "Battery/Discharging", "AC": "Mains/0"}, True),
    "laptop plugged in": ({"BAT0": "Battery/Charging", "AC": "Mains/1"}, False),
    "full": ({"BAT0": "Battery/Full", "AC": "Mains/1"}, False),
    "weak charger": ({"BAT0": "Battery/Discharging", "AC": "USB/1"}, False),
    "desktop with a mouse": ({"hidpp_battery_0": "Battery/Discharging/Device"}, None),
    "desktop": ({"AC": "Mains/1"}, None),
    "none": ({}, None),
}


@pytest.mark.parametrize("name", SUPPLIES)
def test_only_the_machines_own_battery_counts(name, tmp_path):
    supplies, on_battery = SUPPLIES[name]
    folder = tmp_path / "sys/class/power_supply"
    folder.mkdir(parents=True)
    for supply, text in supplies.items():
        (folder / supply).mkdir()
        kind, state, scope = [*text.split("/"), "System"][:3]
        (folder / supply / "type").write_text(kind)
        (folder / supply / "scope").write_text(scope)
        (folder / supply / ("status" if kind == "Battery" else "online")).write_text(state)
    assert read_clocks(tmp_path)["on_battery"] is on_battery


def test_the_report_counts_the_trials_that_were_slowed():
    quota = Machine(visible_cores=2, logical_cores=2, cpu_quota=0.5)
    records = [
        make_record(machine=quota, conditions=Conditions(cpu_throttled_fraction=0.5)),
        make_record(machine=quota, conditions=Conditions(cpu_throttled_fraction=0.0)),
        make_record(machine=quota, conditions=Conditions(on_battery=True), environment={"A": "1"}),
    ]
    assert unusual_of(records) == [
        "a CPU quota grants 0.5 of 2 cores",
        "the quota held 1 of 3 trials back",
        "on battery in 1 of 3 trials",
        "the environment set A=1",
    ]
    assert unusual_of([make_record()]) == unusual_of([]) == []


def test_names_and_texts_of_the_hardware():
    machine = Machine(
        cpu_model="AMD EPYC", cpu_generation="Zen 4", cpu_family=25, cpu_number=17,
        cpu_stepping=1, visible_cores=2, cpu_quota=0.5, numa_nodes=2, smt=True,
        cpu_mhz_min=400.0, cpu_mhz_max=4700.0, cpu_boost=True, cpu_driver="amd-pstate-epp",
    )  # fmt: skip
    assert cpu_name(machine) == "AMD EPYC (Zen 4: family 25, model 17, stepping 1)"
    pools = {"arithmetic": 1, "XLA": 1}
    assert cores_text(machine, Software(threads=1, pools=pools)) == (
        "2 cores visible, a quota of 0.5, 2 NUMA nodes, two threads a core; "
        "threads: XLA 1, arithmetic 1"
    )
    measured = [
        make_record(machine=machine, conditions=Conditions(cpu_mhz_after=mhz))
        for mhz in (1200.0, 3100.0, 3300.0)
    ]
    assert clocks_text(measured) == (
        "0.4 to 4.7 GHz, boost on, set by amd-pstate-epp; 3.1 GHz at the ends of the fits"
    )
    assert clocks_text([make_record()]) == "unknown"
    assert cpu_name(Machine(cpu_model="Core i5")) == "Core i5"


def test_a_virtual_machine_that_hides_features_is_named_by_its_numbers():
    """Without 'waitpkg' an Emerald Rapids looks like an Ice Lake; the numbers do not lie."""
    machine = Machine(cpu_model="Xeon", cpu_generation="icelake", cpu_family=6, cpu_number=207,
                      cpu_stepping=2)  # fmt: skip
    assert cpu_name(machine) == "Xeon (Emerald Rapids: family 6, model 207, stepping 2)"
    assert cpu_name(machine.model_copy(update={"cpu_number": 158})).startswith("Xeon (icelake: ")


@pytest.mark.parametrize(
    ("family", "number", "name"),
    [(6, 106, "Ice Lake"), (6, 143, "Sapphire Rapids"), (6, 207, "Emerald Rapids"), (6, 85, None),
     (25, 17, "Zen 4"), (25, 1, "Zen 3"), (26, 2, "Zen 5"), (23, 49, "Zen 2"), (None, 1, None),
     (6, None, None)],
)  # fmt: skip
def test_a_generation_is_that_of_the_processors_numbers(family, number, name):
    assert generation(family, number) == name


def test_a_gpu_is_named_with_what_bounds_it():
    card = Machine(gpu_model="NVIDIA H100", gpu_memory_bytes=80 * 2**30, gpu_driver="580.1",
                   gpu_power_limit_watts=700.0)  # fmt: skip
    assert gpu_name(card) == "NVIDIA H100, 80 GiB, 700 W at most, driver 580.1"
    assert gpu_name(Machine(gpu_model="A card")) == "A card"


ANNOUNCE = """
from crossover.hardware.announce import announce
from crossover.hardware.machine import describe_machine
print(*announce(describe_machine("cpu", "CPU:0")), sep="\\n")
"""
# Linux's own folders are covered by the laptop's, for this process and what it starts alone.
COVER = """
set -e
mount --bind "$1" /sys/devices/system/cpu
mount -t tmpfs none /sys/class/power_supply
mkdir /sys/class/power_supply/AC0 /sys/class/power_supply/BAT0
echo 0 > /sys/class/power_supply/AC0/online; echo Mains > /sys/class/power_supply/AC0/type
cd /sys/class/power_supply/BAT0
echo Battery > type; echo Discharging > status; echo 50 > capacity; echo 5000000 > energy_now
echo 9000000 > energy_full; echo 3000000 > power_now
cd "$2"; shift 2
exec "$@"
"""


@pytest.fixture
def laptop(tmp_path):
    """Words that start a command on a simulated laptop: on battery, saving power."""
    online = f"0-{os.cpu_count() - 1}"
    lists = dict.fromkeys(("online", "possible", "present"), online)
    folder = cpu_folder(tmp_path / "cpu", **lists)
    words = ["unshare", "-m", "sh", "-c", COVER, "sh", str(folder), str(tmp_path)]
    if shutil.which("unshare") is None:
        pytest.skip("a laptop is simulated with unshare, on Linux")
    tried = subprocess.run([*words, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a laptop can't be simulated here: {tried.stderr.strip()[-80:]}")
    return words


def test_a_laptop_on_battery_is_told_before_it_trains(laptop, tmp_path):
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    (home / ".keras/keras.json").write_text(json.dumps({"floatx": "float64", "epsilon": 1e-7}))
    # Other tests have prepared this process for a framework; the user's has only what is given.
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    done = subprocess.run(
        [*laptop, sys.executable, "-c", ANNOUNCE], capture_output=True, text=True,
        env=kept | {"HOME": str(home), "OMP_NUM_THREADS": "1", "LD_PRELOAD": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    clocks, environment = done.stdout.splitlines()[-2:]
    assert clocks.startswith("Unusual here: on battery, energy preference balance_power; trials")
    assert "not heeded: OMP_NUM_THREADS=1 and Keras's file (floatx float64)" in environment


def test_a_trial_on_a_laptop_records_what_slowed_it(laptop):
    script = (
        "from crossover.hardware.conditions import Watched\n"
        "watched = Watched()\nwatched.ends('fit')\nprint(watched.so_far().model_dump_json())"
    )
    done = subprocess.run([*laptop, sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = Conditions.model_validate_json(done.stdout)
    assert (found.on_battery, found.cpu_governor) == (True, "powersave")
    assert (found.cpu_mhz_before, found.cpu_mhz_after, found.cpu_mhz_limit) == (1200, 1200, 4700)
    assert Path("/sys/devices/system/cpu/online").exists()
