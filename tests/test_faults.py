"""A study that is killed, refused or robbed of its disk: nothing lost, nothing trained twice."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import bs4
import psutil
import pytest
from filelock import FileLock

from conftest import BIN, copy_project, front_door, make_record, outside, papermill, report
from crossover.analysis.summary import summarise
from crossover.files import StorageError, check_folder, write_bytes
from crossover.hardware.machine import nvidia_driver_version
from crossover.paths import NOTEBOOKS, PROJECT
from crossover.records.frame import to_frame
from crossover.records.settings import protocol_settings
from crossover.records.storage import read_records, record_name, write_record
from crossover.report.columns import written
from crossover.report.sections.spread import COLUMNS
from crossover.study.processes import MARK
from crossover.training.lock import LockError, timing_lock

FAULTS = PROJECT / "docs" / "faults.md"
SEED = int(os.environ.get("CROSSOVER_KILL_SEED", "7"))
FEWEST_KILLS = 18  # of twenty: a front door may end of the first
WIDTHS = "4 5 6 7 8 9"
TINY = [f"WIDTHS={WIDTHS}", "EPOCHS=1", "PROTOCOLS=published", "DEVICES=cpu", "REPEATS=2"]
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def trials(project, study="main"):
    return project / "data" / "runs" / study / "trials"


def contents(project, study="main"):
    return {path.name: path.read_bytes() for path in trials(project, study).glob("*.json")}


def role(process):
    """What a process of a study is, or None for a helper that nobody would kill."""
    with suppress(psutil.Error):
        words = process.cmdline()
        for word, name in (("ipykernel_launcher", "kernel"), ("snakemake", "Snakemake")):
            if word in words:
                return name
        if len(words) > 1 and Path(words[1]).name == "papermill":
            return "papermill"
    return None


def study_processes(door):
    """The processes of a running study by role, the front door included; none when it ended."""
    if door.poll() is not None:
        return {}
    front = psutil.Process(door.pid)
    found = {role(child): child for child in front.children(recursive=True)}
    found.pop(None, None)
    return {"front door": front, **found}


def marked(project):
    """The living processes that a study of this project started, whoever adopted them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == str(project):
                found.append(process)
    return found


def runs(door, *words):
    """Whether a process of a running study was started with one of these words, by itself."""
    for child in psutil.Process(door.pid).children(recursive=True):
        with suppress(psutil.Error):
            if set(words) & set(child.cmdline()):
                return True
    return False


# What a kill waits for: the project, the running front door and the records before decide.
EVENTS = {
    "its kernel is up": lambda project, door, kept: "kernel" in study_processes(door),
    "a trial is recorded": lambda project, door, kept: len(contents(project, "quick")) > len(kept),
    "its report is made": lambda project, door, kept: runs(door, "notebooks/summary.ipynb"),
    "its page is rendered": lambda project, door, kept: runs(
        door, "render", "crossover.report.render"
    ),
}
# Two kills each: of one process by chance, and of the front door.
STRIKES = [
    "its kernel is up",
    *["a trial is recorded"] * 4,
    "its kernel is up",
    "a trial is recorded",
    *["its report is made"] * 2,
    "its page is rendered",
]


def kill(door, chance, log, victims=None):
    """Kill one process of a running study, chosen by chance; nothing where it has ended."""
    running = study_processes(door)
    names = sorted(running if victims is None else set(running) & set(victims))
    if not names:
        return
    victim, number = chance.choice(names), chance.choice(SIGNALS)
    with suppress(psutil.Error):
        running[victim].send_signal(number)
        log.append(f"{number.name:7}  {victim:10}  of {', '.join(running)}")


