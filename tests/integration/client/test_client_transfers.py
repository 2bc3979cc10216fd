"""The clients against servers that answer, refuse, break off, stall and trickle."""

import asyncio
import gc
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.integration.client.both import Asks
from tests.integration.client.scripted import DEADLINE_S, Peer, ScriptedServer
from tests.unit.client.lines_of import document, line

from omnipipe.client import (
    AsyncOmnipipeClient,
    BadAnswer,
    BadRequest,
    ClientError,
    ConnectionFailed,
    ImageChunk,
    OmnipipeClient,
    RateLimited,
    ServerError,
    StreamBroken,
    StreamEvent,
    TextChunk,
    TimeLimits,
    Timeout,
)

HELLO = document(text=[(b"hello", {})])
PNG = b"\x89PNG\r\n\x1a\n" + bytes(1 << 20)


def hello(peer: Peer) -> None:
    peer.answer(200, HELLO)


def busy(peer: Peer) -> None:
    peer.answer(429, b'{"error": {"message": "busy", "code": "overloaded"}}', retry_after="0")


def goes_away(peer: Peer) -> None:
    peer.hang_up()


def test_a_whole_answer(asks: Asks) -> None:
    with ScriptedServer(hello) as server:
        result = asks.whole(server.url, text="hi", images=PNG, voice="tara", model="echo")
        (request,) = server.requests
    assert (result.text, result.request_id) == ("hello", "r-1")
    assert request.line == "POST /generate HTTP/1.1"
    assert PNG in request.body
    assert b'{"voice": "tara"}' in request.body


def test_events_come_while_the_server_is_still_at_work(asks: Asks) -> None:
    read = threading.Event()

    def in_turn(peer: Peer) -> None:
        peer.stream(line("text", b"one"))
        assert read.wait(DEADLINE_S)
        peer.chunk(line("text", b"two"))
        peer.end()

    with ScriptedServer(in_turn) as server:
        assert asks.events(server.url, text="hi", seen=lambda _: read.set()) == [TextChunk("one"), TextChunk("two")]


def test_a_large_piece_comes_in_many_reads(asks: Asks) -> None:
    body = line("image", PNG * 4)

    def in_bits(peer: Peer) -> None:
        peer.stream(*(body[at : at + 100_000] for at in range(0, len(body), 100_000)))
        peer.end()

    with ScriptedServer(in_bits) as server:
        assert asks.events(server.url, text="hi") == [ImageChunk(PNG * 4)]


def test_a_busy_server_is_asked_again_with_everything(asks: Asks) -> None:
    with ScriptedServer(busy, busy, hello) as server:
        assert asks.whole(server.url, images=PNG).text == "hello"
        assert [PNG in request.body for request in server.requests] == [True] * 3


def test_a_stream_is_asked_for_again_as_well(asks: Asks) -> None:
    def one(peer: Peer) -> None:
        peer.stream(line("text", b"one"))
        peer.end()

    with ScriptedServer(lambda peer: peer.answer(503, b"", retry_after="0"), one) as server:
        assert asks.events(server.url, text="hi") == [TextChunk("one")]


def test_a_server_that_stays_busy_says_so(asks: Asks) -> None:
    with ScriptedServer(busy, busy) as server:
        with pytest.raises(RateLimited, match="429: busy") as caught:
            asks.whole(server.url, {"max_retries": 1}, text="hi")
        assert len(server.requests) == 2
    assert (caught.value.code, caught.value.retry_after_s, caught.value.partial) == ("overloaded", 0, None)


def test_a_longer_pause_than_there_is_time_is_not_made(asks: Asks) -> None:
    with (
        ScriptedServer(lambda peer: peer.answer(503, b"{}", retry_after="50")) as server,
        pytest.raises(ServerError),
    ):
        asks.whole(server.url, {"timeout": 40.0}, text="hi")


