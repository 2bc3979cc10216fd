"""Reading a request's body within its limits: size as declared and as it comes, and one deadline for all of it."""

import asyncio

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.exchange import ClientLeft, Exchange

__all__ = ["TooLarge", "read_body"]


class TooLarge(RequestError):
    """Refused while (part of) it is unread; the edge answers with `Exchange.refuse_body`."""

    def __init__(self, limit: int) -> None:
        super().__init__(ErrorKind.TOO_LARGE, f"The request body is too large: the limit is {limit} bytes.")


async def read_body(exchange: Exchange, *, limit: int, timeout_s: float) -> bytes:
    declared = exchange.content_length
    if declared.isdigit() and int(declared[:20]) > limit:
        raise TooLarge(limit)
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(exchange, limit)
    except TimeoutError as error:
        raise RequestError(
            ErrorKind.CLIENT_TIMEOUT, f"The request body did not arrive within {timeout_s:g} seconds."
        ) from error


async def _read(exchange: Exchange, limit: int) -> bytes:
    receive = exchange.receive
    message = await receive()
    parts: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        size += len(body)
        if size > limit:
            raise TooLarge(limit)
        if not message.get("more_body"):
            return b"".join((*parts, body)) if parts else body
        parts.append(body)
        message = await receive()
    raise ClientLeft