def disturbed_run(project, chance, event, kept, log):
    """Start the study, kill some of it at an event, and the front door soon after.

    Returns its exit code, its output and its errors.
    """
    paths = project / "out.txt", project / "err.txt"  # An orphan would hold a pipe open.
    with paths[0].open("w") as out, paths[1].open("w") as err:
        door = front_door(project, "quick", *TINY, stdout=out, stderr=err)
    while door.poll() is None and not EVENTS[event](project, door, kept):
        time.sleep(0.02)
    assert door.poll() is None, f"the study ended before {event}: {paths[1].read_text()}"
    kill(door, chance, log)
    with suppress(subprocess.TimeoutExpired):
        door.wait(chance.uniform(0.1, 1.5))
    kill(door, chance, log, {"front door"})
    return door.wait(timeout=60), *(path.read_text() for path in paths)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_kills_lose_nothing(project):
    chance, log, kept, with_records = random.Random(SEED), [], {}, 0
    print(f"seed {SEED} (CROSSOVER_KILL_SEED)")
    for event in STRIKES:
        before = len(log)
        code, out, err = disturbed_run(project, chance, event, kept, log)
        now = contents(project, "quick")
        for number, row in enumerate(log[before:], before + 1):
            print(f"kill {number:2}: when {event}: {row}")
        print(f"         exit {code}, {len(now)} of 12 trials")
        assert kept.items() <= now.items(), "a finished trial was lost or trained again"
        assert event != "a trial is recorded" or len(now) > len(kept)
        with_records += (len(log) - before) * bool(now)
        kept = now
        assert code != 0 or "Report:" in out
        assert "Study:" not in out or "Traceback" not in err
    assert len(log) >= FEWEST_KILLS
    assert with_records >= FEWEST_KILLS - 2, "the kills struck before there was anything to lose"
    code, out, err = report(project, "quick", *TINY)
    assert code == 0, out + err
    assert kept.items() <= contents(project, "quick").items()
    loaded = read_records(trials(project, "quick"))
    assert loaded.problems == []
    trained = sorted((record.repeat, record.width, record.seed) for record in loaded.records)
    assert trained == sorted(
        (repeat, int(width), 776 + repeat) for repeat in (1, 2) for width in WIDTHS.split()
    )
    assert not list(project.rglob("*.tmp"))
    assert not (trials(project, "quick") / "rejected").exists()
    assert marked(project) == []
    page = bs4.BeautifulSoup(
        (project / "figures" / "quick" / "report.html").read_text(), "html.parser"
    )
    assert "Unfinished study" not in page.get_text()
    print(f"after {len(log)} kills: {len(loaded.records)} trials, none lost, none trained twice")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_whole_study_in_one_sentence(number, project):
    door = front_door(project, "report", *TINY)
    wanted = {"papermill", "kernel"} if number == signal.SIGTERM else {"Snakemake"}
    while not wanted <= set(study_processes(door)):
        assert door.poll() is None
        time.sleep(0.1)
    door.send_signal(number)
    out, err = door.communicate(timeout=60)
    assert door.returncode == 128 + number
    assert err == ("crossover: stopped; what is finished is kept: the same command goes on.\n")
    assert "Traceback" not in out
    assert marked(project) == []


def test_ctrl_c_while_it_starts_prints_no_traceback(project):
    door = front_door(project, "quick", "DEVICES=cpu")
    maps = Path(f"/proc/{door.pid}/maps")
    while "pydantic_core" not in maps.read_text():  # In the midst of its imports.
        assert door.poll() is None
        time.sleep(0.005)
    door.send_signal(signal.SIGINT)
    _, said = door.communicate(timeout=60)
    assert door.returncode in (-signal.SIGINT, 128 + signal.SIGINT)
    assert "Traceback" not in said


def test_an_orphaned_kernel_ends_by_itself(tmp_path):
    command = [BIN / "papermill", NOTEBOOKS / "train.ipynb", tmp_path / "t.ipynb"]
    command += ["--kernel", "crossover-cpu", "--cwd", NOTEBOOKS, "-p", "output", tmp_path]
    environment = outside(CROSSOVER_LOCK=str(tmp_path / "lock"))
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as run:
        front = psutil.Process(run.pid)
        while "kernel" not in (found := {role(child): child for child in front.children()}):
            assert run.poll() is None
            time.sleep(0.1)
        time.sleep(2)
        run.kill()
    assert psutil.wait_procs([found["kernel"]], timeout=20)[1] == []


@pytest.mark.long
def test_a_study_with_a_device_missing_reports_what_is_recorded(project):
    if nvidia_driver_version() is not None:
        pytest.skip("this machine has a GPU: its sweep would not fail")
    words = ["WIDTHS=4", *TINY[1:3], "DEVICES=cpu gpu"]
    code, out, err = report(project, "quick", *words)
    assert code != 0
    assert "Not everything was trained; reporting what is recorded." in out
    assert "crossover: A GPU was asked for but no NVIDIA driver is present" in err
    assert "Traceback" not in out + err
    page = (project / "figures" / "quick" / "report.html").read_text()
    text = bs4.BeautifulSoup(page, "html.parser").get_text()
    assert "Unfinished study" in text
    assert "published GPU, repeat 1: 4" in text
    assert [record.device for record in read_records(trials(project, "quick")).records] == ["cpu"]


def test_a_second_study_in_the_folder_is_refused(project):
    with FileLock(project / ".study.lock"):
        code, out, err = report(project, "report", *TINY)
    assert (code, out) == (3, "")
    assert err == "crossover: another study runs in this folder: wait for it or stop it.\n"
    assert not (project / "data" / "runs").exists()


