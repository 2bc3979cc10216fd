"""What addresses we take, and the folder that ipc sockets live in."""

import stat
from pathlib import Path
from typing import Final

from omnipipe.wire.errors import WireError

__all__ = ["check_address", "ipc_path", "is_tcp", "prepare_ipc_folder"]

_MAX_PATH_BYTES: Final = 107
"""What the kernel keeps of a socket's path."""


def check_address(address: str) -> None:
    """Raises WireError for what cannot be dialled or listened on here."""
    scheme, separator, rest = address.partition("://")
    if not separator or scheme not in ("ipc", "tcp") or not rest:
        raise WireError(f"{address!r} is no address for a socket; use ipc:///folder/name.sock or tcp://host:port")
    if scheme == "ipc":
        if not rest.startswith("/"):
            raise WireError(f"{address!r}: the path of an ipc socket must be absolute")
        if len(rest.encode()) > _MAX_PATH_BYTES:
            raise WireError(f"{address!r}: a socket's path has {_MAX_PATH_BYTES} bytes at most; use a shorter folder")
    elif not rest.rpartition(":")[2].isdecimal():
        raise WireError(f"{address!r} has no port")


def is_tcp(address: str) -> bool:
    return address.startswith("tcp://")


def ipc_path(address: str) -> Path | None:
    return Path(address.removeprefix("ipc://")) if address.startswith("ipc://") else None


def prepare_ipc_folder(path: Path) -> None:
    """Whoever can open the socket can send to the stage, so only the owner may reach it. A folder that does not exist
    is made private; one that is not private is refused rather than changed."""
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise WireError(f"{folder} is open to other users (mode {mode:04o}); ipc sockets need a folder of mode 0700")
