"""What uvicorn's HTTP protocols leave open: a bound on connections, on the size and time of a request's head, and
errors in our envelope for what is not HTTP at all. It is also the `Connection` that the hot
paths know.

Sits between the transport and uvicorn's own protocol class, whichever of the two is installed.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.errors import STATUS, envelope
from omnipipe.gateway.exchange import CONNECTION_KEY, ASGIApp, InTask, Message, Receive, Scope, Send, WriteBody
from omnipipe.gateway.settings import GatewaySettings

__all__ = ["AtOnce", "GuardedProtocol", "guarded_protocol"]

AtOnce = Callable[[Scope, Receive, Send, InTask], ASGIApp | None]
"""Does what can be done for a request that has come, there and then. What it returns is run in a task; None: nothing
is left but what it has seen to itself."""

_MAX_HEAD_BYTES = 64 << 10
"""Of a request line and its headers together."""

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 503: b"Service Unavailable"}


class _DefaultHeaders:
    """The headers that every answer has (`date`, `server`), encoded once for each second's list of them."""

    def __init__(self) -> None:
        self._of: list[tuple[bytes, bytes]] = []
        self._lines: bytes | None = b""

    def lines(self, headers: list[tuple[bytes, bytes]]) -> bytes | None:
        """None: one of them is about the connection, which takes more than saying it."""
        if headers is not self._of:
            about = any(name.lower() == b"connection" for name, _ in headers)
            self._lines = None if about else b"".join(b"%b: %b\r\n" % header for header in headers)
            self._of = headers
        return self._lines


class _Body:
    """What a stream's frames are written through. Apart from the connection, which has so much to know that a look at
    it costs as much as the rest of a frame."""

    __slots__ = ("_transport", "room")

    def __init__(self, transport: Any, room: bool) -> None:
        self._transport = transport
        self.room = room
        """The client takes what is sent, as far as is known."""

    def write(self, data: bytes) -> bool:
        if not self.room:
            return False
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return True


class _OldSend:
    """A cycle's `send` for a client of HTTP/1.0, which knows no chunks: an answer whose length is not known
    is written plainly, and the end of the connection is its end."""

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._send: Send = cycle.send

    async def __call__(self, message: Message) -> None:
        cycle = self._cycle
        if message["type"] == "http.response.start":
            if all(name.lower() != b"content-length" for name, _ in message["headers"]):
                cycle.chunked_encoding = False
        elif cycle.expected_content_length == 0:
            cycle.expected_content_length = len(message.get("body", b""))
        await self._send(message)


