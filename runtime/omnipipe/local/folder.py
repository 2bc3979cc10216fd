"""The folder of one run: plans, sockets, a lock. It goes with the last process that leaves it.

Every process of the run holds the lock shared. Whoever leaves drops it and asks for it exclusively: who gets it is the
last one and removes the folder. The kernel drops the lock of a killed process, so the same question tells a run that
still lives from what a power cut left behind (`sweep`). Only files that a run makes are ever removed.
"""

import fcntl
import os
import secrets
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from omnipipe.local.errors import FolderError

__all__ = ["RunFolder", "base_folder", "sweep"]

_PREFIX = "omnipipe-"
_LOCK = "lock"
_SUFFIXES = (".sock", ".json")
_SUN_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""What `sockaddr_un` holds without its closing NUL."""
_UNLOCKED_GRACE_S = 60.0
"""A folder without a lock file is being made right now, or was left by a machine that died in that moment."""


def base_folder(runtime_dir: str) -> Path:
    """Where run folders go: the user's runtime folder (in memory, private) or the temporary folder."""
    if runtime_dir and os.access(runtime_dir, os.W_OK | os.X_OK):
        return Path(runtime_dir)
    return Path(tempfile.gettempdir())


class RunFolder:
    """One process's share in a run folder."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd

    @classmethod
    def create(cls, path: Path | None, base: Path) -> Self:
        """Makes the folder: at `path`, or under `base` with a name of its own."""
        made = path.absolute() if path else base / f"{_PREFIX}{secrets.token_hex(4)}"
        try:
            if path:
                _take_over(made)
            made.mkdir(mode=0o700)
            fd = _open_lock(made, os.O_CREAT | os.O_EXCL)
            fcntl.flock(fd, fcntl.LOCK_SH)
        except OSError as error:
            raise FolderError(f"cannot make the run folder {made}: {error.strerror}") from error
        return cls(made, fd)

    @classmethod
    def join(cls, path: Path) -> Self:
        """A child's share in its supervisor's folder."""
        try:
            fd = _open_lock(path, 0)
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderError(
                f"the run folder {path} cannot be joined ({error.strerror}): its run has ended"
            ) from error
        return cls(path, fd)

    def socket(self, name: str) -> Path:
        """The path of a socket in this folder, or the reason why there cannot be one."""
        path = self.path / f"{name}.sock"
        if (size := len(os.fsencode(path))) > _SUN_PATH_BYTES:
            raise FolderError(
                f"the socket path {path} has {size} bytes and the system allows {_SUN_PATH_BYTES}: "
                "choose a shorter folder with --run-dir"
            )
        return path

    def document(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def write(self, name: str, text: str) -> None:
        self.document(name).write_text(text, encoding="utf-8")

    def leave(self) -> None:
        """Drops this process's share; the last one out removes the folder. Idempotent."""
        if self._lock_fd < 0:
            return
        fd, self._lock_fd = self._lock_fd, -1
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)  # first: of two that leave at once the later must find the lock free
            _remove_if_unused(self.path, fd)
        finally:
            os.close(fd)


def sweep(base: Path) -> list[Path]:
    """Removes the folders of this user's runs of which no process lives any more."""
    removed = []
    for path in base.glob(f"{_PREFIX}*"):
        try:
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                continue
            if _sweep_one(path, status.st_mtime):
                removed.append(path)
        except OSError:
            continue  # somebody else's sweep was faster
    return removed


def _sweep_one(path: Path, modified: float) -> bool:
    try:
        fd = _open_lock(path, 0)
    except FileNotFoundError:
        if time.time() - modified < _UNLOCKED_GRACE_S:
            return False
        _remove(path)
        return not path.exists()
    try:
        return _remove_if_unused(path, fd)
    finally:
        os.close(fd)


def _take_over(path: Path) -> None:
    """Makes room at a path that the user gave: an ended run's remains go, anything else stays and is an error."""
    if not path.exists():
        return
    if (path / _LOCK).exists() and _sweep_one(path, 0.0) and not path.exists():
        return
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        return
    used = (path / _LOCK).exists()
    raise FolderError(f"the run folder {path} {'is in use by another run' if used else 'exists and is not empty'}")


def _open_lock(path: Path, flags: int) -> int:
    return os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)


def _remove_if_unused(path: Path, fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    _remove(path)
    return True


def _remove(path: Path) -> None:
    """What a run makes, the lock last; then the folder, unless something else is in it."""
    try:
        names = [entry.name for entry in os.scandir(path) if entry.name.endswith(_SUFFIXES)]
    except FileNotFoundError:
        return
    for name in (*names, _LOCK):
        (path / name).unlink(missing_ok=True)
    try:
        path.rmdir()
    except OSError:
        return
