import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnipipe.local.errors import FolderError
from omnipipe.local.folder import RunFolder, base_folder, sweep


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder.create(None, tmp_path)
    yield made
    made.leave()


def test_only_the_user_may_look_in(folder: RunFolder) -> None:
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_the_last_to_leave_removes_it(folder: RunFolder) -> None:
    first, second = RunFolder.join(folder.path), RunFolder.join(folder.path)
    folder.write("plan-0", "{}")
    folder.socket("compose-0").touch()
    folder.leave()
    first.leave()
    assert folder.path.exists()
    second.leave()
    assert not folder.path.exists()


def test_leaving_twice_is_leaving_once(folder: RunFolder) -> None:
    folder.leave()
    folder.leave()
    assert not folder.path.exists()


def test_only_what_a_run_makes_is_removed(folder: RunFolder) -> None:
    (folder.path / "notes.txt").write_text("mine")
    folder.write("plan-0", "{}")
    folder.leave()
    assert [entry.name for entry in folder.path.iterdir()] == ["notes.txt"]


def test_a_run_that_ended_cannot_be_joined(folder: RunFolder) -> None:
    folder.leave()
    with pytest.raises(FolderError, match="its run has ended"):
        RunFolder.join(folder.path)


def test_sweep_takes_the_dead_and_leaves_the_living(folder: RunFolder, tmp_path: Path) -> None:
    dead = tmp_path / "omnipipe-dead"
    dead.mkdir()
    for name in ("lock", "plan-0.json", "compose-0.sock"):
        (dead / name).touch()
    (tmp_path / "other").mkdir()
    assert sweep(tmp_path) == [dead]
    assert folder.path.exists()
    assert (tmp_path / "other").exists()


def test_sweep_leaves_a_folder_that_is_just_being_made(tmp_path: Path) -> None:
    young, old = tmp_path / "omnipipe-young", tmp_path / "omnipipe-old"
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    assert sweep(tmp_path) == [old]


def test_sweep_follows_no_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "lock").touch()
    (tmp_path / "omnipipe-link").symlink_to(target)
    assert sweep(tmp_path) == []
    assert (target / "lock").exists()


def test_a_path_of_ones_own(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", tmp_path)
    assert folder.path == tmp_path / "run"
    with pytest.raises(FolderError, match="in use by another run"):
        RunFolder.create(tmp_path / "run", tmp_path)
    folder.leave()
    assert not (tmp_path / "run").exists()


def test_what_an_ended_run_left_at_that_path_makes_room(tmp_path: Path) -> None:
    stale = tmp_path / "run"
    stale.mkdir()
    (stale / "lock").touch()
    (stale / "synth-0.sock").touch()
    RunFolder.create(stale, tmp_path).leave()
    assert not stale.exists()


def test_a_folder_with_other_things_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "keep").touch()
    with pytest.raises(FolderError, match="exists and is not empty"):
        RunFolder.create(tmp_path, tmp_path)
    assert (tmp_path / "keep").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"cannot make the run folder .*: No such file or directory"):
        RunFolder.create(tmp_path / "missing" / "run", tmp_path)


def test_a_socket_path_that_is_too_long_says_what_to_do(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / ("x" * 100), tmp_path)
    try:
        with pytest.raises(FolderError, match="choose a shorter folder with --run-dir"):
            folder.socket("compose-0")
    finally:
        folder.leave()


def test_the_lock_is_not_inherited(folder: RunFolder) -> None:
    lock = (folder.path / "lock").stat()
    fds = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    mine = [fd for fd in fds if _is(fd, lock)]
    assert mine
    assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in mine)


def _is(fd: int, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), status)
    except OSError:
        return False


def test_runs_live_in_the_users_own_folder_when_there_is_one(tmp_path: Path) -> None:
    assert base_folder(str(tmp_path)) == tmp_path
    assert base_folder("") == base_folder(str(tmp_path / "missing"))
