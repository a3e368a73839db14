"""Sweeps as jobs: what they ask a scheduler for, and how a study spreads over machines."""

import importlib
import json
import os
import re
import statistics
import subprocess
import sys

import pytest
import yaml

from conftest import make_record, report
from crossover.analysis.machines import by_machine
from crossover.analysis.merge import merge
from crossover.errors import CrossoverError
from crossover.paths import PROFILES, PROJECT
from crossover.records.frame import check_comparable
from crossover.records.record import Machine
from crossover.records.reference import keep_all, kept_text, read_reference, reference_paths
from crossover.records.settings import protocol_settings
from crossover.records.storage import trial_folders, write_record
from crossover.study.configuration import configuration, study_from
from crossover.study.copies import CopyError, copy_notebooks
from crossover.study.planner import lacking
from crossover.study.sites import studies_of
from crossover.study.slurm import SlurmError, choose_partitions, parse_partitions, read_partitions
from crossover.study.workflow import workflow_plan
from crossover.training.estimate import Estimate, balanced
from crossover.training.plan import first_records, own_records, remaining_widths, sweep_progress

SETTINGS = {"folder": "x", "widths": "4 8 16 1024", "protocols": "published"}
SINFO = "cpu-a*|64|(null)\nboth|32|gpu:a100:4(S:0-1)\nboth|16|gpu:a100:4\nodd|8|craynetwork:4\n"


def study(**changes):
    return study_from(SETTINGS | {"devices": "cpu gpu"} | changes)


def test_shards_hold_every_width_once_and_take_about_equally_long():
    # By hand: longest first to the emptier group gives 9 | 5+4, then 3 to either.
    seconds = {1: 9.0, 2: 5.0, 3: 4.0, 4: 3.0}
    groups = balanced(seconds, seconds.__getitem__, 2)
    assert sorted(width for group in groups for width in group) == [1, 2, 3, 4]
    assert sorted(sum(seconds[width] for width in group) for group in groups) == [9.0, 12.0]
    assert balanced([4, 8], float, 5) == [[8], [4]]
    assert balanced([], float, 2) == []


def test_a_sharded_study_trains_the_same_trials():
    def trials(shards):
        sweeps = study(shards=shards).missing([]).values()
        return sorted((s.device, s.repeat, width) for s in sweeps for width in s.widths)

    assert len(study(shards=3).missing([])) == 6
    assert trials(3) == trials(1)


@pytest.mark.parametrize(
    ("verb", "title"),
    [
        ("report", "published, CPU, repeat 1"),
        ("explain", "CPU, trainings in turns"),
        ("map", "published, CPU, batches of 512, repeat 1"),
    ],
)
def test_a_sweep_is_named_by_its_change(verb, title, tmp_path):
    config = configuration(verb, ["DEVICES=cpu"])
    config["study"]["folder"] = str(tmp_path)
    (wanted,) = studies_of(config)
    titles = [job.title for job in lacking(wanted, [], config["wanted"])]
    assert title in titles
    assert len(set(titles)) == len(titles) > 1


def test_an_estimate_interpolates_between_records_in_logarithms():
    settings = protocol_settings("published")
    records = [make_record(width=w, fit=s, settings=settings) for w, s in ((4, 2.0), (64, 32.0))]
    estimate = Estimate(records)
    assert estimate.seconds(settings, "cpu", 4) == pytest.approx(2.0)
    # Width 16 has 13,274 parameters: between 3,230 and 59,210 at 0.4860 of the way in logarithms.
    # An eleventh of each fit comes before its ten epochs.
    start, epochs = (2.0 + 0.4860 * 30.0) / 11, 10 / 11 * 2.0 * 16**0.4860
    assert estimate.seconds(settings, "cpu", 16) == pytest.approx(start + epochs, rel=1e-3)
    # The recorded references stand in for a machine without such trials: about their median.
    tuned = protocol_settings("tuned")
    recorded = [record for path in reference_paths() for record in read_reference(path).records]
    alike = [r for r in recorded if (r.settings, r.width, r.device) == (tuned, 4, "cpu")]
    fits = [record.phases.fit for record in alike]
    assert estimate.seconds(tuned, "cpu", 4) == pytest.approx(statistics.median(fits), rel=0.1)
    # The published GPU took 32.7011 s at width 4, at ten epochs.
    one = protocol_settings("published", epochs=1)
    assert estimate.seconds(one, "gpu", 4) == pytest.approx(3.27011)


