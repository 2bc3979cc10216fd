"""A web server that means no good, on loopback, byte by byte."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["Answer", "Hostile", "answer", "hostile", "redirect"]

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Hostile:
    port: int = 0
    pages: dict[str, Answer] = field(default_factory=dict)
    """Path -> what is said."""
    heads: list[str] = field(default_factory=list)
    """What was asked, from request line to empty line."""
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client has gone before all was said."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            await self.pages[head.split(" ")[1]](writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def hostile(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Hostile]:
    """Whatever it is still saying at the end, it is cut off."""
    web = Hostile()
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await web.serve(reader, writer)

    server = await asyncio.start_server(accepted, host, port, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + body)

    return say


def redirect(location: str, status: str = "302 Found") -> Answer:
    return answer(b"elsewhere", f"Location: {location}", status=status)