@pytest.mark.parametrize("status", [400, 500])
def test_other_refusals_are_final(asks: Asks, status: int) -> None:
    with ScriptedServer(lambda peer: peer.answer(status, b'{"error": {"message": "no", "param": "text"}}')) as server:
        with pytest.raises(BadRequest if status == 400 else ServerError, match=f"{status}: no"):
            asks.events(server.url, text="hi")
        assert len(server.requests) == 1


def test_a_server_that_comes_up_late_is_found(asks: Asks) -> None:
    with ScriptedServer(hello, late_s=0.2) as server:
        assert asks.whole(server.url, {"max_retries": 6}, text="hi").text == "hello"


def test_nobody_there(asks: Asks) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ConnectionFailed, match=f"no connection to {url}"):
            asks.whole(url, {"max_retries": 0}, text="hi")
    with pytest.raises(ConnectionFailed):
        asks.whole("http://nobody.invalid", {"max_retries": 0}, text="hi")


def test_a_connection_lost_after_the_request_is_not_asked_again(asks: Asks) -> None:
    with ScriptedServer(goes_away) as server:
        with pytest.raises(ConnectionFailed, match="lost before an answer came"):
            asks.whole(server.url, text="hi")
        assert len(server.requests) == 1


def test_a_stream_that_breaks_off_says_what_had_come(asks: Asks) -> None:
    def breaks(peer: Peer) -> None:
        peer.stream(line("text", b"hel") + line("text", b"lo")[:7])
        peer.hang_up()

    events: list[StreamEvent] = []
    with ScriptedServer(breaks) as server:
        with pytest.raises(StreamBroken, match="broke off") as caught:
            asks.events(server.url, text="hi", seen=events.append)
        assert len(server.requests) == 1
    assert events == [TextChunk("hel")]
    assert caught.value.partial is not None
    assert (caught.value.partial.text, caught.value.partial.request_id) == ("hel", "r-1")


def test_a_document_that_breaks_off(asks: Asks) -> None:
    def breaks(peer: Peer) -> None:
        peer.head(200, "application/json", content_length="999")
        peer.sock.sendall(HELLO)
        peer.hang_up()

    with ScriptedServer(breaks) as server, pytest.raises(StreamBroken):
        asks.whole(server.url, text="hi")


def test_a_stream_whose_end_cannot_be_told_needs_to_say_it(asks: Asks) -> None:
    def unframed(*lines: bytes) -> Any:
        def script(peer: Peer) -> None:
            peer.head(200, "application/x-ndjson", connection="close")
            peer.sock.sendall(b"".join(lines))
            peer.hang_up()

        return script

    whole = unframed(line("text", b"hi"), line("text", b"", finish_reason="stop"))
    with ScriptedServer(unframed(line("text", b"hi")), whole) as server:
        with pytest.raises(StreamBroken, match="nothing says") as caught:
            asks.events(server.url, text="hi")
        assert caught.value.partial is not None
        assert asks.events(server.url, text="hi")[0] == TextChunk("hi")


def test_an_error_inside_a_stream_is_raised_with_what_had_come(asks: Asks) -> None:
    def fails(peer: Peer) -> None:
        peer.stream(line("text", b"hel"), line("error", b"a stage failed", status=500, code="internal_error"))
        peer.end()

    with ScriptedServer(fails) as server:
        with pytest.raises(ServerError, match="500: a stage failed") as caught:
            asks.events(server.url, text="hi")
        assert len(server.requests) == 1
    assert (caught.value.code, caught.value.request_id) == ("internal_error", "r-1")
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


def test_a_page_is_no_answer(asks: Asks) -> None:
    def page(peer: Peer) -> None:
        peer.answer(200, b"<html>Welcome</html>", "text/html")

    with ScriptedServer(page, page) as server:
        with pytest.raises(BadAnswer, match="Welcome"):
            asks.whole(server.url, text="hi")
        with pytest.raises(BadAnswer, match="text/html"):
            asks.events(server.url, text="hi")


