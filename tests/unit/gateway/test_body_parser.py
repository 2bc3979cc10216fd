"""What a client is told about a body that is not right: which field, and what would be."""

import json

import pytest

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.parse import BodyParser

PARSE = BodyParser(ChatCompletionRequest)


def refused(body: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        PARSE(body)
    assert caught.value.kind is ErrorKind.INVALID
    return caught.value


def with_field(name: str, value: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], name: value}).encode()


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        (b"{}", "model", "missing_required_parameter", "Missing required parameter: 'model'."),
        (with_field("model", 1), "model", "invalid_type", "Invalid type for 'model': expected str, got int."),
        (with_field("model", ""), "model", "invalid_value", "Invalid value for 'model': expected str of length >= 1."),
        (with_field("colour", 1), "colour", "unknown_parameter", "Unknown parameter: 'colour'."),
        (
            with_field("temperature", 3),
            "temperature",
            "invalid_value",
            "Invalid value for 'temperature': expected float <= 2.0.",
        ),
        (
            with_field("n", True),
            "n",
            "invalid_type",
            "Invalid type for 'n': expected int or null, got bool.",
        ),
        (
            with_field("messages", [{"role": "usr", "content": "x"}]),
            "messages[0].role",
            "invalid_value",
            "Invalid value for 'messages[0].role': 'usr'. Supported values are: 'assistant', 'developer', 'function', "
            "'system', 'tool', 'user'.",
        ),
        (
            with_field("messages", [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
            "messages[0].content[0].type",
            "invalid_value",
            "Invalid value for 'messages[0].content[0].type': 'image_url'. Supported values are: 'text'.",
        ),
        (
            with_field("messages", [{"role": "usr"}])[:-1] + b", oh",
            "messages[0].role",
            "invalid_value",
            "Invalid value for 'messages[0].role': 'usr'. Supported values are: 'assistant', 'developer', 'function', "
            "'system', 'tool', 'user'.",
        ),
        (
            with_field("messages", [{"role": "user", "content": [{"type": "text", "text": "x", "bold": 1}]}]),
            "messages[0].content[0].bold",
            "unknown_parameter",
            "Unknown parameter: 'messages[0].content[0].bold'.",
        ),
        (
            with_field("messages", [{"role": "user"}]),
            "messages[0].content",
            "missing_required_parameter",
            "Missing required parameter: 'messages[0].content'.",
        ),
        (
            with_field("messages", []),
            "messages",
            "invalid_value",
            "Invalid value for 'messages': expected array of length >= 1.",
        ),
        (
            with_field("service_tier", "gold"),
            "service_tier",
            "invalid_value",
            "Invalid value for 'service_tier': 'gold'. Supported values are: 'auto', 'default', 'fast', 'flex', "
            "'priority', 'scale'.",
        ),
        (
            with_field("metadata", {"k" * 65: "v"}),
            "metadata",
            "invalid_value",
            "Invalid value for a key of 'metadata': expected str of length <= 64.",
        ),
        (
            with_field("metadata", {"k": 1}),
            "metadata",
            "invalid_type",
            "Invalid type for 'metadata': expected str, got int.",
        ),
        (b"[]", None, "invalid_type", "Invalid type for the request body: expected object, got array."),
    ],
)
def test_the_field_is_named(body: bytes, param: str | None, code: str, message: str) -> None:
    error = refused(body)
    assert (error.param, error.code, error.message) == (param, code, message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"model":"\xff"}',
        b'{"model":"\\ud800"}',
        with_field("temperature", float("nan")),
        b'{"seed":' + b"9" * 5000 + b"}",
        b'{"temperature":1e999}',
        b'{"stage_params":{"a":' + b"[" * 100_000 + b"}}",
        b'{"stage_params":{"a":' + b'{"a":' * 100_000 + b"}}",
        b'\xef\xbb\xbf{"model":"m"}',
        b'{"model":"m"} x',
        '{"model":"m"}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_is_a_400_without_internals(body: bytes) -> None:
    error = refused(body)
    assert "msgspec" not in error.message
    assert "Traceback" not in error.message
    assert len(error.message) < 300


def test_a_long_text_of_the_client_is_not_repeated_whole() -> None:
    error = refused(with_field("x" * 100_000, 1))
    assert len(error.message) < 200
    assert error.param is not None
    assert len(error.param) < 200