class GuardedProtocol(asyncio.Protocol):
    """Goes before one of uvicorn's two classes, see `guarded_protocol`: `super()` is that one."""

    settings: ClassVar[GatewaySettings]
    plain: ClassVar[bool]
    """Answers may be written past uvicorn's sender."""
    defaults: ClassVar[_DefaultHeaders]
    at_once: Any
    """An AtOnce, or None."""

    connections: Any
    cycle: Any
    flow: Any
    loop: Any
    pipeline: Any
    transport: Any

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _refused = False
    _on_lost: Callable[[], None] | None = None
    _lost = False
    _body: _Body | None = None
    _reading = False
    _held: tuple[Any, ASGIApp] | None = None
    """A request whose head came with what is being read: nearly always all of it is there in a moment."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, {**app_state, CONNECTION_KEY: self}, _loop)  # type: ignore[call-arg]  # uvicorn's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.settings.max_connections:
            self._refuse(RequestError(ErrorKind.UNAVAILABLE, "This server has too many connections open."))
            return
        self._head_timer = self.loop.call_later(self.settings.header_timeout_s, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        before = self.cycle
        self._reading = True
        try:
            super().data_received(data)
        finally:
            self._reading = False
        if self.cycle is not before:  # nearly always: a head comes in one piece
            if self.plain and self.cycle.scope["http_version"] == "1.0":
                self.cycle.send = _OldSend(self.cycle)
            self._have_head()
        elif before is None or before.response_complete:
            self._await_rest_of_head(len(data))
        if self._held is not None:
            (cycle, app), self._held = self._held, None
            self._begin(cycle, app)

    def _start_asgi_task(self, cycle: Any, app: ASGIApp) -> None:
        """Of httptools' class: a request's head is there, or its turn after an earlier one."""
        if self._reading and self.at_once is not None:
            self._held = (cycle, app)
        else:
            super()._start_asgi_task(cycle, app)  # type: ignore[misc]  # uvicorn's

    def _begin(self, cycle: Any, app: ASGIApp) -> None:
        in_task: InTask = partial(super()._start_asgi_task, cycle)  # type: ignore[misc]  # uvicorn's
        left = app if self._refused or self.pipeline else self.at_once(cycle.scope, cycle.receive, cycle.send, in_task)
        if left is not None:
            in_task(left)

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)
        self._lost = True
        if self._body is not None:
            self._body.room = False
        if self._on_lost is not None:
            self._on_lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._body is not None:
            self._body.room = False

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._body is not None:
            self._body.room = not self._lost

    def watch(self, on_lost: Callable[[], None]) -> None:
        if self._lost:
            on_lost()
            return
        self._on_lost = on_lost
        self.flow.resume_reading()  # a large body leaves it paused, and a paused socket does not tell of its end

    def unwatch(self) -> None:
        self._on_lost = None

    def whole_body(self) -> bytes | None:
        cycle = self.cycle
        if cycle.more_body or self.pipeline or self._lost:
            return None
        body = bytes(cycle.body)
        cycle.body = bytearray()
        return body

    def body_writer(self) -> WriteBody | None:
        if not self.plain or self.pipeline or not self.cycle.chunked_encoding:
            return None
        if self._body is None:
            self._body = _Body(self.transport, room=not (self._lost or self.flow.write_paused))
        return self._body.write

    def write_answer(self, send: Send, headers: bytes, body: bytes) -> bool:
        cycle = self.cycle
        if send != cycle.send:
            return False
        if not self.plain or self._lost or self.flow.write_paused or self.pipeline:
            return False
        if cycle.response_started or not cycle.keep_alive:
            return False
        before = self.defaults.lines(cycle.default_headers)
        if before is None:
            return False
        cycle.response_started = cycle.response_complete = True
        self.transport.write(b"HTTP/1.1 200 OK\r\n%b%b\r\n%b" % (before, headers, body))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def cut(self) -> None:
        cycle = self.cycle
        cycle.disconnected = True  # or uvicorn would miss the end of the answer, and say so
        if self.plain and not cycle.chunked_encoding:  # the connection's end would be the answer's: break it instead
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        self.transport.close()  # without the last chunk, which is what the end would be

    def send_400_response(self, msg: str) -> None:
        self._refuse(RequestError(ErrorKind.INVALID, msg))

    def _await_rest_of_head(self, nbytes: int) -> None:
        self._head_bytes += nbytes
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse(RequestError(ErrorKind.INVALID, "The request's headers are too large."))
        elif self._head_timer is None and not self._refused:
            self._head_timer = self.loop.call_later(self.settings.header_timeout_s, self._head_is_late)

    def _have_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(RequestError(ErrorKind.CLIENT_TIMEOUT, "The request's headers did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, error: RequestError) -> None:
        """Answers without an application and hangs up."""
        self._refused = True
        self._have_head()
        status, body = STATUS[error.kind].status, envelope(error)
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, _REASONS[status], len(body), body)
        )
        self.transport.close()


def guarded_protocol(settings: GatewaySettings, at_once: AtOnce | None = None) -> type[asyncio.Protocol]:
    """A subclass of uvicorn's httptools protocol, or of its h11 protocol where httptools is not installed."""
    base: Any
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base

        plain = True
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol as base

        plain = False  # h11 keeps its own account of what was sent
    bound = {"settings": settings, "plain": plain, "defaults": _DefaultHeaders(), "at_once": at_once}
    return type("BoundProtocol", (GuardedProtocol, base), bound)