def test_a_redirection_is_not_followed_with_the_key(asks: Asks) -> None:
    with ScriptedServer() as elsewhere:

        def redirects(peer: Peer) -> None:
            peer.answer(307, b"", location=elsewhere.url)

        with ScriptedServer(redirects) as server, pytest.raises(BadRequest, match=elsewhere.url):
            asks.whole(server.url, {"api_key": "secret"}, text="hi")
        assert elsewhere.requests == []


def test_leaving_a_stream_early_closes_the_connection(asks: Asks) -> None:
    def goes_on(peer: Peer) -> None:
        peer.stream(line("text", b"one"), line("text", b"two"))
        peer.wait_until_gone()

    with ScriptedServer(goes_on) as server:
        assert asks.events(server.url, text="hi", take=1) == [TextChunk("one")]
        server.wait_for_ends()


def endless(peer: Peer) -> None:
    peer.stream(line("text", b"one"))
    peer.wait_until_gone()


def test_the_ways_to_leave_a_stream() -> None:
    with ScriptedServer(*[endless] * 4) as server, OmnipipeClient(server.url) as client:
        stream = client.stream(text="hi")
        next(stream)
        stream.close()
        assert list(stream) == []
        assert stream.result.text == "one"
        server.wait_for_ends()
        with client.stream(text="hi") as stream:
            assert stream.request_id == "r-1"
        server.wait_for_ends()
        next(client.stream(text="hi"))  # and nobody holds it
        gc.collect()
        server.wait_for_ends()
        with pytest.raises(KeyError), client.stream(text="hi") as stream:
            raise KeyError
        server.wait_for_ends()


async def test_the_ways_to_leave_a_stream_of_asyncio() -> None:
    arrived = threading.Event()

    def unanswered(peer: Peer) -> None:
        arrived.set()
        peer.wait_until_gone()

    with ScriptedServer(*[endless] * 3, unanswered) as server:
        async with AsyncOmnipipeClient(server.url) as client:
            async for _ in client.stream(text="hi"):
                break
            await asyncio.to_thread(server.wait_for_ends)
            async with client.stream(text="hi") as stream:
                assert await stream.next() == TextChunk("one")
            await asyncio.to_thread(server.wait_for_ends)
            stream = await client.generate(text="hi", stream=True)
            assert stream.request_id == "r-1"
            task = asyncio.create_task(anext(aiter(stream)))
            assert await task == TextChunk("one")
            waiting = asyncio.ensure_future(stream.next())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await asyncio.to_thread(server.wait_for_ends)
            whole = asyncio.create_task(client.generate(text="hi"))
            await asyncio.to_thread(arrived.wait, DEADLINE_S)
            whole.cancel()
            with pytest.raises(asyncio.CancelledError):
                await whole
            await asyncio.to_thread(server.wait_for_ends)


def stalls(peer: Peer) -> None:
    peer.stream(line("text", b"one"))
    peer.wait_until_gone()


def trickles(peer: Peer) -> None:
    peer.stream(line("text", b"one"))
    while True:
        peer.chunk(b"\n")
        threading.Event().wait(0.02)


def never_begins(peer: Peer) -> None:
    peer.wait_until_gone()


def trickles_a_document(peer: Peer) -> None:
    peer.head(200, "application/json", content_length="100000")
    while True:
        peer.sock.sendall(b" ")
        threading.Event().wait(0.02)


def stalls_in_a_document(peer: Peer) -> None:
    peer.head(200, "application/json", content_length="100000")
    peer.wait_until_gone()


def stalls_without_frames(peer: Peer) -> None:
    peer.head(200, "application/x-ndjson", connection="close")
    peer.sock.sendall(line("text", b"one"))
    peer.wait_until_gone()


@pytest.mark.parametrize("script", [stalls, trickles, never_begins, stalls_without_frames])
def test_a_stream_ends_with_its_total_time(asks: Asks, script: Any) -> None:
    with ScriptedServer(script) as server, pytest.raises(Timeout, match=r"1 s \(total\)"):
        asks.events(server.url, {"timeout": 1.0}, text="hi")


