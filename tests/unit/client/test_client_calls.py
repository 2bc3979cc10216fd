"""What each call of the two clients asks the server for, and that nothing stays open behind it.

httpx's own transport for tests stands for the network.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from email import message_from_bytes
from typing import Any

import httpx
import pytest
from tests.unit.client.lines_of import document, line

from omnipipe.client import AsyncOmnipipeClient, OmnipipeClient
from omnipipe.client.errors import ClientError
from omnipipe.client.faults import opening_fault, reading_fault
from omnipipe.client.limits import Deadline, TimeLimits
from omnipipe.client.results import StreamEvent, TextChunk

PNG = b"\x89PNG\r\n\x1a\n0000"
WAV = b"RIFF\0\0\0\0WAVEfmt "
MP4 = b"\0\0\0\x18ftypisom"
HELLO = document(text=[(b"hello", {})], image=[(PNG, {})], audio=[(b"\1\0\2\0", {"sample_rate": 8000})])


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Notes whether it was closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.closed = pieces, 0

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


class Server:
    def __init__(self, status: int = 200, *pieces: bytes, kind: str = "application/json") -> None:
        self.body = Body(*(pieces or (HELLO,)))
        self.status, self.kind = status, kind
        self.asked: list[dict[str, str]] = []
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(parts(request))
        return httpx.Response(self.status, headers={"content-type": self.kind}, stream=self.body)


def parts(request: httpx.Request) -> dict[str, str]:
    """Of a form: name -> text, and of files their type."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    found = {}
    form = message_from_bytes(head + request.read())
    for part in form.get_payload() if form.is_multipart() else []:
        assert not isinstance(part, str)
        name = str(part.get_param("name", header="content-disposition"))
        if part.get_filename():
            found[f"{name} {part.get_content_type()}"] = ""
        else:
            found[name] = bytes(part.get_payload(decode=True) or b"").decode()
    return found


CALLS: dict[str, tuple[Callable[[Any], Any], dict[str, str]]] = {
    "chat": (
        lambda client: client.chat("hi", images=PNG, audio=WAV, video=MP4, output_modalities=("text", "audio")),
        {"text": "hi", "output_modalities": "text,audio", "files image/png": "", "files audio/wav": "",
         "files video/mp4": ""},
    ),
    "tts": (
        lambda client: client.tts("hi", voice="anna"),
        {"text": "hi", "output_modalities": "audio", "model_kwargs": '{"voice": "anna"}'},
    ),
    "generate_image": (
        lambda client: client.generate_image("a house", seed=3),
        {"text": "a house", "output_modalities": "image", "model_kwargs": '{"seed": 3}'},
    ),
}  # fmt: skip


