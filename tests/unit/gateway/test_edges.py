"""The small parts at the edge: errors, keys, request ids, the access log, noticing that a client has left."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path

import pytest
from tests.unit.gateway.pipelines import served

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.access_log import AccessLog
from omnipipe.gateway.app import create_app
from omnipipe.gateway.body import TooLarge, read_body
from omnipipe.gateway.departure import Departure
from omnipipe.gateway.errors import STATUS, envelope, error_headers
from omnipipe.gateway.exchange import ClientLeft, Exchange, Message, Scope
from omnipipe.gateway.keys import KeyRing, KeysError
from omnipipe.gateway.request_ids import new_request_id, sane_request_id
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.metrics import Outcome


def scope(**headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"k=1", "headers": pairs}


async def nothing(message: Message) -> None:
    return None


def receiving(*messages: Message) -> Callable[[], Awaitable[Message]]:
    """Gives the messages, then nothing more."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def test_every_reason_to_fail_has_a_status() -> None:
    assert set(STATUS) == set(ErrorKind)


def test_the_envelope_holds_what_openai_clients_read() -> None:
    error = RequestError(ErrorKind.INVALID, "wrong", param="n", code="bad")
    assert json.loads(envelope(error)) == {
        "error": {"message": "wrong", "type": "invalid_request_error", "param": "n", "code": "bad"}
    }


@pytest.mark.parametrize(
    ("kind", "after_s", "header"),
    [
        (ErrorKind.OVERLOADED, 2.2, (b"retry-after", b"3")),
        (ErrorKind.UNAVAILABLE, None, (b"retry-after", b"1")),
        (ErrorKind.UNAUTHORIZED, None, (b"www-authenticate", b"Bearer")),
        (ErrorKind.DEADLINE, None, (b"x-should-retry", b"false")),
    ],
)
def test_headers_say_what_to_do_next(kind: ErrorKind, after_s: float | None, header: tuple[bytes, bytes]) -> None:
    assert header in error_headers(RequestError(kind, "x", retry_after_s=after_s))


def test_any_of_the_keys_opens_and_nothing_else_does(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\none\n two  # spare\n\n")
    ring = KeyRing.load(("three",), file)
    for key in (b"Bearer one", b"bearer two", b"BEARER  three "):
        ring.check(key)
    for wrong in (b"", b"Bearer", b"Bearer ", b"Basic one", b"Bearer on", b"Bearer one two", b"one"):
        with pytest.raises(RequestError) as caught:
            ring.check(wrong)
        assert caught.value.kind is ErrorKind.UNAUTHORIZED
        assert "one" not in caught.value.message.split()


def test_keys_that_cannot_be_had_stop_the_start(tmp_path: Path) -> None:
    assert not KeyRing.load((), None)
    with pytest.raises(KeysError, match="cannot read"):
        KeyRing.load((), tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing yet\n")
    with pytest.raises(KeysError, match="holds no key"):
        KeyRing.load(("other",), tmp_path / "empty")
    with pytest.raises(KeysError, match="holds no key"):
        create_app([served()], GatewaySettings(api_keys_file=tmp_path / "empty"))


@pytest.mark.parametrize("given", [b"", b"a b", b"a\n", b"a/b", b"x" * 129, "é".encode(), b"a;b"])
def test_an_odd_request_id_is_not_taken_over(given: bytes) -> None:
    assert sane_request_id(given) is None


def test_request_ids() -> None:
    assert sane_request_id(b"trace-1:2.3_4") == "trace-1:2.3_4"
    assert new_request_id() != new_request_id()
    assert sane_request_id(new_request_id().encode()) is not None


async def test_the_access_log_is_a_json_line_without_secrets() -> None:
    stream = BytesIO()
    log = AccessLog(stream)
    exchange = Exchange(scope(authorization="Bearer secret"), receiving(), nothing)
    exchange.request_id, exchange.model, exchange.sent_bytes = "req", "echo", 12
    log.record(exchange, 200, Outcome.OK, 0.0123)
    assert stream.getvalue() == b""
    log.flush()
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "log": "access",
        "request_id": "req",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "outcome": "ok",
        "duration_ms": 12.3,
        "model": "echo",
        "bytes": 12,
    }


async def test_the_access_log_writes_by_itself_after_a_moment() -> None:
    written = asyncio.Event()

    class Stream(BytesIO):
        def flush(self) -> None:
            written.set()

    AccessLog(Stream()).record(Exchange(scope(), receiving(), nothing), 200, Outcome.OK, 0.0)
    async with asyncio.timeout(20):
        await written.wait()


async def test_a_body_is_read_to_its_end_within_the_limit() -> None:
    parts = ({"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.request", "body": b"c"})
    assert await read_body(Exchange(scope(), receiving(*parts), nothing), limit=3, timeout_s=1) == b"abc"
    with pytest.raises(TooLarge):
        await read_body(Exchange(scope(), receiving(*parts), nothing), limit=2, timeout_s=1)
    with pytest.raises(TooLarge):
        await read_body(Exchange(scope(content_length="3"), receiving(), nothing), limit=2, timeout_s=1)


async def test_a_body_that_does_not_come_is_a_timeout_and_a_client_that_leaves_is_none() -> None:
    with pytest.raises(RequestError) as caught:
        await read_body(Exchange(scope(), receiving(), nothing), limit=1, timeout_s=0.01)
    assert caught.value.kind is ErrorKind.CLIENT_TIMEOUT
    gone = receiving({"type": "http.disconnect"})
    with pytest.raises(ClientLeft):
        await read_body(Exchange(scope(), gone, nothing), limit=1, timeout_s=1)


async def test_a_client_that_leaves_ends_whatever_is_awaited() -> None:
    freed = False
    with pytest.raises(ClientLeft):
        try:
            with Departure(
                Exchange(scope(), receiving({"type": "http.request"}, {"type": "http.disconnect"}), nothing)
            ):
                await asyncio.Event().wait()
        finally:
            freed = True
    assert freed
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_client_that_stays_changes_nothing() -> None:
    with Departure(Exchange(scope(), receiving(), nothing)):
        await asyncio.sleep(0)


async def test_a_cancel_from_elsewhere_is_not_taken_for_a_departure() -> None:
    async def request() -> None:
        with Departure(Exchange(scope(), receiving(), nothing)):
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
