"""The study against the clock: what is worth most first, and nothing finished is lost."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time

import psutil
import pytest

from conftest import make_record
from crossover.__main__ import main
from crossover.errors import CrossoverError
from crossover.paths import PROJECT, REFERENCES
from crossover.records.ceilings import write_ceilings
from crossover.records.frame import MixedTrialsError
from crossover.records.record import Machine
from crossover.records.reference import Kept, keep, read_kept, read_reference, take_up
from crossover.records.rounds import write_rounds
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records, write_record
from crossover.study import offline
from crossover.study.archive import write_archive
from crossover.study.configuration import present_devices, study_from
from crossover.study.offline import Clock, run_job, run_jobs, worthwhile
from crossover.study.planfile import is_left, read_plan
from crossover.study.planner import START_SECONDS, lacking
from crossover.training.estimate import Estimate
from test_ceilings import make_ceilings
from test_rounds import make_rounds


def study(folder, **changes):
    given = {"folder": str(folder), "widths": "4", "devices": "cpu", "protocols": "published"}
    return study_from(given | {"epochs": 1} | changes)


spec = importlib.util.spec_from_file_location("packed", PROJECT / "benchmarks/offline_study.py")
packed = importlib.util.module_from_spec(spec)
spec.loader.exec_module(packed)


class StartedError(Exception):
    """Raised instead of starting the study; holds the words after its Python."""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Run the script without installing; return the words that it would start the study with."""

    def throw(_, words, __):
        raise StartedError(words[1:])

    def start(*words):
        with pytest.raises(StartedError) as caught:
            packed.main(list(words))
        return caught.value.args[0]

    monkeypatch.setattr(packed, "install", lambda *_: sys.executable)
    monkeypatch.setattr(packed.os, "execve", throw)
    monkeypatch.chdir(tmp_path)
    return start


def test_the_readmes_command_plans_the_published_widths(tmp_path, started, capsys):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"`python benchmarks/offline_study.py (run [^`]*)`", text)[1].split()
    module, entry, *words = started(*command, "--seconds=1")
    assert (module, entry) == ("-m", "crossover")
    capsys.readouterr()
    assert main(words) == 1
    out = capsys.readouterr().out.splitlines()
    # Three repeats of both protocols, the ceilings, and the trainings in turns.
    count = (3 * 2 + 1 + 1) * len(present_devices())
    assert out[0] == f"Study: {count} notebooks to execute in 0:01"
    assert out[-1].startswith("0 trials recorded, ")
    left_out = (tmp_path / "WORK" / "study" / "left-out.txt").read_text()
    assert "published-cpu-r1-w4_8_16_32_64_128_256_512_1024-" in left_out


def test_a_shipped_plan_and_an_archive_are_handed_on(tmp_path, started):
    more = ["--archive", "c.tar.gz", "--from", "nvidia-h100"]
    _, _, verb, *words = started("run", "a", "b", "--plan", "jax", *more)
    given = dict(word.split("=", 1) for word in words)
    assert verb == "offline"
    assert 569 < float(given.pop("SECONDS")) < 570
    assert given == {
        "FOLDER": str(tmp_path / "b" / "study"), "BACKEND": "jax",
        "PLAN": str(PLANS / "jax.csv"), "ARCHIVE": str(tmp_path / "c.tar.gz"),
        "FROM": "nvidia-h100",
    }  # fmt: skip


@pytest.fixture
def h100(monkeypatch):
    """This process takes itself for the machine of the H100's reference; its trials."""
    trials = read_reference(REFERENCES / "nvidia-h100.jsonl").records
    software = trials[0].software
    versions = {name: getattr(software, name) for name in ("backend", "keras", "numpy")}
    monkeypatch.setattr(offline, "describe_machine", lambda *_: trials[0].machine)
    monkeypatch.setattr(offline, "installed_versions", lambda _: versions)
    monkeypatch.setattr(offline, "recorded_environment", dict)
    return trials


