"""A streamed answer as its caller holds it, blocking and for asyncio.

Nothing is sent before the first event is asked for or the `with` block entered. Leaving early (`close`, the end of the
block, letting go of the stream) closes the connection, and the server drops the request.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import httpx

from omnipipe.client.answer import require_type
from omnipipe.client.async_transfer import AsyncTransfer
from omnipipe.client.decoder import StreamDecoder
from omnipipe.client.errors import ClientError, StreamBroken
from omnipipe.client.results import GenerateResult, StreamEvent
from omnipipe.client.transfer import Transfer

__all__ = ["AsyncGenerateStream", "GenerateStream"]

_LINES = "application/x-ndjson"


class _Stream:
    """What both have in common: what has come, and whether there can be more."""

    def __init__(self) -> None:
        self._decoder = StreamDecoder()
        self._over = False

    @property
    def request_id(self) -> str | None:
        """What the server calls the request; None before it has answered."""
        return self._decoder.request_id

    @property
    def result(self) -> GenerateResult:
        """What has come so far, put together; of a stream that was read to its end the whole answer."""
        return self._decoder.result

    def _begun(self, transfer: Transfer | AsyncTransfer) -> None:
        self._decoder = StreamDecoder(transfer.request_id)
        require_type(transfer.response.headers, _LINES)

    def _received(self, data: bytes | None) -> None:
        if data is None:
            self._over = True
            self._decoder.end()
        else:
            self._decoder.feed(data)

    def _check_end(self, transfer: Transfer | AsyncTransfer) -> None:
        if not (_is_framed(transfer.response) or self._decoder.finished):
            raise StreamBroken("the connection ended, and nothing says whether the answer was whole")

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, ClientError):
            result = self.result
            error.partial = result if result.raw else None


class GenerateStream(_Stream):
    def __init__(self, open: Callable[[], Transfer]) -> None:
        super().__init__()
        self._open = open
        self._transfer: Transfer | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        with self._boundary():
            event = self._next()
        if event is None:
            self.close()
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        with self._boundary():
            self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """What is left of the answer is not wanted. Harmless at the end and when repeated."""
        self._over = True
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.close()

    @contextmanager
    def _boundary(self) -> Iterator[None]:
        """Whatever goes wrong ends the stream, an interrupt too: the rest would have lost its beginning."""
        try:
            yield
        except BaseException as error:
            self._failed(error)
            self.close()
            raise

    def _begin(self) -> Transfer | None:
        if self._transfer is None and not self._over:
            self._transfer = self._open()
            self._begun(self._transfer)
        return self._transfer

    def _next(self) -> StreamEvent | None:
        transfer = self._begin()
        if transfer is None:
            return None
        while (event := self._decoder.next()) is None:
            if self._over:
                self._check_end(transfer)
                return None
            self._received(transfer.next())
        return event


class AsyncGenerateStream(_Stream):
    def __init__(self, open: Callable[[], Awaitable[AsyncTransfer]]) -> None:
        super().__init__()
        self._open = open
        self._transfer: AsyncTransfer | None = None

    async def __aiter__(self) -> AsyncGenerator[StreamEvent, None]:
        """A generator, because the event loop ends one that its `async for` has left."""
        try:
            while (event := await self.next()) is not None:
                yield event
        finally:
            await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        """The stream itself, once its answer has begun."""
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        async with self._boundary():
            await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def next(self) -> StreamEvent | None:
        """The next event; None at the end. Taking events by this alone needs `async with`, or `close`."""
        async with self._boundary():
            event = await self._next()
        if event is None:
            await self.close()
        return event

    async def close(self) -> None:
        """What is left of the answer is not wanted. Harmless at the end and when repeated."""
        self._over = True
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            await transfer.close()

    @asynccontextmanager
    async def _boundary(self) -> AsyncIterator[None]:
        """Whatever goes wrong ends the stream, a cancellation too: the rest would have lost its beginning."""
        try:
            yield
        except BaseException as error:
            self._failed(error)
            await self.close()
            raise

    async def _begin(self) -> AsyncTransfer | None:
        if self._transfer is None and not self._over:
            self._transfer = await self._open()
            self._begun(self._transfer)
        return self._transfer

    async def _next(self) -> StreamEvent | None:
        transfer = await self._begin()
        if transfer is None:
            return None
        while (event := self._decoder.next()) is None:
            if self._over:
                self._check_end(transfer)
                return None
            self._received(await transfer.next())
        return event


def _is_framed(response: httpx.Response) -> bool:
    """Whether HTTP itself tells the end of the body from a break: what comes until the connection ends may be cut."""
    return (
        response.http_version == "HTTP/2"
        or "content-length" in response.headers
        or "chunked" in response.headers.get("transfer-encoding", "").lower()
    )