@pytest.mark.parametrize("script", [trickles_a_document, stalls_in_a_document, never_begins])
def test_a_document_ends_with_its_total_time(asks: Asks, script: Any) -> None:
    with ScriptedServer(script) as server, pytest.raises(Timeout, match=r"1 s \(total\)"):
        asks.whole(server.url, {"timeout": TimeLimits(total=1.0, silence=60)}, text="hi")


@pytest.mark.parametrize("script", [stalls, never_begins])
def test_a_silent_stream_is_given_up(asks: Asks, script: Any) -> None:
    limits = TimeLimits(total=DEADLINE_S, silence=1.0)
    with ScriptedServer(script) as server:
        with pytest.raises(Timeout, match=r"nothing for 1 s") as caught:
            asks.events(server.url, {"timeout": limits}, text="hi")
        assert len(server.requests) == 1
    assert (caught.value.partial is not None) == (script is stalls)


def test_a_server_that_takes_nothing_in_ends_the_upload(asks: Asks) -> None:
    with ScriptedServer(never_begins_to_read, reads=False) as server, pytest.raises(Timeout, match="total"):
        asks.whole(server.url, {"timeout": 0.5}, images=("a.png", bytes(64 << 20)))


def never_begins_to_read(peer: Peer) -> None:
    """Until the other side has hung up."""
    poll = select.poll()
    poll.register(peer.sock, select.POLLRDHUP)
    poll.poll(DEADLINE_S * 1000)


def test_a_connection_that_does_not_open(asks: Asks) -> None:
    """A full backlog: the kernel answers nobody else."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(address)
            with pytest.raises(Timeout, match=r"no connection to .* within 0\.2 s") as caught:
                asks.whole(
                    f"http://127.0.0.1:{address[1]}",
                    {"timeout": TimeLimits(total=DEADLINE_S, connect=0.2), "max_retries": 0},
                    text="hi",
                )
            assert caught.value.retryable
        finally:
            for one in waiting:
                one.close()


def test_questions_about_the_server() -> None:
    with (
        ScriptedServer(
            lambda peer: peer.answer(200, b'{"status": "healthy"}'),
            lambda peer: peer.answer(503, b'{"status": "unhealthy"}'),
            lambda peer: peer.answer(200, b"not json"),
            lambda peer: peer.answer(200, b'{"status": "ready"}'),
            lambda peer: peer.answer(503, b""),
            lambda peer: peer.answer(200, b'{"data": [{"id": "echo"}]}'),
            lambda peer: peer.answer(401, b'{"error": {"message": "key"}}'),
        ) as server,
        OmnipipeClient(server.url) as client,
    ):
        assert [client.health() for _ in range(3)] == [True, False, False]
        assert [client.ready() for _ in range(2)] == [True, False]
        assert client.models() == ["echo"]
        with pytest.raises(ClientError, match="401: key"):
            client.models()
        assert [request.line.split()[1] for request in server.requests] == [
            "/health", "/health", "/health", "/readyz", "/readyz", "/v1/models", "/v1/models",
        ]  # fmt: skip


def test_threads_share_a_client_and_a_connection_is_used_again() -> None:
    with ScriptedServer(*[hello] * 24) as server, OmnipipeClient(server.url) as client:
        with ThreadPoolExecutor(4) as pool:
            texts = [result.text for result in pool.map(lambda _: client.chat("hi"), range(24))]
        assert texts == ["hello"] * 24


def test_a_client_of_ones_own_stays_open() -> None:
    with ScriptedServer(hello, hello) as server, httpx.Client(headers={"x-team": "a"}) as http:
        for _ in range(2):
            with OmnipipeClient(server.url, http_client=http, headers={"x-mine": "b"}) as client:
                assert client.chat("hi").text == "hello"
        assert [(request.headers["x-team"], request.headers["x-mine"]) for request in server.requests] == [
            ("a", "b")
        ] * 2