def go_on(folder, *more):
    plan = f"PLAN={PLANS / 'jax.csv'}"
    return main(["offline", f"FOLDER={folder}", plan, "BACKEND=jax", "SECONDS=0", *more])


def test_a_reference_is_gone_on_with(tmp_path, h100, capsys):
    """What it holds is not trained again; the rest is planned."""
    for _ in range(2):  # The same command again finds all of it there.
        assert go_on(tmp_path, "FROM=nvidia-h100") == 1
        assert capsys.readouterr().out.splitlines()[-1] == f"{len(h100)} trials recorded, 0:00 left"
    left_out = (tmp_path / "left-out.txt").read_text().split()
    assert left_out
    assert not [name for name in left_out if "-r1-" in name or name.startswith("ceilings-jax-gpu")]


@pytest.mark.parametrize(
    ("part", "other", "sentence"),
    [
        ("describe_machine", lambda *_: Machine(cpu_model="Another", visible_cores=16),
         "this study was begun on Intel(R) Xeon(R) Processor (16 cores), and this is Another"),
        ("installed_versions", lambda _: {"numpy": "1.0"},
         "this study was begun with numpy 2.5.2, and 1.0 is installed"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("h100")
def test_no_reference_of_another_machine_is_gone_on_with(
    part, other, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(offline, part, other)
    assert go_on(tmp_path / "study", "FROM=nvidia-h100") != 0
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


@pytest.mark.usefixtures("h100")
def test_a_wrong_plan_is_refused_before_a_reference_is_written(tmp_path, capsys):
    assert go_on(tmp_path / "study", "FROM=nvidia-h100", f"PLAN={tmp_path / 'none.csv'}") != 0
    assert "none.csv cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_study_is_taken_up_as_it_was_kept(tmp_path):
    study, references, again = (tmp_path / name for name in ("study", "references", "again"))
    references.mkdir()
    for repeat in (1, 2):
        write_record(study / "trials", make_record(repeat=repeat))
    write_ceilings(study / "ceilings", make_ceilings())
    write_rounds(study / "rounds", make_rounds(8))
    keep("box", study, references)
    take_up(read_kept("box", references), again)
    assert files(again) == files(study)


@pytest.mark.parametrize("kind", ["trials", "ceilings", "rounds"])
def test_what_a_folder_has_already_stays_and_the_rest_is_taken_up(kind, tmp_path):
    """Whichever part is there: a first run may have been cut off anywhere."""
    kept = Kept([make_record(), make_record(repeat=2)], [make_ceilings()], [make_rounds(8)])
    take_up(kept, tmp_path)
    whole = files(tmp_path)
    own = next(path for path in (tmp_path / kind).iterdir())
    own.write_bytes(own.read_bytes() + b"\n")
    for path in tmp_path.rglob("*.json"):
        if path != own:
            path.unlink()
    take_up(kept, tmp_path)
    assert files(tmp_path) == whole | {own.relative_to(tmp_path): own.read_bytes()}
    assert own.read_bytes().endswith(b"\n\n")


def test_a_folder_with_another_machines_trials_is_not_gone_on_with(tmp_path):
    other = Machine(cpu_model="Another", visible_cores=2)
    write_record(tmp_path / "trials", make_record(repeat=3, machine=other))
    with pytest.raises(MixedTrialsError, match="cpu_model"):
        take_up(Kept([make_record()], [], []), tmp_path)
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("name", ["none", "../box", "box.jsonl", ""])
def test_no_other_file_is_a_reference(name, tmp_path):
    keep_one(tmp_path)
    with pytest.raises(CrossoverError, match=r"there is no reference .*: name one .* \(box\)\."):
        read_kept(name, tmp_path)


def test_a_reference_that_is_not_whole_is_not_gone_on_with(tmp_path):
    with keep_one(tmp_path).open("a") as file:
        file.write("{}\n")
    with pytest.raises(CrossoverError, match=r"box is not whole \(box\.jsonl:2: .*copy it anew"):
        read_kept("box", tmp_path)


def keep_one(references):
    """Keep one trial as the reference ``box``."""
    write_record(references / "study" / "trials", make_record())
    return keep("box", references / "study", references)


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json")}


@pytest.mark.parametrize(
    "words",
    [["--repeats", "3"], ["repeats"], ["repeats=3"], ["BAKEND=jax"], ["SECONDS=9"], ["REPEATS"]],
)
def test_what_is_no_setting_is_refused_before_anything_is_installed(words, started, capsys):
    with pytest.raises(SystemExit) as caught:
        packed.main(["run", "a", "b", *words])
    assert caught.value.code == 2
    assert f"unknown: {words[0]}" in capsys.readouterr().err


def test_the_clock_counts_down_to_zero():
    now = [100.0]
    clock = Clock(30.0, lambda: now[0])
    now[0] = 112.5
    assert clock.left == 17.5
    now[0] = 200.0
    assert clock.left == 0.0


def test_what_is_worth_most_comes_first(tmp_path):
    wanted = study(tmp_path, widths="4 8", repeats=2, devices="cpu gpu")
    found = [job.name for job in lacking(wanted, [], ("trials", "ceilings", "rounds"))]
    kinds = [name.split("-w")[0] for name in found]
    assert kinds[:2] == ["published-cpu-r1", "published-gpu-r1"]
    assert [name.startswith("ceilings-") for name in found[2:4]] == [True, True]
    assert kinds[4:6] == ["published-gpu-r2", "published-cpu-r2"]
    # The trainings in turns come last.
    assert found[6:] == ["rounds-tensorflow-cpu-b128-tall", "rounds-tensorflow-gpu-b128-tall"]


def job_of(wanted):
    return next(job for job in lacking(wanted, []) if job.notebook == "train.ipynb")


def test_a_sweep_is_expected_to_take_what_one_like_it_took(tmp_path):
    job = job_of(study(tmp_path, widths="4 8", epochs=10))
    measured = [make_record(w, fit=fit, settings=job.sweep.settings) for w, fit in ((4, 3), (8, 5))]
    job = job.timed(Estimate(measured))
    assert (job.seconds, job.guessed) == (pytest.approx(START_SECONDS + 8.0), False)
    other = make_record(4, settings=protocol_settings("tuned"))
    assert job.timed(Estimate([other])).guessed


def test_what_would_not_end_in_time_is_not_begun(tmp_path):
    wanted = study(tmp_path, repeats=2, widths="8", epochs=10)
    write_ceilings(wanted.ceilings, make_ceilings(widths=[8]))
    write_rounds(wanted.rounds, make_rounds(8))
    write_record(wanted.trials, make_record(8, fit=500.0, settings=wanted.settings("published")))
    said = []
    clock = Clock(START_SECONDS + 60.0)
    left_out = run_jobs(worthwhile(wanted), tmp_path, clock, said.append)
    assert [name.split("-w")[0] for name in left_out] == ["published-cpu-r2"]
    assert said == []


@pytest.fixture
def own_lock(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSOVER_LOCK", str(tmp_path / "lock"))


def test_a_sweep_that_ends_in_time_is_recorded(tmp_path, own_lock):
    assert run_job(tmp_path / "notebooks", job_of(study(tmp_path)), 120.0)
    assert [record.width for record in read_records(tmp_path / "trials").records] == [4]
    logs = sorted((tmp_path / "notebooks").glob("published-cpu-r1-w4-*.log"))
    (log,) = (path for path in logs if not path.name.endswith(".errors.log"))
    assert "trial 1/1  width     4" in log.read_text()


def test_a_notebook_that_fails_says_why_in_one_line(tmp_path, own_lock):
    wanted = study(tmp_path, devices="gpu")
    if "gpu" in present_devices():
        pytest.skip("this machine has a GPU")
    said, job = [], job_of(wanted)
    assert run_jobs([(job, 0.0)], tmp_path, Clock(60.0), said.append) == [job.name]
    assert " did not end (DeviceError: A GPU was asked for but no NVIDIA driver is pres" in said[1]


@pytest.mark.long
def test_a_kernel_that_could_not_begin_is_started_once_more(tmp_path, monkeypatch):
    """Twice in a row is no accident: the job is left out."""
    job, _ = next(iter(worthwhile(study(tmp_path))))
    died = "RuntimeError: Kernel died before replying to kernel_info\n"
    for outcomes, left_out in (([False, True], []), ([False, False], [job.name])):
        tried = iter(outcomes)

        def run(folder, job, seconds, tried=tried):
            folder.mkdir(exist_ok=True)
            (folder / f"{job.name}.errors.log").write_text(died)
            return next(tried)

        monkeypatch.setattr("crossover.study.offline.run_job", run)
        assert run_jobs([(job, 0.0)], tmp_path, Clock(60.0), lambda _: None) == left_out
        assert next(tried, None) is None


def test_the_deadline_ends_a_sweep_and_its_kernel(tmp_path, own_lock):
    assert not run_job(tmp_path / "notebooks", job_of(study(tmp_path, epochs=1000)), 8.0)
    kernels = psutil.Process().children(recursive=True)
    _, alive = psutil.wait_procs(kernels, timeout=20)
    assert [child.cmdline() for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    assert read_records(tmp_path / "trials").records == []


PLANS = PROJECT / "benchmarks" / "plans"


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_shipped_plans_are_jobs_once_each(backend, tmp_path):
    found = read_plan(PLANS / f"{backend}.csv", str(tmp_path), backend)
    assert len({job.name for job, _ in found}) == len(found)
    assert {job.sweep.backend for job, _ in found} == {backend}
    assert all(10 <= least <= 60 for _, least in found)
    assert all(is_left(job) for job, _ in found)


def test_jaxs_plan_tries_the_gpu_first_and_trains_every_width_before_any_again(tmp_path):
    found = [job for job, _ in read_plan(PLANS / "jax.csv", str(tmp_path), "jax")]
    assert (found[0].device, found[0].sweep.widths) == ("gpu", [4, 128, 1024])
    trained = [(job.sweep.repeat, job.sweep.protocol, job.device, width) for job in found
               if job.notebook == "train.ipynb" for width in job.sweep.widths]  # fmt: skip
    assert len(trained) == len(set(trained)) == 3 * 2 * 2 * 9
    assert [repeat for repeat, *_ in trained] == sorted(repeat for repeat, *_ in trained)
    # What explains the trials comes before their second repeats.
    kinds = [job.notebook for job in found]
    assert kinds.index("ceilings.ipynb") < [job.sweep.repeat for job in found].index(2)


def test_torchs_plan_trains_in_turns_on_both_devices(tmp_path):
    found = [job for job, _ in read_plan(PLANS / "torch.csv", str(tmp_path), "torch")]
    turns = [job for job in found if job.notebook == "explain.ipynb"]
    assert [(job.device, job.sweep.widths) for job in turns] == [
        ("gpu", [4, 1024]), ("cpu", [4, 1024]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("published,cpu,4,1", "4 values instead of 5"),
        ("published: XLA,cpu,4,1,30", "PROTOCOLS is 'published:': Input should be"),
        ("published,tpu,4,1,30", "its device must be cpu or gpu"),
        ("published,cpu gpu,4,1,30", "its device must be cpu or gpu"),
        ("published,cpu,4,1,nan", "its seconds a number"),
        ("tuned,cpu,4,x,30", "'x'"),
        ("fast,cpu,4,1,30", "PROTOCOLS is 'fast'"),
        ("published,cpu,0,1,30", "WIDTHS is 0"),
        ("published,cpu,4,0,30", "REPEATS is 0"),
    ],
)
def test_a_wrong_line_of_a_plan_is_named(line, wrong, tmp_path, capsys):
    (tmp_path / "my.csv").write_text(f"what,device,widths,repeat,seconds\n{line}\n")
    assert main(["offline", f"FOLDER={tmp_path / 'study'}", f"PLAN={tmp_path / 'my.csv'}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("crossover: my.csv, line 2: ")
    assert wrong in err
    assert err.count("\n") == 1


def test_a_file_that_changes_while_it_is_packed_spoils_nothing(tmp_path):
    """A notebook is written anew after each cell, again and again while the archive is made."""
    study, archive = tmp_path / "study", tmp_path / "out" / "study.tar.gz"
    (study / "trials").mkdir(parents=True)
    (study / "trials" / "a.json").write_text("{}")
    notebook, over = study / "a.ipynb", threading.Event()

    def rewrite():
        while not over.is_set():
            notebook.write_bytes(b"x" * 3_000_000)
            notebook.write_bytes(b"y")

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        for _ in range(20):
            write_archive(study, archive)
            with tarfile.open(archive) as tar:
                assert "trials/a.json" in [member.name for member in tar.getmembers()]
    finally:
        over.set()
        thread.join()


def test_a_plan_that_is_none_is_refused(tmp_path, capsys):
    assert main(["offline", f"FOLDER={tmp_path / 'study'}", f"PLAN={tmp_path / 'none.csv'}"]) == 2
    assert "none.csv cannot be read" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("width,seconds\n4,1\n")
    assert main(["offline", f"FOLDER={tmp_path / 'study'}", f"PLAN={tmp_path / 'other.csv'}"]) == 2
    assert "begins with other columns" in capsys.readouterr().err


def test_a_job_with_nothing_left_to_do_is_passed_over(tmp_path):
    (tmp_path / "my.csv").write_text(
        "what,device,widths,repeat,seconds\npublished,cpu,4 8,1,5\nceilings,cpu,4 8,1,5\n"
        "rounds,cpu,4 8,1,5\n"
    )
    plans = read_plan(tmp_path / "my.csv", str(tmp_path), "tensorflow")
    write_record(tmp_path / "trials", make_record(4))
    write_ceilings(tmp_path / "ceilings", make_ceilings(widths=(4,)))
    write_rounds(tmp_path / "rounds", make_rounds(4))
    assert [is_left(job) for job, _ in plans] == [True, True, True]
    write_record(tmp_path / "trials", make_record(8))
    write_ceilings(tmp_path / "ceilings", make_ceilings(widths=(4, 8)))
    write_rounds(tmp_path / "rounds", make_rounds(8))
    assert [is_left(job) for job, _ in plans] == [False, False, False]


CUT = """
import sys
from crossover.__main__ import main
from crossover.study import archive
archive.ARCHIVE_SECONDS = 0.5
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.long
def test_what_ended_is_in_the_archive_whatever_is_cut(tmp_path, own_lock):
    """Killed without a word after its first trial, and gone on with from the archive alone."""
    plan = "what,device,widths,repeat,seconds\npublished,cpu,4 8 16 32 64 128,1,5\n"
    (tmp_path / "my.csv").write_text(plan)
    archive = tmp_path / "out" / "study.tar.gz"
    words = [f"FOLDER={tmp_path / 'study'}", f"PLAN={tmp_path / 'my.csv'}", f"ARCHIVE={archive}"]
    process = subprocess.Popen(
        [sys.executable, "-c", CUT, "offline", *words], start_new_session=True
    )
    trials = []
    deadline = time.monotonic() + 120
    while not trials and time.monotonic() < deadline:
        time.sleep(0.2)
        if archive.exists():
            with tarfile.open(archive) as tar:  # Whole at every moment.
                trials = [name for name in tar.getnames() if name.startswith("trials/")]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert trials
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    loaded = read_records(tmp_path / "unpacked" / "trials")
    assert loaded.problems == []
    assert 1 <= len(loaded.records) < 6
    assert "published-cpu-r1" in (tmp_path / "unpacked" / "log.txt").read_text()
    planned = read_plan(tmp_path / "my.csv", str(tmp_path / "unpacked"), "tensorflow")
    assert is_left(planned[0][0])
