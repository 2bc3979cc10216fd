"""POST /v1/audio/speech on bare ASGI: the parts of a text spoken one after the other, sent as they are made.

While one part is heard the next is already being made, so that there is no gap between them; it waits, within the
bounds of its credit, until it is its turn. A slow listener pauses the part that is being sent, and so those behind it.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from omnipipe.coordinator.flight import Flight, OmniRequest, Piece, ServedPipeline
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.exchange import Exchange
from omnipipe.gateway.openai.answer import Tally
from omnipipe.gateway.openai.sound import SoundFile, content_type, pcm16, sound_file
from omnipipe.gateway.openai.speech import SpeechOrder
from omnipipe.gateway.openai.speech_answer import sound_headers, told_headers
from omnipipe.gateway.openai.speech_request import SpeechBody
from omnipipe.gateway.openai.usage import Usage, total
from omnipipe.gateway.post import PostRoute, count_tokens
from omnipipe.observe.metrics import RouteMetrics

__all__ = ["SpeechRoute", "Spoken"]

_PATIENCE_S = 30.0
"""How long a part that is not the first tries to be admitted: its client is listening to the one before."""
_RETRY_S = 0.25
"""Between tries, where the refusal names no time."""


class SpeechRoute(PostRoute[SpeechBody, SpeechOrder]):
    async def answer(self, exchange: Exchange, order: SpeechOrder, metrics: RouteMetrics) -> None:
        spoken = Spoken(order.served.coordinator, order.requests, exchange.began, metrics)
        if order.framing is None:
            await self._whole(exchange, order, spoken)
        else:
            await self._stream(exchange, order, spoken)
        count_tokens([spoken], metrics)

    async def _whole(self, exchange: Exchange, order: SpeechOrder, spoken: "Spoken") -> None:
        rate = order.served.requests.sample_rate_hz
        async with aclosing(spoken.sound(whole=True)) as sounds:
            pcm = [sound async for sound in sounds]
        data = await sound_file(pcm, order.format, rate, order.speed)
        headers = (*sound_headers(order.format, rate), *told_headers(spoken.tally))
        await exchange.answer(200, data, *headers, content_type=content_type(order.format).encode())

    async def _stream(self, exchange: Exchange, order: SpeechOrder, spoken: "Spoken") -> None:
        framing = order.framing
        assert framing is not None, "this order is not for a stream"
        # A file with a header for each chunk is, between the headers, bare samples.
        format = "pcm16" if order.self_contained and order.format == "wav" else order.format
        file = SoundFile(format, order.served.requests.sample_rate_hz, order.speed)
        async with aclosing(spoken.sound(whole=False)) as sounds:
            async for sound in sounds:
                frames = framing.frames(await file.push(sound))
                if frames and exchange.stream is None:  # an error up to here still gets a status of its own
                    await exchange.open_stream(framing.kind)
                await exchange.write_stream(frames)
        rest = framing.frames(await file.finish())
        if exchange.stream is None:
            await exchange.open_stream(framing.kind)
        await exchange.close_stream(rest + framing.ending(spoken.tally))


class Spoken:
    """The sound of all parts of one text."""

    def __init__(
        self, coordinator: ServedPipeline, requests: Sequence[OmniRequest], began: float, metrics: RouteMetrics
    ) -> None:
        self.tally = Tally()
        self._coordinator = coordinator
        self._requests = requests
        self._began = began
        self._metrics = metrics
        self._usages: list[Usage | None] = []

    async def sound(self, *, whole: bool) -> AsyncGenerator[bytes, None]:
        """PCM as it comes; with `whole` a part at a time, so that a replica's death is not noticed."""
        ahead: deque[asyncio.Task[Flight]] = deque()
        try:
            for index, request in enumerate(self._requests):
                if ahead:
                    flight = await ahead[0]
                    ahead.popleft()  # not before: if this is cancelled just now, the flight has to be closed
                else:
                    flight = await self._coordinator.submit(request)
                tally = Tally()
                try:
                    pieces = await (flight.whole() if whole else flight.next())
                    self._look_ahead(ahead, index)
                    while pieces:
                        if sound := _taken(pieces, tally):
                            self._heard(tally)
                            yield sound
                        pieces = [] if whole else await flight.next()
                finally:
                    flight.close()
                self._add(tally)
        finally:
            for task in ahead:
                task.add_done_callback(_close)
                task.cancel()

    def _look_ahead(self, ahead: deque[asyncio.Task[Flight]], index: int) -> None:
        """The next part is begun when this one begins to come: the first sound is not kept waiting by the second."""
        if index + 1 < len(self._requests):
            ahead.append(asyncio.create_task(self._admitted(self._requests[index + 1])))

    async def _admitted(self, request: OmniRequest) -> Flight:
        """A later part: refusing it now would break off what is being heard, so it waits for its turn."""
        end = time.perf_counter() + _PATIENCE_S
        while True:
            try:
                return await self._coordinator.submit(self._in_time(request))
            except RequestError as error:
                pause_s = error.retry_after_s or _RETRY_S
                if error.kind is not ErrorKind.OVERLOADED or time.perf_counter() + pause_s > end:
                    raise
                await asyncio.sleep(pause_s)

    def _in_time(self, request: OmniRequest) -> OmniRequest:
        """The client's deadline is for the whole text."""
        if request.timeout_s is None:
            return request
        left_s = request.timeout_s - (time.perf_counter() - self._began)
        if left_s <= 0:
            raise RequestError(ErrorKind.DEADLINE, f"The request took longer than its {request.timeout_s:g} seconds.")
        return replace(request, timeout_s=left_s)

    def _heard(self, tally: Tally) -> None:
        if not self.tally.audio_pieces:
            self._metrics.first_audio.observe(time.perf_counter() - self._began)
        self.tally.audio_pieces += tally.audio_pieces
        tally.audio_pieces = 0

    def _add(self, part: Tally) -> None:
        """Parts are prompts of their own: all of their tokens count."""
        if part.finish_reason != "stop":
            self.tally.finish_reason = part.finish_reason
        self._usages.append(part.usage)
        self.tally.usage = total(self._usages, per_prompt=1)


def _taken(pieces: Sequence[Piece], tally: Tally) -> bytes:
    parts: list[bytes] = []
    for piece in pieces:
        if sound := pcm16(piece.value):
            tally.audio_pieces += 1
            parts.append(sound)
        if piece.last:
            tally.end(piece.output, piece.meta)
    return b"".join(parts)


def _close(task: asyncio.Task[Flight]) -> None:
    """Of a part that nobody is going to hear; it may have been admitted at the last moment."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