def test_what_compiling_takes_is_not_multiplied_by_the_epochs():
    ten, one = (protocol_settings("published", backend="torch", epochs=n) for n in (10, 1))
    wide = protocol_settings("published", backend="torch", epochs=10, batch_size=256)
    first = [5.0 + 0.5] + [0.5] * 9  # Five seconds of compiling, then half a second an epoch.
    phases = make_record(fit=10.0).phases.model_copy(update={"epochs": first})
    long = make_record(width=4, settings=ten, phases=phases)
    assert Estimate([long]).seconds(ten, "cpu", 4) == pytest.approx(10.0)
    assert Estimate([long]).seconds(one, "cpu", 4) == pytest.approx(5.5)
    assert Estimate([long]).seconds(wide, "cpu", 4) == pytest.approx(5.0 + 2.5)
    # A trial of one epoch says the same again, and without a longer one all of it is the epoch's.
    short = make_record(width=4, settings=one, fit=5.5)
    assert Estimate([short]).seconds(one, "cpu", 4) == pytest.approx(5.5)
    assert Estimate([short]).seconds(ten, "cpu", 4) == pytest.approx(55.0)


def test_a_quick_look_at_the_reference_machine_is_foretold():
    """A tenth of ten epochs was expected of one: the time left was ten times too long."""
    quick = protocol_settings("published", epochs=1)
    recorded = [record for path in reference_paths() for record in read_reference(path).records]
    for width in (16, 1024):
        firsts = [
            record.phases.epochs[0]
            for record in recorded
            if (record.width, record.settings) == (width, protocol_settings("published"))
        ]
        expected = Estimate([]).seconds(quick, "cpu", width)
        assert expected == pytest.approx(statistics.median(firsts), rel=0.5)


def test_a_sweep_finds_its_own_trials_among_those_of_a_large_study(tmp_path):
    settings = protocol_settings("published")
    for repeat in (1, 2):
        for device in ("cpu", "gpu"):
            for width in (4, 8, 16)[: 4 - repeat]:
                trial = make_record(width, repeat, device, fit=60.0, settings=settings)
                write_record(tmp_path / "trials", trial)
    *_, cpu = study(folder=str(tmp_path), repeats=2).missing([]).values()
    assert (cpu.repeat, cpu.device) == (2, "cpu")
    assert sorted(record.width for record in own_records(cpu, "cpu")) == [4, 8]
    assert {record.repeat for record in own_records(cpu, "cpu")} == {2}
    order = remaining_widths(cpu, "cpu")
    assert sorted(width for _, width in order) == [16, 1024]
    # Every recorded training took a minute, and so should these two.
    assert sweep_progress(cpu, "cpu", order, first_records(cpu)).left_seconds() == pytest.approx(
        120.0
    )


def test_partitions_are_read_from_sinfo():
    known = parse_partitions(SINFO)
    assert list(known) == ["cpu-a", "both", "odd"]
    assert [known[name].devices for name in known] == [["cpu"], ["cpu", "gpu"], ["cpu"]]
    assert known["both"].cores == 16
    assert [partition.name for partition in choose_partitions([], known)] == ["cpu-a"]
    assert [p.name for p in choose_partitions(["odd", "both", "odd"], known)] == ["odd", "both"]
    with pytest.raises(CrossoverError, match="PARTITIONS names 'none': SLURM has cpu-a, both, odd"):
        choose_partitions(["none"], known)


@pytest.mark.parametrize("answer", ["exit 1", None])
def test_a_slurm_that_is_missing_or_silent_has_a_code_of_its_own(answer, tmp_path, monkeypatch):
    if answer:
        (tmp_path / "sinfo").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlurmError) as caught:
        read_partitions()
    assert caught.value.code == 5


def test_slurm_refuses_a_folder_with_a_space(project, tmp_path, monkeypatch):
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho 'main*|4|(null)'\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    code, out, err = report(project, "quick", "PROFILE=slurm")
    assert (code, out) == (5, "")
    assert err == "crossover: SLURM's jobs start in no folder with a space: move the project.\n"


