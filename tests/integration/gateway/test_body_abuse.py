"""Bodies and requests that are wrong, hostile or slow: a 4xx in the one envelope, no internals, and the next request
is answered as if nothing had happened."""

import asyncio
import json

import pytest
from tests.integration.gateway.serving import fake_served, serving
from tests.integration.gateway.wire import connected, post

from omnipipe.coordinator.fake import text_script
from omnipipe.gateway.settings import GatewaySettings

GOOD = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x"}]}).encode()


def chat(extra: bytes) -> bytes:
    return GOOD[:-1] + b"," + extra + b"}"


ABUSE = {
    "empty": b"",
    "not json": b"hello",
    "truncated": GOOD[:-3],
    "trailing": GOOD + b"x",
    "array": b"[" + GOOD + b"]",
    "null": b"null",
    "number": b"7",
    "invalid utf-8": GOOD.replace(b'"x"', b'"\xff\xfe"'),
    "utf-16": GOOD.decode().encode("utf-16"),
    "lone surrogate": GOOD.replace(b'"x"', b'"\\ud800"'),
    "NaN": chat(b'"temperature":NaN'),
    "Infinity": chat(b'"temperature":-Infinity'),
    "float overflow": chat(b'"temperature":1e999'),
    "5000 digits": chat(b'"seed":' + b"9" * 5000),
    "beyond 64 bits": chat(b'"seed":9223372036854775808'),
    "beyond 64 bits, inside": chat(b'"stage_params":{"compose":{"chunks":18446744073709551616}}'),
    "deep arrays": chat(b'"stage_params":{"compose":{"a":' + b"[" * 200_000),
    "deep objects": chat(b'"stage_params":' + b'{"a":' * 200_000),
    "wrong types": b'{"model":{},"messages":"x"}',
    "unknown field": chat(b'"colour":"red"'),
    "unknown role": GOOD.replace(b"user", b"usr"),
    "no messages": b'{"model":"echo","messages":[]}',
    "no model": b'{"messages":[{"role":"user","content":"x"}]}',
    "empty model": GOOD.replace(b"echo", b""),
    "null bytes": b"\0" * 64,
    "form": b"model=echo&messages=x",
    "temperature beyond": chat(b'"temperature":2.1'),
    "too many stops": chat(b'"stop":["a","b","c","d","e"]'),
    "bad request id": chat(b'"request_id":"a\\r\\nb: c"'),
    "request id with a line end": chat(b'"request_id":"abc\\n"'),
    "negative timeout": chat(b'"timeout":-1'),
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_every_wrong_body_is_a_400_in_the_envelope(path: str) -> None:
    served, fake = fake_served(text_script(["ok"]))
    async with serving([served]) as running, connected(running) as connection:
        for name, body in ABUSE.items():
            await connection.send(post(body, path))
            answer = await connection.answer()
            assert answer.status == 400, (name, answer)
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-request-id"]
            error = answer.error
            assert error["type"] == "invalid_request_error"
            for internal in ("msgspec", "Traceback", "Error(", "omnipipe.", "line "):
                assert internal not in error["message"], (name, error)
            assert len(answer.body) < 1000
        await connection.send(post(GOOD))
        assert (await connection.answer()).status == 200
    assert len(fake.submitted) == 1


async def test_duplicate_keys_are_fine() -> None:
    served, _ = fake_served(text_script(["ok"]))
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(post(chat(b'"model":"echo"')))
        assert (await connection.answer()).status == 200


async def test_a_body_over_the_limit_is_refused_by_its_declared_size_and_as_it_comes() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, max_body_bytes=1000)
    async with serving([served], settings) as running:
        async with connected(running) as connection:
            await connection.send(post(b"x" * 1001))
            answer = await connection.answer()
            assert (answer.status, answer.error["code"]) == (413, "request_too_large")
            assert "1000 bytes" in answer.error["message"]
        async with connected(running) as connection:
            await connection.send(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            await connection.send((b"200\r\n" + b"x" * 0x200 + b"\r\n") * 3)
            answer = await connection.answer()
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            await connection.send(b"0\r\n\r\n")
            assert await connection.closed() == b""
        async with connected(running) as connection:
            huge = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % 10**18
            await connection.send(huge)
            assert (await connection.answer()).status == 413


async def test_a_body_at_a_byte_a_time_runs_into_one_deadline_for_all_of_it() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, body_timeout_s=0.3)
    async with serving([served], settings) as running, connected(running) as connection:
        await connection.send(post(GOOD)[: -len(GOOD)])

        async def trickle() -> None:
            for byte in GOOD:
                await connection.send(bytes([byte]))
                await asyncio.sleep(0.02)

        slow = asyncio.create_task(trickle())
        answer = await connection.answer()
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        assert answer.headers["connection"] == "close"
        slow.cancel()
        await asyncio.wait([slow])


async def test_headers_that_do_not_come_or_do_not_end_are_cut_off() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, header_timeout_s=0.3)
    async with serving([served], settings) as running:
        async with connected(running) as silent:
            assert await silent.closed() == b""
        async with connected(running) as slow:
            await slow.send(b"POST /v1/completions HTTP/1.1\r\nx-a: ")
            assert (await slow.answer()).status == 408
    async with serving([served]) as running, connected(running) as endless:
        await endless.send(b"GET /livez HTTP/1.1\r\n" + b"x-a: b\r\n" * 10_000)
        answer = await endless.answer()
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "request_bytes",
    [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"],
    ids=["text", "tls", "version"],
)
async def test_what_is_no_http_is_a_400_in_the_envelope(request_bytes: bytes) -> None:
    served, _ = fake_served()
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(request_bytes)
        answer = await connection.answer()
        assert answer.status == 400
        assert answer.error["type"] == "invalid_request_error"
        assert await connection.closed() == b""


async def test_connections_beyond_the_bound_are_told_so() -> None:
    served, _ = fake_served()
    settings = GatewaySettings(port=0, access_log=False, max_connections=1)
    async with serving([served], settings) as running, connected(running) as first:
        await first.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await first.answer()).status == 200
        async with connected(running) as second:
            answer = await second.answer()
            assert (answer.status, answer.error["code"]) == (503, "unavailable")
