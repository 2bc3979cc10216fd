"""CURVE: how sockets get their keys, and who is let in.

The admission runs in the listener's own poll (ZAP over an inproc socket), not in a thread.
"""

import logging
from typing import Final

import zmq
from zmq.utils import z85

from omnipipe.wire.errors import WireError
from omnipipe.wire.keys import CurveKeys

__all__ = ["Zap", "protect_dialler", "protect_listener"]

log = logging.getLogger(__name__)

_DOMAIN: Final = "omnipipe"


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
