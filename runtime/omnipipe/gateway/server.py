"""uvicorn as this gateway runs it: on a socket that is already open, without signal handlers, guarded.

Everything that is uvicorn's is here and in `protocol`; the rest of the gateway is plain ASGI.
"""

import logging
import math
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from omnipipe.errors import OmnipipeError
from omnipipe.gateway.edge import Edge
from omnipipe.gateway.exchange import ASGIApp
from omnipipe.gateway.protocol import guarded_protocol
from omnipipe.gateway.settings import GatewaySettings

__all__ = ["GatewayError", "Server", "open_listener"]

_BACKLOG = 2048
_LAST_ANSWERS_S = 5
"""After draining, for answers that are made but not yet taken by their clients."""


class GatewayError(OmnipipeError):
    """The gateway cannot start; the message says what to change."""


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which raise the signal again at the end and so never exit with 0."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        config = uvicorn.Config(
            app,
            http=guarded_protocol(settings, app.at_once if isinstance(app, Edge) else None),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=math.ceil(settings.keep_alive_s),
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        super().__init__(config)
        self._on_listening: Callable[[], None] = _nothing

    async def run_on(self, listener: socket.socket, on_listening: Callable[[], None]) -> None:
        self._on_listening = on_listening
        await self.serve(sockets=[listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def part_after_answers(self) -> None:
        """From now on each answer is its connection's last and says so: whoever asks again comes in elsewhere."""
        self.config.encoded_headers.append((b"connection", b"close"))  # of each second's default headers
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]

    def part(self) -> None:
        """Hangs up on who asks nothing just now, and on the others when they have their answers."""
        for connection in list(self.server_state.connections):
            connection.shutdown()

    def stop(self, *, now: bool) -> None:
        self.should_exit = True
        self.force_exit = self.force_exit or now


def open_listener(settings: GatewaySettings) -> socket.socket:
    if settings.listen_fd is not None:
        listener = socket.socket(fileno=os.dup(settings.listen_fd))
    else:
        listener = _bound(settings.host, settings.port)
    # Accepted connections inherit both. asyncio sets the first itself only on sockets made with an explicit protocol,
    # and without it a client waits 40 ms between the head of an answer and its body.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(settings.send_timeout_s * 1e3))
    return listener


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise GatewayError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener


def _nothing() -> None:
    """Until `run_on` says what to do."""