def test_a_profile_needs_no_device_on_the_planning_machine():
    config = configuration("report", ["DEVICES=gpu", "PROFILE=kubernetes"])
    assert [wanted.devices for wanted in studies_of(config)] == [["gpu"]]


def test_partitions_keep_their_trials_and_notebooks_apart():
    one, other = study(partition="cpu-a"), study(partition="both")
    assert one.trials != other.trials
    assert not set(one.missing([])) & set(other.missing([]))
    with pytest.raises(CrossoverError, match="partition"):
        study(partition="../up")


def plan_of_a_partition():
    """What the front door hands over of a small study, on nodes with a GPU and 16 cores."""
    wanted = study(partition="both", cores=16, folder="data/runs/none")
    places = {name: "data/runs/none" for name in ("figures", "tables")}
    jobs = lacking(wanted, [], ["trials"])
    return workflow_plan([wanted], jobs, places | {"quick": False})


def rules_of(plan, folder):
    """Snakemake's own view of a plan, its dry run: by rule, what it says of the job."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps(plan))
    profile = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text())
    resources = [f"gpu_sweep:{k}={v}" for k, v in profile["set-resources"]["gpu_sweep"].items()]
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/Snakefile", "--dry-run"]
    command += ["--cores", "1", "--nolock", "--set-resources", *resources]
    command += ["--configfile", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    planned = done.stdout + done.stderr
    blocks = [block.partition(":\n") for block in re.split(r"\n(?:local)?rule ", planned)[1:]]
    return {name: text for name, _, text in blocks}


def test_each_device_asks_for_its_own_resources(tmp_path):
    found = rules_of(plan_of_a_partition(), tmp_path)
    assert set(found) == {"sweep", "gpu_sweep", "report"}
    for device, job in (("cpu", found["sweep"]), ("gpu", found["gpu_sweep"])):
        assert f"published-{device}-r1" in job
        assert "cpus_per_task=16" in job
        assert "slurm_partition=both" in job
        assert ("gres=gpu:1" in job) is (device == "gpu")
    # The published GPU's seconds at these four widths, four times, and half an hour to start.
    seconds = 32.7011 + 32.8508 + 32.9818 + 60.7474
    assert f"runtime={30 + -int(-4 * seconds // 60)}" in found["gpu_sweep"]


def test_the_workflow_reads_nothing_from_names(tmp_path):
    plan = plan_of_a_partition()
    for name, job in zip(("gpu-like", "cpu-like"), plan["jobs"].values(), strict=True):
        job["executed"] = f"{job['executed'].rpartition('/')[0]}/{name}.ipynb"
    plan["jobs"] = dict(zip(("gpu-like", "cpu-like"), plan["jobs"].values(), strict=True))
    rules = rules_of(plan, tmp_path)
    assert "notebooks/cpu/gpu-like.ipynb" in rules["sweep"]
    assert "gres" not in rules["sweep"]
    assert "notebooks/gpu/cpu-like.ipynb" in rules["gpu_sweep"]
    assert "gres=gpu:1" in rules["gpu_sweep"]


def test_a_cluster_gives_each_sweep_a_node():
    profile = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text())
    assert "--exclusive" in profile["default-resources"]["slurm_extra"]
    assert profile["default-resources"]["mem_mb"] >= 4000
    assert profile["retries"] >= 1


FAST = Machine(cpu_model="Fast CPU", visible_cores=8)
SLOW = Machine(cpu_model="Slow CPU", visible_cores=2)


def test_trials_of_two_kinds_of_node_are_two_machines():
    records = [
        make_record(machine=FAST),
        make_record(machine=SLOW, width=8),
        make_record(machine=FAST.model_copy(update={"gpu_model": "G1"}), device="gpu"),
    ]
    machines = by_machine(records, "part")
    assert {name: len(group) for name, group in machines.items()} == {
        "part: Fast CPU (8 cores) + G1": 2,
        "part: Slow CPU (2 cores)": 1,
    }
    for group in machines.values():
        check_comparable(group)


def test_a_study_over_partitions_compares_its_machines(tmp_path):
    settings = [protocol_settings("published")]
    for width in (4, 8):
        trial = {"width": width, "settings": settings[0]}
        gpu = SLOW.model_copy(update={"gpu_model": "G1"})
        write_record(tmp_path / "cpu-a", make_record(machine=FAST, fit=1.0, **trial))
        write_record(tmp_path / "both", make_record(machine=SLOW, fit=9.0, **trial))
        write_record(tmp_path / "both", make_record(machine=gpu, device="gpu", fit=3.0, **trial))
    (tmp_path / "rejected").mkdir()
    assert [path.name for path in trial_folders(tmp_path)][1:] == ["both", "cpu-a"]
    merged = merge(tmp_path, settings, references=tmp_path)
    assert merged.own == "both: Slow CPU (2 cores) + G1"
    assert merged.variants == ["cpu-a: Fast CPU (8 cores)"]
    assert merged.gpu_machine == merged.own
    assert merged.pairs == [("cpu-a: Fast CPU (8 cores)", merged.own)]
    medians = merged.trials.groupby(["machine", "device"])["cold_seconds"].median()
    assert medians["cpu-a: Fast CPU (8 cores)", "cpu"] == 1.0
    assert medians[merged.own, "cpu"] == 9.0


def test_each_partition_is_kept_as_a_reference_of_its_own(tmp_path):
    trials, references = tmp_path / "study" / "trials", tmp_path / "references"
    write_record(trials / "Big_mem", make_record(machine=FAST))
    write_record(trials / "gpu", make_record(machine=SLOW))
    kept = keep_all("site", tmp_path / "study", references)
    assert [path.name for path in kept] == ["site-big-mem.jsonl", "site-gpu.jsonl"]
    assert [read_reference(path).records[0].machine for path in kept] == [FAST, SLOW]
    told = [kept_text(path) for path in kept]
    assert told[0].startswith("Recorded 1 trial in ")
    assert told[0].endswith("/site-big-mem.jsonl.")


def test_executed_notebooks_are_copied_once(tmp_path):
    source, target = tmp_path / "notebooks", tmp_path / "copies"
    source.mkdir()
    (source / "a.ipynb").write_text('{"cells": []}')
    assert copy_notebooks(source, str(target)) == 1
    assert (target / "a.ipynb").read_text() == '{"cells": []}'
    assert copy_notebooks(source, str(target)) == 0
    assert copy_notebooks(source, str(tmp_path / "elsewhere")) == 1
    for device in ("cpu", "gpu"):  # What the workflow executes lies in a folder a device.
        (source / device).mkdir()
        (source / device / f"{device}.ipynb").write_text("{}")
    assert copy_notebooks(source, str(target)) == 3  # A copy elsewhere forgets the first place.
    assert sorted(path.name for path in target.iterdir()) == ["a.ipynb", "cpu.ipynb", "gpu.ipynb"]


def test_a_copy_that_fails_is_one_sentence(tmp_path):
    (tmp_path / "a.ipynb").write_text("{}")
    with pytest.raises(CopyError, match=r"a\.ipynb could not be copied to http://"):
        copy_notebooks(tmp_path, "http://127.0.0.1:9/nowhere")
    assert copy_notebooks(tmp_path, str(tmp_path / "later")) == 1


@pytest.fixture
def benchmarks(monkeypatch):
    """Import a script of ``benchmarks`` by its name, as it is run: beside the others."""
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    return importlib.import_module


def test_the_benchmarks_plan_as_the_front_door_does(tmp_path, benchmarks):
    """A half-trained study of two repeats: both protocols, both devices, nine widths."""
    measured = benchmarks("planning").measure(tmp_path, 72)
    assert (measured["trials"], measured["sweeps"]) == (72, 4)
    pytest.importorskip("simpy")
    seconds = benchmarks("scaling").sweeps(2, [])
    assert len(seconds) == 8
    # No reference has a GPU's trials: the published table's.
    gpu = [32.7011, 32.8508, 32.9818, 32.7519, 33.0307, 32.4855, 33.4356, 37.803, 60.7474]
    assert seconds[1] == pytest.approx(sum(gpu))