def agrees(asked: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(asked.get(name, "").replace(" ", "") == value.replace(" ", "") for name, value in wanted.items())


@pytest.mark.parametrize("name", CALLS)
def test_a_call_asks_for_what_it_is_called(name: str) -> None:
    call, wanted = CALLS[name]
    server = Server()
    with httpx.Client(transport=server.transport) as http:
        result = call(OmnipipeClient("http://server", http_client=http))

    assert agrees(server.asked[0], wanted), server.asked
    assert set(server.asked[0]) >= set(wanted)
    assert result is not None
    assert server.body.closed


@pytest.mark.parametrize("name", CALLS)
async def test_so_does_the_one_of_asyncio(name: str) -> None:
    call, wanted = CALLS[name]
    server = Server()
    async with httpx.AsyncClient(transport=server.transport) as http:
        result = await call(AsyncOmnipipeClient("http://server", http_client=http))

    assert agrees(server.asked[0], wanted), server.asked
    assert result is not None
    assert server.body.closed


LINES = [line("text", b"one"), line("text", b"two")]


def test_a_chat_may_be_streamed_and_left_early() -> None:
    server = Server(200, *LINES, kind="application/x-ndjson")
    events: list[StreamEvent] = []
    with httpx.Client(transport=server.transport) as http:
        for event in OmnipipeClient("http://server", http_client=http).chat("hi", stream=True):
            events.append(event)
            break

    assert events == [TextChunk("one")]
    assert server.asked[0]["streaming"] == "true"
    assert server.body.closed


async def test_a_stream_of_asyncio_that_is_left_early_is_closed() -> None:
    server = Server(200, *LINES, kind="application/x-ndjson")
    async with httpx.AsyncClient(transport=server.transport) as http:
        stream = AsyncOmnipipeClient("http://server", http_client=http).stream(text="hi")
        events = stream.__aiter__()
        assert await anext(events) == TextChunk("one")
        assert not server.body.closed

        await events.aclose()

        assert server.body.closed


@pytest.mark.parametrize("status", [400, 500])
async def test_a_refusal_is_read_and_closed(status: int) -> None:
    for_blocking, for_asyncio = Server(status, b'{"error": "no"}'), Server(status, b'{"error": "no"}')
    with httpx.Client(transport=for_blocking.transport) as http, pytest.raises(ClientError, match="no"):
        OmnipipeClient("http://server", http_client=http).chat("hi")
    async with httpx.AsyncClient(transport=for_asyncio.transport) as asynchronous:
        with pytest.raises(ClientError, match="no"):
            await AsyncOmnipipeClient("http://server", http_client=asynchronous).chat("hi")

    assert for_blocking.body.closed and for_asyncio.body.closed


async def test_a_client_closes_its_own_connections_and_no_others() -> None:
    with httpx.Client() as http:
        OmnipipeClient("http://server", http_client=http).close()
        assert not http.is_closed
    async with httpx.AsyncClient() as asynchronous:
        await AsyncOmnipipeClient("http://server", http_client=asynchronous).close()
        assert not asynchronous.is_closed
    with OmnipipeClient("http://server") as client:
        own = client._http
    assert own.is_closed
    async with AsyncOmnipipeClient("http://server") as other:
        theirs = other._http
    assert theirs.is_closed


def test_faults_say_why_in_words_or_at_least_by_name() -> None:
    deadline = Deadline(TimeLimits(connect=2.0))

    reading: list[tuple[httpx.HTTPError, str]] = [
        (httpx.ReadError("reset"), "broke off after 7 bytes: reset"),
        (httpx.ReadError(""), "broke off after 7 bytes: ReadError"),
        (httpx.DecodingError("bad gzip"), "cannot be decompressed: bad gzip"),
    ]
    for error, words in reading:
        assert words in str(reading_fault(error, deadline, 7))
    opening: list[tuple[httpx.HTTPError, str]] = [
        (httpx.ConnectTimeout(""), "no connection to http://server within 2 s"),
        (httpx.ConnectError("refused"), "no connection to http://server: refused"),
        (httpx.PoolTimeout(""), "became free in time"),
        (httpx.WriteError(""), "was lost before an answer came: WriteError"),
    ]
    for error, words in opening:
        assert words in str(opening_fault(error, "http://server", deadline))
    unbounded = Deadline(TimeLimits(connect=None))
    assert "within the time there was" in str(opening_fault(httpx.ConnectTimeout(""), "http://server", unbounded))


def test_only_what_cannot_have_been_sent_may_be_sent_again() -> None:
    deadline = Deadline(TimeLimits())
    again = {
        type(error).__name__: opening_fault(error, "http://server", deadline).retryable
        for error in (httpx.ConnectTimeout(""), httpx.ConnectError(""), httpx.ProxyError(""), httpx.PoolTimeout(""),
                      httpx.ReadTimeout(""), httpx.WriteError(""), httpx.RemoteProtocolError(""))
    }  # fmt: skip

    assert {name for name, allowed in again.items() if allowed} == {"ConnectTimeout", "ConnectError", "ProxyError"}
