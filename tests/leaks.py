"""What this process and its descendants hold right now, and what of it was not there before.

Read from the kernel, not from our own code: threads, open descriptors with what they point at, mapped shared memory,
/dev/shm, the session's temporary folder, child processes and (by a mark in their environment) descendants that lost
their parent. On a system without /proc only threads, children and temporary files are seen.
"""

import os
import threading
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

__all__ = ["MARK", "Held", "describe", "held", "unmapped"]

MARK = "OMNIPIPE_TEST_SESSION"
"""Environment variable that every descendant of a test session inherits."""

_PROC = Path("/proc/self")
_SHM = Path("/dev/shm")


@dataclass(frozen=True)
class Held:
    """Each member is a set of things by an identity that is never used twice."""

    threads: frozenset[threading.Thread] = frozenset()
    descriptors: frozenset[tuple[int, str]] = frozenset()
    mappings: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    temporary: frozenset[str] = frozenset()
    processes: frozenset[psutil.Process] = frozenset()

    def __sub__(self, other: "Held") -> "Held":
        return Held(**{f.name: getattr(self, f.name) - getattr(other, f.name) for f in fields(self)})

    def __or__(self, other: "Held") -> "Held":
        return Held(**{f.name: getattr(self, f.name) | getattr(other, f.name) for f in fields(self)})

    def __and__(self, other: "Held") -> "Held":
        return Held(**{f.name: getattr(self, f.name) & getattr(other, f.name) for f in fields(self)})

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))


def held(temporary: Path, *, descendants: bool) -> Held:
    """`descendants`: look through all processes for marked ones too, which takes some milliseconds."""
    processes = set(_children())
    if descendants:
        processes |= set(_marked(os.environ.get(MARK, "")))
    return Held(
        threads=frozenset(thread for thread in threading.enumerate() if thread.is_alive()),
        descriptors=frozenset(_descriptors()),
        mappings=frozenset(_mappings(_PROC / "maps")),
        segments=frozenset(_names(_SHM)),
        temporary=frozenset(_names(temporary)),
        processes=frozenset(processes),
    )


def describe(leaked: Held) -> list[str]:
    """One line for each thing, in words that say where to look."""
    lines = [f"thread {t.name!r} still runs{' (daemon)' if t.daemon else ''}" for t in leaked.threads]
    lines += [f"descriptor {fd} is open: {target}" for fd, target in sorted(leaked.descriptors)]
    lines += [f"shared memory is mapped: {name}" for name in sorted(leaked.mappings)]
    lines += [f"/dev/shm/{name} exists and no process maps it" for name in sorted(leaked.segments)]
    lines += [f"temporary file or folder {name} was left behind" for name in sorted(leaked.temporary)]
    lines += [_describe_process(process) for process in sorted(leaked.processes, key=lambda p: p.pid)]
    return lines


def unmapped(segments: frozenset[str]) -> frozenset[str]:
    """Those that no living process maps; the others belong to somebody (another test session, perhaps)."""
    mapped = {
        Path(name.split(" ", 1)[1]).name for pid in psutil.pids() for name in _mappings(Path(f"/proc/{pid}/maps"))
    }
    return frozenset(name for name in segments if name not in mapped and (_SHM / name).exists())


def _describe_process(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return f"child process {process.pid} ended and was never waited for"
        return f"process {process.pid} still runs: {' '.join(process.cmdline())[:200]}"
    except psutil.Error:
        return f"process {process.pid} was still there"


def _children() -> list[psutil.Process]:
    listings = list(_PROC.glob("task/*/children"))
    if not listings:
        return psutil.Process().children()
    pids = {int(pid) for listing in listings for pid in _read(listing).split()}
    return _processes(pids)


def _marked(mark: str) -> list[psutil.Process]:
    needle = f"{MARK}={mark}".encode()
    pids = {pid for pid in psutil.pids() if needle in _read(Path(f"/proc/{pid}/environ")).split(b"\0")}
    return _processes(pids - {os.getpid()})


def _processes(pids: set[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    return found


def _descriptors() -> list[tuple[int, str]]:
    found = []
    for entry in _names(_PROC / "fd"):
        try:
            found.append((int(entry), str((_PROC / "fd" / entry).readlink())))
        except OSError:  # the one that listed the folder
            continue
    return found


def _mappings(maps: Path) -> set[str]:
    """`inode path` of mapped /dev/shm files and memfds."""
    found = set()
    for line in _read(maps).splitlines():
        if b"/dev/shm/" in line or b"/memfd:" in line:
            columns = line.decode(errors="replace").split(maxsplit=5)
            found.add(f"{columns[4]} {columns[5].removesuffix(' (deleted)')}")
    return found


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except OSError:
        return []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process ended, or is somebody else's
        return b""
