"""What a container grants, of both versions of control groups: quotas, time held back, memory."""

import json
import subprocess
import sys

import pytest

from conftest import HALF_A_CORE, papermill
from crossover.hardware.cgroup import (
    Throttling,
    cpu_quota,
    memory_limit,
    read_throttling,
    throttled_since,
)
from crossover.records.storage import read_records

MOUNT_2 = "30 24 0:26 {top} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
MOUNT_1 = "{n} 31 0:{n} {top} /sys/fs/cgroup/{name} rw shared:{n} - cgroup cgroup rw,{name}\n"


def tree(folder, group, mounts, files):
    """A system's files below a folder: this process's groups, mounts, and the groups' files."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(group)
    (folder / "proc/self/mountinfo").write_text("22 1 0:21 / /proc rw - proc proc rw\n" + mounts)
    for name, text in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


STAT_2 = "usage_usec 9\nnr_periods 700\nnr_throttled 620\nthrottled_usec 2500000\n"
STAT_1 = "nr_periods 700\nnr_throttled 620\nthrottled_time 2500000000\n"
ONE = "1:cpu,cpuacct:{group}\n2:memory:{group}\n0::/\n"


def version_2(folder):
    """A container that sees its own group as the top."""
    files = {"cpu.max": "50000 100000\n", "cpu.stat": STAT_2, "memory.max": "2147483648\n"}
    return tree(folder, "0::/\n", MOUNT_2.format(top="/"), files)


def version_2_slices(folder):
    """A process without a limit of its own, in a slice that has one."""
    files = {
        "user.slice/cpu.max": "50000 100000\n",
        "user.slice/cpu.stat": STAT_2,
        "user.slice/memory.max": "4294967296\n",
        "user.slice/memory.high": "2147483648\n",
        "user.slice/session.scope/cpu.max": "max 100000\n",
        "user.slice/session.scope/memory.max": "max\n",
    }
    return tree(folder, "0::/user.slice/session.scope\n", MOUNT_2.format(top="/"), files)


def version_2_outside(folder):
    """A mount of a group's own, told by the path that it has outside."""
    files = {"cpu.max": "50000 100000\n", "cpu.stat": STAT_2, "memory.max": "2147483648\n"}
    return tree(folder, "0::/kube/pod1\n", MOUNT_2.format(top="/kube/pod1"), files)


def version_1(folder):
    """A container of Docker without name spaces for groups."""
    mounts = "".join(
        MOUNT_1.format(n=40 + n, name=name, top="/docker/f00")
        for n, name in enumerate(("cpu", "memory"))
    )
    files = {
        "cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n",
        "cpu/cpu.stat": STAT_1, "memory/memory.limit_in_bytes": "2147483648\n",
    }  # fmt: skip
    return tree(folder, ONE.format(group="/docker/f00"), mounts, files)


@pytest.mark.parametrize("make", [version_2, version_2_slices, version_2_outside, version_1])
def test_both_versions_tell_quota_time_held_back_and_memory(make, tmp_path):
    root = make(tmp_path)
    assert cpu_quota(root) == 0.5
    assert memory_limit(root) == 2 * 2**30
    assert read_throttling(root) == (Throttling(700, 620, 2.5),)


def test_the_least_of_all_levels_holds(tmp_path):
    files = {
        "cpu.max": "400000 100000",
        "a/cpu.max": "150000 100000",
        "a/b/cpu.max": "300000 100000",
    }
    root = tree(tmp_path, "0::/a/b\n", MOUNT_2.format(top="/"), files)
    assert cpu_quota(root) == 1.5
    assert len(read_throttling(root)) == 3


def test_no_limit_is_none(tmp_path):
    files = {
        "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000", "cpu/cpu.stat": STAT_1,
        "memory/memory.limit_in_bytes": "9223372036854771712",
    }  # fmt: skip
    mounts = MOUNT_1.format(n=40, name="cpu", top="/") + MOUNT_1.format(
        n=41, name="memory", top="/"
    )
    root = tree(tmp_path, ONE.format(group="/"), mounts, files)
    assert (cpu_quota(root), memory_limit(root), read_throttling(root)) == (None, None, ())


@pytest.mark.parametrize(
    ("group", "mounts", "files"),
    [
        ("", "", {}),
        ("0::/\n", "", {"cpu.max": "50000 100000"}),
        ("0::/\n", MOUNT_2.format(top="/"), {"cpu.max": "", "cpu.stat": "nr_periods\n"}),
        ("0::/\n", MOUNT_2.format(top="/"), {"cpu.max": "x y", "memory.max": "lots"}),
        ("0::/\n", MOUNT_2.format(top="/"), {"cpu.max": "0 0"}),
        ("nonsense\n", "1 2 - cgroup2\n", {}),
    ],
)
def test_what_cannot_be_read_is_no_limit(group, mounts, files, tmp_path):
    root = tree(tmp_path, group, mounts, files)
    assert (cpu_quota(root), memory_limit(root), read_throttling(root)) == (None, None, ())


def test_a_group_above_the_mount_counts_as_its_top(tmp_path):
    root = tree(tmp_path, "0::/../other\n", MOUNT_2.format(top="/"), {"cpu.max": "25000 100000"})
    assert cpu_quota(root) == 0.25


def test_the_share_is_that_of_the_level_that_was_held_back_most():
    before = (Throttling(100, 10, 1.0), Throttling(100, 0, 0.0))
    after = (Throttling(200, 12, 1.5), Throttling(200, 50, 4.0))
    assert throttled_since(before, after) == (0.5, 4.0)
    assert throttled_since(before, before) == (None, None)
    assert throttled_since((), ()) == (None, None)


BUSY = """
import json, time
from crossover.hardware.cgroup import cpu_quota
from crossover.hardware.conditions import Watched
from crossover.hardware.environment import usable_cores
watched = Watched()
until = time.monotonic() + 1.5
while time.monotonic() < until:
    pass
found = watched.so_far()
print(json.dumps([cpu_quota(), usable_cores(), found.cpu_throttled_fraction,
                  found.cpu_throttled_seconds]))
"""


def test_a_real_quota_is_seen_and_the_time_that_it_held_back(granted):
    done = subprocess.run(
        [*granted(*HALF_A_CORE), sys.executable, "-c", BUSY],
        capture_output=True,
        text=True,
        check=True,
    )
    quota, cores, share, seconds = json.loads(done.stdout)
    assert (quota, cores) == (0.5, 1)
    # A loop that never rests is held back; how often is other load's to say, which takes its turn.
    assert 0 < share <= 1
    assert seconds > 0


def test_a_trial_in_a_quota_has_fewer_threads_and_says_so(granted, tmp_path):
    run = papermill("train.ipynb", tmp_path / "t.ipynb", before=granted(*HALF_A_CORE),
                    widths="4", epochs=1, output=tmp_path / "trials")  # fmt: skip
    assert run.returncode == 0, run.stderr
    (record,) = read_records(tmp_path / "trials").records
    assert record.machine.cpu_quota == 0.5
    assert record.software.threads == 1
    assert set(record.software.pools.values()) == {1}
    assert record.conditions.cpu_throttled_fraction > 0
