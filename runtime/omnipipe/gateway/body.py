"""Reading a request's body within its limits: size as declared and as it comes, and one deadline for all of it."""

import asyncio
from collections.abc import Callable
from types import TracebackType

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.exchange import ClientLeft, Exchange

__all__ = ["TooLarge", "Unread", "body_there", "feed_body", "read_body"]


class Unread(RequestError):
    """Refused while (part of) it is unread; the edge answers with `Exchange.refuse_body`."""


class TooLarge(Unread):
    def __init__(self, limit: int) -> None:
        super().__init__(ErrorKind.TOO_LARGE, f"The request body is too large: the limit is {limit} bytes.")


class _Encoded(Unread):
    """A compressed body is small on the wire and as large as its sender likes in memory: none is unpacked."""

    def __init__(self) -> None:
        super().__init__(
            ErrorKind.UNSUPPORTED_MEDIA,
            "Request bodies are read as they are: send it uncompressed and without the header 'content-encoding'.",
        )


async def read_body(exchange: Exchange, *, limit: int, timeout_s: float) -> bytes:
    body = body_there(exchange, limit)
    if body is not None:
        return body
    parts: list[bytes] = []
    with _Deadline(timeout_s):
        await _read(exchange, limit, parts.append)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def feed_body(exchange: Exchange, take: Callable[[bytes], None], *, limit: int, timeout_s: float) -> None:
    """The same, for who can do with the body in pieces and need not have all of it twice."""
    body = body_there(exchange, limit)
    if body is not None:
        take(body)
        return
    with _Deadline(timeout_s):
        await _read(exchange, limit, take)


def body_there(exchange: Exchange, limit: int) -> bytes | None:
    """The body, if all of it has come already."""
    if exchange.content_encoding and exchange.content_encoding.lower() != b"identity":
        raise _Encoded
    declared = exchange.content_length
    if declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(limit)
    body = None if exchange.connection is None else exchange.connection.whole_body()
    if body is not None and len(body) > limit:
        raise TooLarge(limit)
    return body


class _Deadline:
    """`asyncio.timeout` without its coroutines, a third of the cost; every request pays it."""

    __slots__ = ("_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request is answered in a task"
        self._task = task
        self._seconds = seconds
        self._expired = False
        self._timer = task.get_loop().call_later(seconds, self._expire)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._expired and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise RequestError(
                ErrorKind.CLIENT_TIMEOUT, f"The request body did not arrive within {self._seconds:g} seconds."
            ) from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


async def _read(exchange: Exchange, limit: int, take: Callable[[bytes], None]) -> None:
    receive = exchange.receive
    message = await receive()
    size = 0
    while message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > limit:
            raise TooLarge(limit)
        take(body)
        if not message.get("more_body"):
            return
        message = await receive()
    raise ClientLeft
