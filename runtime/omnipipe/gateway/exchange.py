"""One HTTP request and its answer, on bare ASGI: who asks, what has been sent so far, and how it ended.

Hot paths answer through it directly; for everything else it stands between the framework and the server, so that
request id, size and status are known in one place whoever answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.errors import STATUS, envelope, error_headers

__all__ = [
    "CLIENT_LEFT_STATUS",
    "CONNECTION_KEY",
    "EVENTS",
    "ASGIApp",
    "ClientLeft",
    "Connection",
    "Exchange",
    "InTask",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "StreamKind",
    "WriteBody",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
InTask = Callable[[ASGIApp], None]
"""Goes on with a request in a task, as the application that it is given."""

JSON_TYPE = (b"content-type", b"application/json")

_STREAM_HEADERS = (
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # asks nginx-like proxies not to hold frames back
)


@dataclass(frozen=True, slots=True)
class StreamKind:
    """What an answer that is sent as it is made looks like from outside."""

    content_type: bytes
    tell: Callable[[RequestError], bytes] | None
    """What ends the stream when the request fails in its middle. None: there is no place in it for words, so that the
    connection is cut and no client takes what came for the whole."""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _event(error: RequestError) -> bytes:
    # No [DONE] after it: a client that overlooks the event still sees that the stream was cut short.
    return b"data: " + envelope(error) + b"\n\n"


EVENTS: Final = StreamKind(b"text/event-stream; charset=utf-8", _event)

CLIENT_LEFT_STATUS = 499
"""Nothing is sent with it; it is what logs call a client that went away."""

_LINGER_BYTES = 256 << 20
_LINGER_S = 10.0
"""How much, and for how long, is read and thrown away after refusing a body that is still on its way: a client that
is cut off in mid-send sees a broken connection in place of the answer."""


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""


WriteBody = Callable[[bytes], bool]
"""Takes a part of a stream's body, without a coroutine and the checks of a general server. False: it did not, and the
part goes through `send`, which may wait."""


def _writes_nothing(data: bytes) -> bool:
    """For streams on a server that is not ours."""
    return False


CONNECTION_KEY = "omnipipe.connection"
"""Where in a scope's `state` our own server (`protocol`) leaves its Connection."""


class Connection(Protocol):
    """What our own server offers beyond ASGI. It answers one request at a time."""

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Calls once, when the connection is lost; at once when it already is."""

    def unwatch(self) -> None: ...

    def whole_body(self) -> bytes | None:
        """The request's body, when all of it is there already; None: ask `receive`."""

    def body_writer(self) -> "WriteBody | None":
        """For the body of the stream whose head has just been sent. None: not on this connection."""

    def write_answer(self, send: Send, headers: bytes, body: bytes) -> bool:
        """A whole answer of status 200, in one write; `headers` are lines, each with its end. False: as above, or
        somebody stands between whose word on answers counts: `send` is not this connection's own."""

    def cut(self) -> None:
        """Hangs up in the middle of an answer, in such a way that the client sees it was the middle."""


class Exchange:
    __slots__ = (
        "authorization", "began", "client_request_id", "complete", "connection", "content_encoding", "content_length",
        "content_type", "failed", "method", "model", "path", "receive", "request_id", "scope", "send", "sent_bytes",
        "status", "stream", "write",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.connection: Connection | None = scope.get("state", {}).get(CONNECTION_KEY)
        self.send = send
        """To the server. It waits while the client reads too slowly, and so keeps its caller from asking for more."""
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.began = time.perf_counter()
        self.request_id = ""
        self.model = ""
        """The served model's name, once known."""
        self.status = 0
        """0: nothing has been sent yet."""
        self.sent_bytes = 0
        self.stream: StreamKind | None = None
        """None: the answer comes in one go, or has not begun."""
        self.write: WriteBody = _writes_nothing
        """Of the stream. Whoever uses it counts `sent_bytes`."""
        self.complete = False
        self.failed: ErrorKind | None = None
        self.authorization = b""
        self.client_request_id = b""
        self.content_encoding = b""
        self.content_length = b""
        self.content_type = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.authorization = value
            elif name == b"x-request-id":
                self.client_request_id = value
            elif name == b"content-length":
                self.content_length = value
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-encoding":
                self.content_encoding = value

    async def answer(
        self, status: int, body: bytes, *headers: tuple[bytes, bytes], content_type: bytes = b"application/json"
    ) -> None:
        """An answer in one go."""
        if status == 200 and not headers and self.wrote(body, content_type):
            return
        length = (b"content-length", b"%d" % len(body))
        await self._start(status, [(b"content-type", content_type), length, *headers])
        self.sent_bytes = len(body)
        self.complete = True
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    def wrote(self, body: bytes, content_type: bytes = b"application/json") -> bool:
        """An answer of status 200 past the general server, which takes a fifth of what a small request costs to say the
        same. False: it must be said by `answer`, which may wait."""
        if self.connection is None or self.method == "HEAD":
            return False
        headers = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
            content_type, len(body), self.request_id.encode(),
        )  # fmt: skip
        if not self.connection.write_answer(self.send, headers, body):
            return False
        self.status = 200
        self.sent_bytes = len(body)
        self.complete = True
        return True

    async def open_stream(self, kind: StreamKind = EVENTS) -> None:
        """The head of an answer that is sent as it is made."""
        self.stream = kind
        await self._start(200, [(b"content-type", kind.content_type), *kind.headers, *_STREAM_HEADERS])
        if self.connection is not None:
            self.write = self.connection.body_writer() or _writes_nothing

    async def write_stream(self, frames: bytes) -> None:
        """Waits while the client is slow."""
        if not frames:  # an empty chunk would be the end
            return
        self.sent_bytes += len(frames)
        if not self.write(frames):
            await self.send({"type": "http.response.body", "body": frames, "more_body": True})

    async def close_stream(self, frames: bytes) -> None:
        self.sent_bytes += len(frames)
        self.complete = True
        await self.send({"type": "http.response.body", "body": frames, "more_body": False})

    async def fail(self, error: RequestError) -> None:
        """Tells the client, in whichever way is still open."""
        self.failed = error.kind
        if self.complete:
            return
        if not self.status:
            await self.answer(STATUS[error.kind].status, envelope(error), *error_headers(error))
        elif self.stream is not None and self.stream.tell is not None:
            await self.close_stream(self.stream.tell(error))
        elif self.connection is not None:
            self.connection.cut()  # another server does so itself, for it sees an answer without an end

    async def refuse_body(self, error: RequestError) -> None:
        """Answers before the body was read, then throws the rest of it away, within bounds."""
        body = envelope(error)
        self.failed = error.kind
        headers = [JSON_TYPE, (b"content-length", b"%d" % len(body)), *error_headers(error)]
        await self._start(STATUS[error.kind].status, headers)
        self.sent_bytes = len(body)
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            async with asyncio.timeout(_LINGER_S):
                await self._discard()
        except TimeoutError:
            pass  # it had its time; the connection closes now
        await self.close_stream(b"")

    async def forward(self, message: Message) -> None:
        """The `send` of a framework underneath."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        else:
            self.sent_bytes += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self.send(message)

    async def _discard(self) -> None:
        left = _LINGER_BYTES
        while left > 0:
            message = await self.receive()
            left -= len(message.get("body", b"")) + 1
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                return

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        headers.append((b"x-request-id", self.request_id.encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
