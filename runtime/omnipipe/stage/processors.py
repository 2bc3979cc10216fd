"""How many threads this process can have computing at once: its cores, as far as its CPU limit lets it use them.

A container with a limit of two CPUs on a node of 64 cores sees all 64 of them. With a thread for each, it has used up
its share of a tenth of a second in 3 ms, and all its threads stand still for the rest. The limit is in the kernel's
control groups, in either of their two layouts, and any group above may have a smaller one. What a pod *requests* is no
limit and is not looked at: it may use what nobody else does.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

__all__ = ["processors"]

_ROOT: Final = Path("/")


def processors(root: Path = _ROOT, cpus: Collection[int] | None = None) -> int:
    """At least 1. `cpus`: those that the process may run on; None: as the system says."""
    cores = _cores(root, _own_cpus() if cpus is None else cpus)
    return max(1, min([cores, *_limits(root)]))


def _own_cpus() -> Collection[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _cores(root: Path, cpus: Collection[int]) -> int:
    """Two CPUs that are one core's hyper-threads compute no more than one: torch counts in cores as well."""
    return len({_siblings(root, cpu) for cpu in cpus})


def _siblings(root: Path, cpu: int) -> str:
    return _text(root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu)


def _limits(root: Path) -> Iterator[int]:
    """Of the process's own groups and all above, as whole processors, rounded up."""
    for group, place, top in _groups(root):
        folder = place
        if group.is_relative_to(top):
            folder = place / group.relative_to(top)
        while True:
            limit = _limit(folder)
            if limit is not None:
                yield limit
            if folder == place:
                break
            folder = folder.parent


def _groups(root: Path) -> Iterator[tuple[PurePosixPath, Path, PurePosixPath]]:
    """The process's group in each hierarchy that may limit CPU time, where that is mounted, and which group is seen
    there: in a container often the process's own."""
    own: dict[str, PurePosixPath] = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            own["cgroup2"] = PurePosixPath(path)
        elif "cpu" in kinds.split(","):
            own["cgroup"] = PurePosixPath(path)
    for line in _text(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        top, place = mount.split()[3:5]
        kind, _, options = system.split(maxsplit=2)
        if kind in own and (kind == "cgroup2" or "cpu" in options.split(",")):
            yield own[kind], root / place.lstrip("/"), PurePosixPath(top)


def _limit(folder: Path) -> int | None:
    newer = _text(folder / "cpu.max").split()
    quota, period = newer if len(newer) == 2 else (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    try:
        microseconds, of = int(quota), int(period)
    except ValueError:  # `max`, or there is no such file
        return None
    return -(-microseconds // of) if microseconds > 0 < of else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
