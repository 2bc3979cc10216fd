"""Made-up control groups: what a stage in a container, or under a limit of somebody else's, takes for its threads."""

from pathlib import Path

import pytest

from omnipipe.stage.processors import processors

MANY = range(64)
V2 = "30 23 0:26 {top} /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:30 {top} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def newer(root: Path, group: str, top: str = "/") -> None:
    put(root, "proc/self/cgroup", f"0::{group}\n")
    put(root, "proc/self/mountinfo", V2.format(top=top))


def older(root: Path, group: str, top: str) -> None:
    put(root, "proc/self/cgroup", f"9:name=systemd:/\n4:memory:/elsewhere\n3:cpu,cpuacct:{group}\n0::/\n")
    put(root, "proc/self/mountinfo", V1.format(top=top))


def older_limit(root: Path, folder: str, quota: int) -> None:
    put(root, f"sys/fs/cgroup/cpu,cpuacct/{folder}/cpu.cfs_quota_us", f"{quota}\n")
    put(root, f"sys/fs/cgroup/cpu,cpuacct/{folder}/cpu.cfs_period_us", "100000\n")


@pytest.mark.parametrize(
    ("limit", "threads"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("10000 100000", 1),
        ("50000 25000", 2),
        ("9000000 100000", 64),
        ("max 100000", 64),
        ("0 0", 64),
        ("", 64),
        ("rubbish", 64),
    ],
)
def test_a_container_that_sees_its_own_group_as_the_root(root: Path, limit: str, threads: int) -> None:
    newer(root, "/")
    put(root, "sys/fs/cgroup/cpu.max", limit)
    assert processors(root, MANY) == threads


def test_the_smallest_limit_on_the_way_up_holds(root: Path) -> None:
    newer(root, "/kubepods.slice/pod1/container")
    put(root, "sys/fs/cgroup/kubepods.slice/pod1/container/cpu.max", "800000 100000")
    put(root, "sys/fs/cgroup/kubepods.slice/pod1/cpu.max", "300000 100000")
    put(root, "sys/fs/cgroup/kubepods.slice/cpu.max", "max 100000")
    put(root, "sys/fs/cgroup/another/cpu.max", "100000 100000")
    assert processors(root, MANY) == 3


def test_the_older_layout_as_a_container_sees_it(root: Path) -> None:
    """The process's group is the mount's own root, though its name is the host's."""
    older(root, "/kubepods/burstable/pod1/abc", top="/kubepods/burstable/pod1/abc")
    older_limit(root, ".", 250_000)
    assert processors(root, MANY) == 3


def test_the_older_layout_without_a_limit(root: Path) -> None:
    older(root, "/", top="/")
    older_limit(root, ".", -1)
    assert processors(root, MANY) == 64


def test_the_older_layout_as_the_machine_sees_it(root: Path) -> None:
    older(root, "/pods/pod1", top="/")
    older_limit(root, "pods/pod1", 500_000)
    older_limit(root, "pods", 400_000)
    older_limit(root, ".", -1)
    assert processors(root, MANY) == 4


def test_a_group_outside_of_what_is_mounted(root: Path) -> None:
    newer(root, "/../other", top="/mine")
    put(root, "sys/fs/cgroup/cpu.max", "200000 100000")
    assert processors(root, MANY) == 2


def test_processors_that_it_may_not_run_on_do_not_count(root: Path) -> None:
    newer(root, "/")
    put(root, "sys/fs/cgroup/cpu.max", "400000 100000")
    assert processors(root, {3, 7}) == 2


def test_hyper_threads_of_a_core_are_one(root: Path) -> None:
    for cpu in range(8):
        put(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 4},{cpu % 4 + 4}\n")
    assert processors(root, range(8)) == 4
    assert processors(root, {0, 1, 4}) == 2


def test_where_nothing_is_known(root: Path) -> None:
    assert processors(root, MANY) == 64
    assert processors(root, ()) == 1


def test_this_machine() -> None:
    assert processors() >= 1
