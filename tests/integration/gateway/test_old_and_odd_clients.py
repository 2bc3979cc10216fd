"""Clients of another time or of other manners: HTTP/1.0, which has no chunks, and bodies that are compressed."""

import gzip
import json

import pytest
from tests.integration.gateway.serving import fake_served, serving
from tests.integration.gateway.spoken import SpokenRequests, pcm_of
from tests.integration.gateway.wire import connected, post

from omnipipe.coordinator.fake import Script, text_script
from omnipipe.coordinator.flight import Piece
from omnipipe.errors import ErrorKind, RequestError

BODY = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "x"}]}).encode()
STREAMED = BODY[:-1] + b',"stream":true}'


def old(body: bytes, path: str = "/v1/chat/completions", **headers: str) -> bytes:
    return post(body, path, **headers).replace(b"HTTP/1.1", b"HTTP/1.0")


@pytest.mark.parametrize("connection_header", [{}, {"connection": "keep-alive"}])
async def test_a_stream_for_http_1_0_is_plain_and_ends_with_the_connection(connection_header: dict[str, str]) -> None:
    served, _ = fake_served(text_script(["one", " two"]))
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(old(STREAMED, **connection_header))
        head, _, body = (await connection.closed()).partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    *events, last, rest = body.split(b"\n\n")
    assert (last, rest) == (b"data: [DONE]", b"")
    texts = [json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"].get("content") for event in events]
    assert "".join(text or "" for text in texts) == "one two"


async def test_such_a_file_that_breaks_off_breaks_the_connection() -> None:
    """Its plain end would be the file's."""
    broken: Script = [Piece("audio", pcm_of("one two"), False, None), RequestError(ErrorKind.INTERNAL, "broke")]
    served, _ = fake_served(broken, requests=SpokenRequests())
    body = json.dumps({"model": "echo", "input": "x", "voice": "alloy", "response_format": "pcm"}).encode()
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(old(body, path="/v1/audio/speech"))
        with pytest.raises(ConnectionError):
            await connection.closed()


async def test_a_whole_answer_for_http_1_0_has_its_length() -> None:
    served, _ = fake_served(text_script(["one"]))
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(old(BODY))
        answer = await connection.answer()
        assert answer.status == 200
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == "one"
        assert await connection.closed() == b""


async def test_a_failure_in_the_middle_of_such_a_stream_is_its_last_event() -> None:
    served, _ = fake_served([*text_script(["one"])[:1], RequestError(ErrorKind.UNAVAILABLE, "gone")])
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(old(STREAMED))
        _, _, body = (await connection.closed()).partition(b"\r\n\r\n")
    assert json.loads(body.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]["code"] == "unavailable"


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/generate", "/tokenize"]
)
@pytest.mark.parametrize("coding", ["gzip", "br", "identity, GZIP"])
async def test_a_compressed_body_is_told_what_is_wrong_with_it(path: str, coding: str) -> None:
    served, fake = fake_served(text_script(["one"]))
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(post(gzip.compress(BODY), path, content_encoding=coding))
        answer = await connection.answer()
        assert answer.status == 415
        assert answer.error["code"] == "unsupported_media_type"
        assert "'content-encoding'" in answer.error["message"]
        assert "uncompressed" in answer.error["message"]
    assert fake.submitted == []


@pytest.mark.parametrize("coding", ["identity", "", "Identity"])
async def test_a_body_that_says_it_is_not_compressed_is_read(coding: str) -> None:
    served, _ = fake_served(text_script(["one"]))
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(post(BODY, content_encoding=coding))
        assert (await connection.answer()).status == 200


async def test_a_large_compressed_body_is_thrown_away_and_the_answer_arrives() -> None:
    served, _ = fake_served(text_script(["one"]))
    async with serving([served]) as running, connected(running) as connection:
        await connection.send(post(b"\x1f\x8b" * (1 << 20), content_encoding="gzip"))
        assert (await connection.answer()).status == 415
