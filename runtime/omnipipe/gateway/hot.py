"""The hot paths: chat completions, completions and native requests on bare ASGI, ahead of every framework.

Here is all that happens for each request and for each frame of a stream; a microsecond more a frame is a percent of a
core at ten thousand frames a second. What a frame looks like is the answer's business (`openai.chat_answer`,
`openai.completion_answer`), what a request means the order's.

Slow readers: `send` waits for room in the socket, so nothing is poured meanwhile, so no credit goes back.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic

from omnipipe.coordinator.flight import Flight, Piece
from omnipipe.errors import RequestError
from omnipipe.gateway.body import body_there
from omnipipe.gateway.exchange import Exchange, InTask, WriteBody
from omnipipe.gateway.openai.answer import DONE, ChoiceWriter, WriterT
from omnipipe.gateway.openai.order import Draft, Order
from omnipipe.gateway.post import BodyT, PostRoute, count_tokens
from omnipipe.gateway.taskless import Host, Taskless, Work
from omnipipe.observe.metrics import RouteMetrics

__all__ = ["HotRoute"]


class HotRoute(PostRoute[BodyT, Order[Any]], Generic[BodyT, WriterT]):
    """One POST route whose answers may be streams."""

    def at_once(self, exchange: Exchange, host: Host, in_task: InTask) -> Work | None:
        """All that can be done right where the request has come. What it returns is left to be done in a task."""
        connection, parse = exchange.connection, self.parse
        data = body_there(exchange, self.max_body_bytes)
        if connection is None or parse is None or data is None:
            return self
        order = self.ordered(exchange, parse(data))
        if isinstance(order, Draft) or order.stream or len(order.requests) > 1 or order.answer.heavy:
            return partial(self.carry_out, order)
        Taskless(host, in_task, connection, exchange, order, self.metrics(exchange))
        return None

    async def answer(self, exchange: Exchange, order: Order[WriterT], metrics: RouteMetrics) -> None:
        answer = order.answer
        writers = [answer.writer(index) for index in range(len(order.requests))]
        if order.stream:
            stream = _Stream(order, exchange, metrics)
            await _all(stream.pump, writers)
            await exchange.close_stream(stream.held + stream.with_losses(answer.ending(writers)))
        else:
            await _all(partial(_keep, order), writers)
            await answer.settle(writers)
            await exchange.answer(200, answer.whole(writers))
        count_tokens(writers, metrics)


async def _all(pump: Callable[[int, WriterT], Coroutine[None, None, None]], writers: Sequence[WriterT]) -> None:
    """All choices side by side, each admitted for itself: one that waits must not hold another's place."""
    if len(writers) == 1:
        await pump(0, writers[0])
        return
    try:
        async with asyncio.TaskGroup() as group:
            for index, writer in enumerate(writers):
                group.create_task(pump(index, writer))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors  # the first to fail; the group has cancelled the others


async def _keep(order: Order[WriterT], index: int, writer: ChoiceWriter) -> None:
    """Pieces of a choice into its writer, for an answer in one go."""
    flight = await order.served.coordinator.submit(order.requests[index])
    try:
        writer.keep(await flight.whole())
    finally:
        flight.close()


class _Stream:
    """Frames of all choices into one event stream."""

    def __init__(self, order: Order[WriterT], exchange: Exchange, metrics: RouteMetrics) -> None:
        self._requests = order.requests
        self._coordinator = order.served.coordinator
        self._exchange = exchange
        self._kind = order.kind
        self._metrics = metrics
        self._began = time.perf_counter()
        self._opening = asyncio.Lock()
        self._opened = False
        self.held = b""
        """The last frames, to be sent together with what ends the stream."""
        self._lost: list[RequestError] = []

    async def pump(self, index: int, writer: ChoiceWriter) -> None:
        flight = await self._coordinator.submit(self._requests[index])
        try:
            pieces = await flight.next()  # an error up to here still gets a status of its own
            await self._open()
            await self._pour(pieces, flight, writer)
            self.held += writer.closing()
            if flight.lost is not None:
                self._lost.append(flight.lost)
        finally:
            flight.close()

    async def _pour(self, pieces: list[Piece], flight: Flight, writer: ChoiceWriter) -> None:
        exchange = self._exchange
        pipe = _Pipe(exchange.write, writer, self._metrics, self._began)
        try:
            more = bool(pieces) and (not pipe.take(pieces) or await flight.pour(pipe.take))
            while more:
                late, pipe.late = pipe.late, b""
                exchange.sent_bytes += len(late)
                await exchange.send({"type": "http.response.body", "body": late, "more_body": True})
                more = await flight.pour(pipe.take)
        finally:
            exchange.sent_bytes += pipe.written
        self.held += pipe.late

    def with_losses(self, ending: bytes) -> bytes:
        """What was lost on the way is the last thing that is told: clients take an error for the end."""
        tell = self._kind.tell
        if not self._lost or tell is None:
            return ending
        self._exchange.failed = self._lost[0].kind
        before = ending.removesuffix(DONE)
        return before + b"".join(map(tell, self._lost)) + ending[len(before) :]

    async def _open(self) -> None:
        """Once, by whichever choice is first; the others wait until the head is out."""
        async with self._opening:
            if not self._opened:
                await self._exchange.open_stream(self._kind)
                self._opened = True


class _Pipe:
    """Pieces of one choice to frames on the connection, from within the callback that brings them, and their times. Few
    objects and no call that could be spared: between two steps of an engine the caches are cold, and what a frame costs
    is mostly the memory that it touches."""

    __slots__ = ("_began", "_frames", "_heard", "_last", "_metrics", "_tally", "_texts", "_write", "late", "written")

    def __init__(self, write: WriteBody, writer: ChoiceWriter, metrics: RouteMetrics, began: float) -> None:
        self._write = write
        self._frames = writer.frames
        self._tally = writer.tally
        self._metrics = metrics
        self._began = began
        self._texts = 0
        self._last = 0.0
        self._heard = False
        self.written = 0
        """Bytes."""
        self.late = writer.opening()
        """Frames that are still to be written."""

    def take(self, pieces: list[Piece]) -> bool:
        """`flight.Sink`. False: they are late, and no more is wanted before they have left."""
        frames = self._frames(pieces)
        now = time.perf_counter()
        tally = self._tally
        texts = tally.text_pieces - self._texts
        if texts:  # observed all together
            if self._texts:
                self._metrics.inter_token.observe((now - self._last) / texts, texts)
            else:
                self._metrics.first_token.observe(now - self._began)
            self._texts += texts
            self._last = now
        if tally.audio_pieces and not self._heard:
            self._heard = True
            self._metrics.first_audio.observe(now - self._began)
        if self.late:
            frames = self.late + frames
            self.late = b""
        if frames:
            if not self._write(frames):
                self.late = frames
                return False
            self.written += len(frames)
        return True