HOLDER = """
import sys
from crossover.training.lock import timing_lock
with timing_lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_holder_never_blocks_the_next_sweep(tmp_path):
    environment = outside(CROSSOVER_LOCK=str(tmp_path / "lock"))
    (tmp_path / "lock").write_text("left behind by a crash")
    for _ in range(2):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", HOLDER]
        with subprocess.Popen(command, env=environment, **pipes) as holder:
            assert holder.stdout.readline() == "held\n"
            holder.kill()


def test_a_sweep_that_waits_says_so_and_gives_up_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROSSOVER_LOCK", str(tmp_path / "lock"))
    gives_up = pytest.raises(LockError, match="stop it, or run again when it has ended")
    with FileLock(tmp_path / "lock"), gives_up, timing_lock(wait_seconds=0.2):
        pass
    said = "Another sweep is being timed on this machine: waiting for it to end.\n"
    assert capsys.readouterr().out == said
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("CROSSOVER_LOCK", str(tmp_path / "folder"))
    with pytest.raises(LockError, match=r"cannot be opened \(.*\): remove it"), timing_lock():
        pass


STRANGER = 54321


@pytest.fixture
def strangers_lock(tmp_path, monkeypatch):
    """A lock file of another user where this user's would be."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    monkeypatch.delenv("CROSSOVER_LOCK", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / f"crossover-{os.getuid()}.lock"
    path.touch(mode=0o644)
    os.chown(path, STRANGER, STRANGER)
    return path


def test_a_strangers_lock_file_is_named_and_passed_over(strangers_lock, capsys):
    for _ in range(2):
        with timing_lock(), pytest.raises(LockError), timing_lock(wait_seconds=0.1):
            pass
        said = capsys.readouterr().out.splitlines()[0]
        name = strangers_lock.stem
        assert said == f"The lock file {name}.lock belongs to user {STRANGER}: using {name}-2.lock."
    assert strangers_lock.read_bytes() == b""


def test_a_lock_that_a_stranger_holds_is_waited_for(strangers_lock, capsys):
    gives_up = pytest.raises(LockError, match=f"user {STRANGER} and was held")
    with FileLock(strangers_lock), gives_up, timing_lock(wait_seconds=0.1):
        pass
    assert f"belongs to user {STRANGER} and is held: waiting for" in capsys.readouterr().out
    with timing_lock(wait_seconds=0.1):
        pass


def test_what_is_no_file_is_passed_over(strangers_lock, capsys):
    strangers_lock.unlink()
    os.mkfifo(strangers_lock)
    with timing_lock(wait_seconds=0.1):
        assert "is no regular file: using" in capsys.readouterr().out


def needs_mount(folder, size):
    """Mount a small file system on a folder, or skip with the reason."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("file systems can be mounted by root only")


@contextmanager
def mounted(folder, size):
    needs_mount(folder, size)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_refused_before_anything_is_trained(tmp_path):
    with mounted(tmp_path / "disk", "4m") as disk:
        project = copy_project(disk / "project")
        code, out, err = report(project, "report", *TINY)
        assert (code, out) == (4, "")
        assert err.startswith("crossover: trials could not be written (the disk is full): make")
        assert err.count("\n") == 1
        assert not (project / "data" / "runs").exists()


def test_a_disk_that_fills_up_keeps_what_is_recorded(tmp_path):
    with mounted(tmp_path / "disk", "6m") as disk:
        for width in (4, 8):
            write_record(disk, make_record(width=width))
        before = {path.name: path.read_bytes() for path in disk.iterdir()}
        with filled(disk), pytest.raises(StorageError, match=r"\(No space left on device\): make"):
            write_record(disk, make_record(width=16))
        assert {path.name: path.read_bytes() for path in disk.iterdir()} == before
        write_record(disk, make_record(width=16))
        assert len(read_records(disk).records) == 3


@contextmanager
def filled(disk):
    """Leave no byte free on a disk, and give the room back in the end."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"0" * 4096):
            pass
    yield
    filler.unlink()


@pytest.mark.long
def test_a_study_whose_disk_fills_up_goes_on_when_there_is_room(tmp_path):
    words = ["quick", "WIDTHS=4 5", *TINY[1:4]]
    with mounted(tmp_path / "disk", "14m") as disk:
        project = copy_project(disk / "project")
        door = front_door(project, *words)
        while not contents(project, "quick"):
            assert door.poll() is None, door.communicate()
            time.sleep(0.05)
        before = contents(project, "quick")
        with filled(disk):
            out, err = door.communicate(timeout=120)
        assert door.returncode != 0
        assert "crossover: the disk is full: make room, then run the same command again." in err
        assert "Traceback" not in out + err
        assert contents(project, "quick") == before
        code, out, err = report(project, *words)
        assert code == 0, out + err
        assert "Study: 1 of 2 trials to train" in out
        assert before.items() <= contents(project, "quick").items()
        assert not list(project.rglob("*.tmp"))


