"""What a cluster leaves on a machine unless it is taken away: processes of pods, mounts, cgroups."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from scripts.cluster.errors import ClusterError
from scripts.cluster.processes import call, eventually

__all__ = ["cgroup_folders", "end_processes", "remove_cgroups", "unmount_below"]

_CGROUPS = Path("/sys/fs/cgroup")


def cgroup_folders(name: str) -> list[Path]:
    """Where a group of this name belongs: once, or once for each controller of the older kind."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS / name]
    return [folder / name for folder in sorted(_CGROUPS.iterdir()) if (folder / "cgroup.procs").exists()]


def end_processes(name: str, socket: Path) -> None:
    """Kills what runs in the cgroups, and the shims that containerd left beside it."""

    def none_left() -> bool:
        found = {*_in_cgroups(name), *_shims(socket)}
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    eventually(none_left, "the processes of the pods end", 20.0)


def unmount_below(folder: Path) -> None:
    """The innermost first. Raises ClusterError when one stays: nothing below may then be deleted."""
    for _ in range(3):  # one mount may lie over another of the same place
        places = _mounts_below(folder)
        if not places:
            return
        for place in reversed(places):
            with contextlib.suppress(ClusterError):
                call("umount", "--lazy", place)
    raise ClusterError(f"still mounted: {', '.join(_mounts_below(folder))}")


def remove_cgroups(name: str) -> None:
    def gone() -> bool:
        for top in cgroup_folders(name):
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # a process that is just ending still counts
                    Path(folder).rmdir()
        return not any(top.exists() for top in cgroup_folders(name))

    eventually(gone, "the cgroups are empty", 20.0)


def _in_cgroups(name: str) -> Iterator[int]:
    for top in cgroup_folders(name):
        for folder, _, _ in os.walk(top):
            with contextlib.suppress(OSError):
                yield from map(int, Path(folder, "cgroup.procs").read_text().split())


def _shims(socket: Path) -> Iterator[int]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if b"containerd-shim" in words[0] and str(socket).encode() in words:
                    yield int(process.name)


def _mounts_below(folder: Path) -> list[str]:
    places = (
        line.split()[1].encode().decode("unicode_escape") for line in Path("/proc/self/mounts").read_text().splitlines()
    )
    return [place for place in places if place.startswith(f"{folder}/")]
