"""Where a process's segment is, in a string that travels in Hello and Welcome.

    <boot id>/<pid namespace>/<uid>/<pid>/<descriptor>/<nonce>

Equal first three parts say that mapping may work; only mapping it proves that it does.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from omnipipe.wire.shm.segment import Segment

__all__ = ["Place", "announce", "find"]


@dataclass(frozen=True, slots=True)
class Place:
    pid: int
    fd: int
    nonce: bytes


def announce(segment: Segment, pid: int) -> str:
    """Empty where the machine does not say who it is: then nobody tries."""
    machine = _machine()
    return f"{machine}/{pid}/{segment.fd}/{segment.nonce.hex()}" if machine else ""


def find(host: str) -> Place | None:
    """Where the peer says its segment is; None when it is on another machine or makes no sense."""
    machine, _, rest = host.rpartition("/")
    machine, _, fd = machine.rpartition("/")
    machine, _, pid = machine.rpartition("/")
    if not machine or machine != _machine() or not (fd.isdecimal() and pid.isdecimal() and len(fd + pid) < 20):
        return None
    try:
        nonce = bytes.fromhex(rest)
    except ValueError:
        return None
    return Place(int(pid), int(fd), nonce) if len(nonce) == 16 else None


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return f"{boot}/{namespace}/{os.getuid()}"
