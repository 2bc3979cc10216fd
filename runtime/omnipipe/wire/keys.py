"""The CURVE keys of a pipeline. A pipeline has two pairs: listeners prove that they have the server's, diallers that
they have the client's. libzmq makes and reads them, and is loaded only then."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omnipipe.wire.errors import WireError

__all__ = ["CurveKeys", "load_keys", "write_keys"]

_SERVER_PUBLIC: Final = "server.pub"
_SERVER_SECRET: Final = "server.key"
_CLIENT_PUBLIC: Final = "client.pub"
_CLIENT_SECRET: Final = "client.key"


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """Z85 text, 40 characters each."""

    server_public: str
    server_secret: str | None
    """None in a process that only dials."""
    client_public: str
    client_secret: str

    def __repr__(self) -> str:
        return f"CurveKeys(server_public={self.server_public!r}, client_public={self.client_public!r}, secrets hidden)"


def load_keys(folder: Path) -> CurveKeys:
    """Raises WireError when a key is missing or malformed. `server.key` may be missing: a gateway does not need it."""
    return CurveKeys(
        server_public=_read(folder / _SERVER_PUBLIC),
        server_secret=_read(folder / _SERVER_SECRET) if (folder / _SERVER_SECRET).exists() else None,
        client_public=_read(folder / _CLIENT_PUBLIC),
        client_secret=_read(folder / _CLIENT_SECRET),
    )


def write_keys(folder: Path) -> CurveKeys:
    """Makes new keys; never overwrites. The folder is private, and so is each file."""
    import zmq

    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    client_public, client_secret = (key.decode() for key in zmq.curve_keypair())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, key in (
        (_SERVER_PUBLIC, server_public),
        (_SERVER_SECRET, server_secret),
        (_CLIENT_PUBLIC, client_public),
        (_CLIENT_SECRET, client_secret),
    ):
        (folder / name).touch(mode=0o600, exist_ok=False)
        (folder / name).write_text(key + "\n")
    return CurveKeys(server_public, server_secret, client_public, client_secret)


def _read(path: Path) -> str:
    from zmq.utils import z85

    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WireError(f"cannot read the key {path}: {error}") from error
    try:
        valid = len(key) == 40 and len(z85.decode(key)) == 32
    except (KeyError, ValueError):
        valid = False
    if not valid:
        raise WireError(f"{path} does not hold a CURVE key (40 characters of Z85)")
    return key
