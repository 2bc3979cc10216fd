"""HTTP by hand, for clients that misbehave: bytes out, bytes in, and no library that would put them right."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.integration.gateway.serving import DEADLINE_S, Running

__all__ = ["Answer", "Connection", "connected", "post"]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The one envelope."""
        document = json.loads(self.body)
        assert set(document["error"]) == {"message", "type", "param", "code"}, document
        error: dict[str, Any] = document["error"]
        return error


@dataclass(frozen=True)
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        async with asyncio.timeout(DEADLINE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode().rstrip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(int(status_line.split()[1]), headers, body)

    async def closed(self) -> bytes:
        """What still comes until the server hangs up."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()


@asynccontextmanager
async def connected(running: Running) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            pass


def post(body: bytes, path: str = "/v1/chat/completions", **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: test", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
