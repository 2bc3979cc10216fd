"""One call over httpx, for asyncio: tries until an answer begins, then its bytes. Its twin is `transfer`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import httpx

from omnipipe.client.answer import ERROR_BODY_BYTES, read_error, read_request_id
from omnipipe.client.errors import BadAnswer, ClientError
from omnipipe.client.faults import opening_fault, reading_fault
from omnipipe.client.limits import Deadline
from omnipipe.client.retry import Attempts
from omnipipe.client.setup import Call, Setup

__all__ = ["AsyncTransfer"]

T = TypeVar("T")


class AsyncTransfer:
    """An answer with a good status, being received."""

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        self.response = response
        self._deadline = deadline
        self._received = 0
        self._chunks = response.aiter_bytes()

    @classmethod
    async def open(cls, http: httpx.AsyncClient, setup: Setup, call: Call) -> "AsyncTransfer":
        """Raises ClientError when no try succeeds."""
        deadline = Deadline(setup.limits)
        attempts = Attempts(setup.max_retries, deadline)
        while True:
            try:
                return await cls._try(http, setup, call, deadline)
            except ClientError as error:
                await asyncio.sleep(attempts.pause_s(error))

    @classmethod
    async def _try(cls, http: httpx.AsyncClient, setup: Setup, call: Call, deadline: Deadline) -> "AsyncTransfer":
        request = http.build_request(**setup.request(call, deadline))
        try:
            response = await _within(deadline, http.send(request, stream=True, follow_redirects=False))
        except httpx.HTTPError as error:
            raise opening_fault(error, setup.base_url, deadline) from error
        transfer = cls(response, deadline)
        if response.is_success:
            return transfer
        async with transfer:
            body = await transfer.beginning(ERROR_BODY_BYTES)
        raise read_error(response.status_code, response.headers, body)

    @property
    def request_id(self) -> str | None:
        return read_request_id(self.response.headers)

    async def next(self) -> bytes | None:
        """What has come; None at the end."""
        self._deadline.left()
        try:
            chunk = await _within(self._deadline, _next(self._chunks))
        except httpx.HTTPError as error:
            raise reading_fault(error, self._deadline, self._received) from error
        self._received += len(chunk or b"")
        return chunk

    async def whole(self, limit: int) -> bytes:
        async with self:
            body = await self.beginning(limit + 1)
        if len(body) > limit:
            raise BadAnswer(f"the answer is longer than {limit} bytes")
        return body

    async def beginning(self, limit: int) -> bytes:
        body = bytearray()
        while len(body) < limit and (chunk := await self.next()) is not None:
            body += chunk
        return bytes(body[:limit])

    async def close(self) -> None:
        """Before the end: the connection goes with it, so that the server notices at once."""
        await self.response.aclose()

    async def __aenter__(self) -> "AsyncTransfer":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def _within(deadline: Deadline, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(deadline.remaining()) as limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise deadline.passed() from error
        raise
