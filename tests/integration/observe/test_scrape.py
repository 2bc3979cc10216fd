"""Fetching expositions over real sockets from stages that answer, hang, lie or are gone."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from omnipipe.observe.scrape import MAX_BYTES, ScrapeError, fetch, scrape_all

Serve = Callable[[str, bytes], Awaitable[str]]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n# TYPE x gauge\nx 3\n"


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts a server that gives one fixed answer, or none when it is empty; returns its address."""
    servers: list[asyncio.Server] = []
    release = asyncio.Event()

    async def start(name: str, answer: bytes) -> str:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                if not answer:
                    await release.wait()
                writer.write(answer)
                await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()

        if name.startswith("tcp"):
            server = await asyncio.start_server(talk, "127.0.0.1", 0)
            host, port = server.sockets[0].getsockname()[:2]
            address = f"{host}:{port}"
        else:
            server = await asyncio.start_unix_server(talk, tmp_path / name)
            address = f"unix:{tmp_path / name}"
        servers.append(server)
        return address

    yield start
    release.set()
    for server in servers:
        server.close()
        await server.wait_closed()


async def test_unix_and_tcp_addresses_answer(serve: Serve) -> None:
    for name in ("a-0.admin.sock", "tcp"):
        assert await fetch(await serve(name, ANSWER), 60.0) == "# TYPE x gauge\nx 3\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no answer within"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\nno", "answered b'HTTP/1.1 503"),
        (b"nonsense", "IncompleteReadError"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff", "UnicodeDecodeError"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MAX_BYTES + 1), "more than"),
    ],
    ids=["hangs", "503", "nonsense", "not text", "endless"],
)
async def test_a_stage_that_does_not_answer_well(serve: Serve, answer: bytes, words: str) -> None:
    with pytest.raises(ScrapeError, match=words):
        await fetch(await serve("a.sock", answer), 0.3 if not answer else 60.0)


async def test_a_stage_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ScrapeError, match="FileNotFoundError"):
        await fetch(f"unix:{tmp_path}/gone.sock", 60.0)


async def test_one_stuck_stage_hides_nobody(serve: Serve) -> None:
    addresses = [await serve("a-0.admin.sock", ANSWER), await serve("b-0.admin.sock", b"")]
    text = await scrape_all("# TYPE y counter\ny_total 1\n", addresses, timeout_s=2.0)
    found = {(s.name, s.labels["process"]): s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert found == {
        ("y_total", "gateway"): 1,
        ("x", "a-0"): 3,
        ("omnipipe_scrape_up", "a-0"): 1,
        ("omnipipe_scrape_up", "b-0"): 0,
    }
