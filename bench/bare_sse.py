"""The baseline of P1: a bare ASGI app under the same server that sends frames made beforehand, a step at a time to all
streams, with nothing behind it."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn
import uvloop

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_FRAME = (
    b'data: {"id":"chatcmpl-000000000000000000000000","object":"chat.completion.chunk","created":1700000000,'
    b'"model":"echo","choices":[{"index":0,"delta":{"content":"xxxxx"},"logprobs":null,"finish_reason":null}]}\n\n'
)
_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")],
}


class Bare:
    """Waits for `streams` requests, then sends each `frames` frames, one to all of them every `step_s`."""

    def __init__(self, streams: int, frames: int, step_s: float) -> None:
        self._streams = streams
        self._frames = frames
        self._step_s = step_s
        self._waiting: list[tuple[Send, asyncio.Future[None]]] = []
        self._ticker: asyncio.Task[None] | None = None

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        if scope["path"] == "/readyz":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        while (await receive()).get("more_body"):
            pass
        await send(_HEAD)
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((send, end))
        if len(self._waiting) == self._streams:
            self._ticker = asyncio.create_task(self._tick(self._waiting))
            self._waiting = []
        await end
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _tick(self, streams: list[tuple[Send, asyncio.Future[None]]]) -> None:
        body = {"type": "http.response.body", "body": _FRAME, "more_body": True}
        due = time.perf_counter()
        for _ in range(self._frames):
            for send, _end in streams:
                await send(body)
            due += self._step_s
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        for _, end in streams:
            end.set_result(None)


async def _main(port: int, streams: int, frames: int, step_s: float) -> None:
    app = Bare(streams, frames, step_s)
    config = uvicorn.Config(app, "127.0.0.1", port, lifespan="off", log_level="error", access_log=False)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
