"""CURVE on TCP: the keys of a pipeline, and who is let in.

A pipeline has two key pairs: listeners prove that they have the server's, diallers that they have the client's. The
admission runs in the listener's own poll (ZAP over an inproc socket), not in a thread.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq
from zmq.utils import z85

from omnipipe.wire.errors import WireError

__all__ = ["CurveKeys", "Zap", "load_keys", "protect_dialler", "protect_listener", "write_keys"]

log = logging.getLogger(__name__)

_DOMAIN: Final = "omnipipe"
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


def protect_listener(socket: "zmq.Socket[bytes]", keys: CurveKeys) -> None:
    if keys.server_secret is None:
        raise WireError("a listener on TCP needs the server's secret key")
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.server_secret.encode())
    socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN.encode())


def protect_dialler(socket: "zmq.Socket[bytes]", keys: CurveKeys) -> None:
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server_public.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.client_public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.client_secret.encode())


class Zap:
    """Answers libzmq's question whether a client's key is admitted (RFC 27)."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", keys: CurveKeys) -> None:
        self._client: Final = keys.client_public
        self.socket: Final = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind("inproc://zeromq.zap.01")

    def receive(self) -> None:
        """Answers everything that has been asked."""
        while int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            question = self.socket.recv_multipart(zmq.NOBLOCK)
            self.socket.send_multipart(self._answer(question), zmq.NOBLOCK)

    def _answer(self, question: list[bytes]) -> list[bytes]:
        # version, request id, domain, address, identity, mechanism, credentials
        request = question[1] if len(question) > 1 else b""
        admitted = (
            len(question) == 7
            and question[0] == b"1.0"
            and question[2] == _DOMAIN.encode()
            and question[5] == b"CURVE"
            and z85.encode(question[6]).decode() == self._client
        )
        if not admitted:
            log.warning("a connection with an unknown key was turned away")
        status, text = (b"200", b"OK") if admitted else (b"400", b"unknown key")
        return [b"1.0", request, status, text, _DOMAIN.encode() if admitted else b"", b""]

    def close(self) -> None:
        self.socket.close(0)
