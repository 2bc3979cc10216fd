"""Forms, cut into pieces anywhere, and those that are none."""

import itertools
import json
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnipipe.errors import RequestError
from omnipipe.gateway.exchange import Exchange, Message
from omnipipe.gateway.native.form import Form, FormFile, is_form, read_form
from omnipipe.gateway.native.form_request import form_body

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
WAV = b"RIFF\0\0\0\0WAVEfmt "


def exchange_of(chunks: Sequence[bytes], content_type: str) -> Exchange:
    waiting = [*chunks]

    async def receive() -> Message:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        raise AssertionError("nothing is sent while a form is read")

    headers = [(b"content-type", content_type.encode())]
    return Exchange({"type": "http", "method": "POST", "path": "/generate", "headers": headers}, receive, send)


async def read(chunks: Sequence[bytes], content_type: str, limit: int = 1 << 20) -> Form:
    return await read_form(exchange_of(chunks, content_type), limit=limit, timeout_s=1)


def multipart(fields: dict[str, str], *files: tuple[str, bytes]) -> tuple[bytes, str]:
    request = httpx.Request("POST", "http://x", data=fields, files=[("files", file) for file in files])
    return request.read(), request.headers["content-type"]


@given(st.lists(st.integers(0, 3000), max_size=12))
async def test_a_form_is_the_same_however_it_is_cut(cuts: list[int]) -> None:
    body, kind = multipart({"text": "grüezi\r\n--x", "streaming": "false"}, ("a.png", PNG), ("b.wav", b""))
    places = [0, *sorted({min(cut, len(body)) for cut in cuts}), len(body)]
    form = await read([body[start:end] for start, end in itertools.pairwise(places)], kind)
    assert form.fields == {"text": "grüezi\r\n--x", "streaming": "false"}
    assert form.files == [FormFile("files", "a.png", PNG), FormFile("files", "b.wav", b"")]


async def test_a_form_without_files_may_be_urlencoded() -> None:
    form = await read([b"text=a+b%26c&streaming="], "application/x-www-form-urlencoded; charset=utf-8")
    assert form == Form({"text": "a b&c", "streaming": ""})


def test_what_is_a_form_is_seen_in_its_content_type() -> None:
    assert is_form(b"Multipart/Form-Data; boundary=x")
    assert is_form(b"application/x-www-form-urlencoded")
    assert not is_form(b"application/json")
    assert not is_form(b"")


GOOD, KIND = multipart({"text": "x"}, ("a.png", PNG))


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (GOOD, "multipart/form-data", "files"),
        (GOOD[: len(GOOD) // 2], KIND, "files"),
        (b"no form at all", KIND, "files"),
        (GOOD.replace(b'name="text"', b'nome="text"'), KIND, "files"),
        (b"text=a&text=b", "application/x-www-form-urlencoded", "text"),
        (b"text=%ff", "application/x-www-form-urlencoded", "text"),
        (b"&".join(b"f%d=" % index for index in range(200)), "application/x-www-form-urlencoded", "text"),
        (*multipart({}, *([("a", b"")] * 200)), "files"),
    ],
)
async def test_what_is_no_form_is_a_400(body: bytes, kind: str, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        await read([body], kind)
    assert caught.value.param == param


async def test_a_form_is_bounded() -> None:
    with pytest.raises(RequestError, match="too large"):
        await read([GOOD], KIND, limit=len(GOOD) - 1)


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({}, [], "text"),
        ({"txet": "x"}, [], "txet"),
        ({"files": "x"}, [], "files"),
        ({"text": "x", "streaming": "perhaps"}, [], "streaming"),
        ({"text": "x", "model_kwargs": "{"}, [], "model_kwargs"),
        ({"text": "x", "model_kwargs": "[]"}, [], "model_kwargs"),
        ({"text": "x", "model_kwargs": '{"temperature": 9}'}, [], "model_kwargs.temperature"),
        ({"text": "x", "model_kwargs": '{"bogus": 1}'}, [], "model_kwargs.bogus"),
        ({"text": "x", "model": "a", "model_kwargs": '{"model": "b"}'}, [], "model"),
        ({"text": "x", "input_modalities": "text,image"}, [], "input_modalities"),
        ({"text": "x", "input_modalities": "text,text"}, [], "input_modalities"),
        ({"text": "x", "input_modalities": "smell"}, [], "input_modalities"),
        ({"text": "x", "input_modalities": "text"}, [("a.png", PNG)], "input_modalities"),
        ({"text": "x"}, [("a.png", b"")], "files[0]"),
        ({"text": "x"}, [("a.png", PNG), ("a.png", b"%PDF-1.4")], "files[1]"),
    ],
)
def test_what_is_wrong_in_a_form_is_named(fields: dict[str, str], files: list[tuple[str, bytes]], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        form_body(Form(fields, [FormFile("files", name, data) for name, data in files]))
    assert caught.value.param == param


def test_what_a_file_is_shows_in_its_content_and_files_come_first() -> None:
    files = [FormFile("files", "talk.png", WAV), FormFile("files", "x.bin", PNG)]
    body = form_body(Form({"text": "look", "streaming": "False"}, files))
    assert [(part.type, part.format, part.path) for part in body.parts] == [
        ("audio", "png", "files[0]"),
        ("image", "bin", "files[1]"),
        ("text", "", ""),
    ]
    assert (body.outputs, body.stream) == (("text",), False)
    ordered = form_body(Form({"text": "look", "input_modalities": "text, image,audio"}, files))
    assert [part.type for part in ordered.parts] == ["text", "image", "audio"]


def test_options_are_those_of_a_chat_and_ms_own() -> None:
    asked = {
        "voice": "alloy",
        "max_output_tokens": 5,
        "temperature": 0.5,
        "model": "m",
        "request_id": "r",
        "timeout": 3,
    }
    body = form_body(Form({"text": "x", "model_kwargs": json.dumps(asked)}))
    assert (body.model, body.request_id, body.timeout) == ("m", "r", 3)
    assert (body.options.voice, body.options.max_output_tokens, body.options.temperature) == ("alloy", 5, 0.5)