def test_a_read_only_folder_is_one_sentence(tmp_path):
    with mounted(tmp_path / "disk", "20m") as disk:
        project = copy_project(disk / "project")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        code, out, err = report(project, "report", *TINY)
        assert (code, out) == (4, "")
        assert err.count("\n") == 1
        assert "Read-only file system" in err


def test_a_vanished_folder_is_made_again(tmp_path):
    folder = tmp_path / "runs" / "trials"
    write_record(folder, make_record())
    shutil.rmtree(folder.parent)
    assert read_records(folder).records == []
    path = write_record(folder, make_record(width=8))
    assert [record.width for record in read_records(path.parent).records] == [8]


def test_a_file_in_the_folders_place_is_one_sentence(project):
    trials(project).parent.mkdir(parents=True)
    trials(project).write_text("")
    code, out, err = report(project, "report", *TINY)
    assert (code, out) == (4, "")
    assert err.startswith("crossover: trials could not be written (it is no folder): make room")
    assert err.count("\n") == 1
    with pytest.raises(StorageError, match="could not be read"):
        read_records(trials(project))


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    record = make_record()
    left = tmp_path / f".{record_name(record)}.abc.tmp"
    left.write_bytes(b"{")
    other = tmp_path / ".other.json.abc.tmp"
    other.write_bytes(b"{")
    write_record(tmp_path, record)
    assert not left.exists()
    assert other.exists()
    write_bytes(tmp_path / "other.json", b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["other.json", record_name(record)]
    )


def test_a_folder_is_checked_and_not_made(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_no_record_is_fatal_to_the_others(project):
    settings = protocol_settings("published", epochs=1)
    folder = trials(project)
    good = write_record(folder, make_record(width=4, settings=settings))
    (folder / "torn.json").write_bytes(good.read_bytes()[:-40])
    (folder / "newer.json").write_text('{"schema_version": 99}')
    (folder / "\x1b[31mred\udcff.json").write_text("x")
    os.mkfifo(folder / "pipe.json")
    (folder / "zero.json").symlink_to("/dev/zero")
    (folder / "folder.json").mkdir()
    for kind in ("ceilings", "rounds"):
        (folder.parent / kind).mkdir()
        (folder.parent / kind / f"torn-{kind}.json").write_text('{"backend": "tens')
    code, out, err = report(project, "partial", "EPOCHS=1")
    assert code == 0, out + err
    lines = [line for line in out.splitlines() if line.startswith(("Set aside", "Not read"))]
    assert len(lines) == 8
    assert "Set aside into rounds/rejected: torn-rounds.json: it is no JSON text, or only" in out
    assert all(line.isprintable() for line in lines)
    assert "Not read: newer.json: made by a newer version of this project: update" in out
    assert (folder / "newer.json").exists()
    assert {path.name for path in (folder / "rejected").iterdir()} == {
        "torn.json", "\x1b[31mred\udcff.json", "pipe.json", "zero.json", "folder.json",
    }  # fmt: skip
    page = bs4.BeautifulSoup((project / "figures" / "report.html").read_text(), "html.parser")
    text = page.get_text()
    assert "rejected/torn.json: was no valid trial" in text
    for kind in ("ceilings", "rounds"):
        assert f"rejected/torn-{kind}.json: was no valid measurement" in text
    assert "newer.json: made by a newer version" in text
    assert "Unfinished study" in text


def test_a_training_that_fails_is_a_result_with_a_flag(tmp_path):
    done = papermill(
        "train.ipynb", tmp_path / "t.ipynb", widths=4, epochs=1, optimizer="sgd",
        learning_rate=10.0, batch_size=1000, output=tmp_path / "trials",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = read_records(tmp_path / "trials").records
    # Ten times the gradient: the loss overflows, or every unit dies and one digit is the answer.
    assert record.test_accuracy < 0.12
    summary = summarise(to_frame([record], "here"))
    (flags,) = written(summary, COLUMNS)["flags"]
    assert "learned nothing" in flags
    assert ("loss not finite" in flags) == (record.test_loss is None)
    lost = record.model_copy(update={"test_loss": None})
    (flags,) = written(summarise(to_frame([lost], "here")), COLUMNS)["flags"]
    assert flags.startswith("⚑ loss not finite; learned nothing")


def test_the_table_of_faults_names_tests_that_exist():
    rows = re.findall(r"^\|.*`(test_\w+\.py)::(\w+)` \|$", FAULTS.read_text(), re.MULTILINE)
    assert len(rows) >= 25
    for name, function in rows:
        assert f"def {function}(" in (Path(__file__).parent / name).read_text(), function
