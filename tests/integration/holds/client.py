"""A chat client that shows what an SDK hides: each byte as it comes, a socket that is not read, a sudden departure."""

import asyncio
import base64
import json
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import h11

__all__ = ["Answer", "Chat", "Refused", "ask", "body"]

DEADLINE_S = 60.0
"""For any wait on the server, unless a test waits for longer on purpose."""


def body(
    text: str,
    *,
    stream: bool = True,
    audio: bool = False,
    stage_params: Mapping[str, Mapping[str, Any]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": "echo",
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        **more,
    }
    if audio:
        request |= {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
    if stage_params is not None:
        request["stage_params"] = stage_params
    return request


class Refused(Exception):
    """Not an answer: the status and the error of the envelope."""

    def __init__(self, status: int, error: dict[str, Any], headers: Mapping[str, str]) -> None:
        super().__init__(f"{status}: {error}")
        self.status = status
        self.error = error
        self.headers = headers


@dataclass
class Answer:
    said: list[str] = field(default_factory=list)
    sounds: list[bytes] = field(default_factory=list)
    finish_reason: str | None = None
    error: dict[str, Any] | None = None
    """The error event: nothing comes after it but [DONE], which says that the rest of the answer is whole."""
    done: bool = False
    """The stream ended with [DONE]."""
    ended_at: float = 0.0

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def sound(self) -> bytes:
        return b"".join(self.sounds)

    @property
    def pieces(self) -> int:
        return len(self.said)


class Chat:
    """One POST on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._frames = self._read_frames()
        self._answer = Answer()
        self.request_id = ""

    @classmethod
    async def start(cls, port: int, request: Mapping[str, Any], *, receive_buffer: int | None = None) -> Self:
        """`receive_buffer`: of the socket, in bytes; small for a reader that is to be slow."""
        raw = socket.socket()
        raw.setblocking(False)
        try:
            if receive_buffer is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=raw, limit=receive_buffer or 1 << 16)
        except BaseException:
            raw.close()
            raise
        chat = cls(reader, writer)
        data = json.dumps(request).encode()
        head = h11.Request(
            method="POST",
            target="/v1/chat/completions",
            headers=[("host", "x"), ("content-type", "application/json"), ("content-length", str(len(data)))],
        )
        for event in (head, h11.Data(data=data), h11.EndOfMessage()):
            writer.write(chat._http.send(event) or b"")
        await writer.drain()
        return chat

    async def head(self) -> None:
        """The status line and headers. Raises Refused unless it is 200."""
        response = await self._event()
        assert isinstance(response, h11.Response), response
        headers = {name.decode(): value.decode() for name, value in response.headers}
        self.request_id = headers["x-request-id"]
        if response.status_code != 200:
            raw = b"".join([data async for data in self._data()])
            raise Refused(response.status_code, json.loads(raw)["error"], headers)

    async def first(self) -> None:
        """Until something is said."""
        await self.head()
        async for frame in self._frames:
            _take(self._answer, frame)
            if self._answer.pieces:
                return
        raise AssertionError(f"the stream ended: {self._answer}")

    async def rest(self) -> Answer:
        """To the end of the stream, after `head` or `first`: the whole answer."""
        async for frame in self._frames:
            _take(self._answer, frame)
        self._answer.ended_at = time.monotonic()
        return self._answer

    async def stream(self) -> Answer:
        await self.head()
        return await self.rest()

    async def whole(self) -> Answer:
        """An answer that is not streamed."""
        await self.head()
        raw = json.loads(b"".join([data async for data in self._data()]))
        choice = raw["choices"][0]
        message = choice["message"]
        text, sound = message["content"], b""
        if message.get("audio"):
            text, sound = message["audio"]["transcript"], base64.b64decode(message["audio"]["data"])
        return Answer([text], [sound], choice["finish_reason"], done=True, ended_at=time.monotonic())

    def leave(self) -> None:
        """At once, with what was not read thrown away."""
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass

    async def _read_frames(self) -> AsyncIterator[bytes]:
        """What stands behind each `data: `."""
        held = b""
        async for data in self._data():
            *whole, held = (held + data).split(b"\n\n")
            for frame in whole:
                assert frame.startswith(b"data: "), frame
                yield frame[6:]
        assert not held, held

    async def _data(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._event()
            if isinstance(event, h11.EndOfMessage):
                return
            assert isinstance(event, h11.Data), event
            yield bytes(event.data)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            async with asyncio.timeout(DEADLINE_S):
                self._http.receive_data(await self._reader.read(1 << 16))
        return event


async def ask(port: int, request: Mapping[str, Any]) -> Answer:
    """One request from start to end. Raises Refused, and h11.RemoteProtocolError for a stream that is cut off."""
    chat = await Chat.start(port, request)
    try:
        return await (chat.stream() if request.get("stream") else chat.whole())
    finally:
        await chat.close()


def _take(answer: Answer, frame: bytes) -> None:
    assert not answer.done, f"after the end: {frame!r}"
    if frame == b"[DONE]":
        answer.done = True
        return
    assert not answer.error, f"after the error: {frame!r}"
    event = json.loads(frame)
    if "error" in event:
        answer.error = event["error"]
        return
    for choice in event["choices"]:
        delta = choice["delta"]
        audio = delta.get("audio") or {}
        said = delta.get("content") or audio.get("transcript") or ""
        if said:
            answer.said.append(said)
        if audio.get("data"):
            answer.sounds.append(base64.b64decode(audio["data"]))
        answer.finish_reason = choice["finish_reason"] or answer.finish_reason
