"""What a refusal says, whoever wrote it."""

import json
import pickle

import pytest

from omnipipe.client.answer import is_healthy, read_error, read_models, require_type
from omnipipe.client.errors import (
    AuthenticationFailed,
    BadAnswer,
    BadRequest,
    ClientError,
    ConnectionFailed,
    NotFound,
    RateLimited,
    ServerError,
    Timeout,
)
from omnipipe.client.results import GenerateResult
from omnipipe.errors import OmnipipeError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest), (401, AuthenticationFailed), (403, AuthenticationFailed), (404, NotFound), (409, BadRequest),
        (413, BadRequest), (422, BadRequest), (429, RateLimited), (500, ServerError), (503, ServerError),
        (504, ServerError),
    ],
)  # fmt: skip
def test_each_status_has_its_error(status: int, kind: type[ClientError]) -> None:
    error = read_error(status, {}, b"")
    assert type(error) is kind
    assert error.status == status


def test_the_envelope_is_taken_apart() -> None:
    body = {"error": {"message": "too hot", "type": "invalid_request_error", "param": "temperature", "code": None}}
    headers = {"x-request-id": "r-1", "retry-after": "2"}
    error = read_error(400, headers, json.dumps(body).encode())
    assert str(error) == "400: too hot"
    assert (error.type, error.param, error.code) == ("invalid_request_error", "temperature", None)
    assert (error.request_id, error.retry_after_s) == ("r-1", 2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail": "no such thing"}', "no such thing"),
        (b'{"detail": [{"loc": ["x"]}]}', '[{"loc": ["x"]}]'),
        (b'{"error": "plain"}', "plain"),
        (b"<h1>Bad gateway</h1>", "<h1>Bad gateway</h1>"),
        (b"", "the server answered with status 502 and no message"),
        (b"{}", "the server answered with status 502 and no message"),
        (b"[" * 50_000, "[" * 500),
    ],
)
def test_other_errors_are_shown_as_they_are(body: bytes, message: str) -> None:
    assert read_error(502, {}, body).message == message


def test_a_redirection_is_named_and_not_followed() -> None:
    error = read_error(307, {"location": "https://elsewhere"}, b"")
    assert "https://elsewhere" in error.message
    assert not error.retryable


def test_the_tree() -> None:
    assert issubclass(ClientError, OmnipipeError)
    assert issubclass(Timeout, TimeoutError)
    assert issubclass(ConnectionFailed, ConnectionError)


@pytest.mark.parametrize("kind", [NotFound, Timeout, ConnectionFailed])
def test_an_error_crosses_processes(kind: type[ClientError]) -> None:
    error = NotFound("no", status=404, param="model") if kind is NotFound else kind("no", retryable=True)
    error.partial = GenerateResult(text="hel")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_a_page_is_no_stream() -> None:
    require_type({"content-type": "application/x-ndjson; charset=utf-8"}, "application/x-ndjson")
    with pytest.raises(BadAnswer, match="text/html"):
        require_type({"content-type": "text/html"}, "application/x-ndjson")
    with pytest.raises(BadAnswer, match="without a type"):
        require_type({}, "application/x-ndjson")


def test_small_documents() -> None:
    assert is_healthy(b'{"status": "healthy"}')
    assert not is_healthy(b'{"status": "unhealthy"}')
    assert read_models(b'{"data": [{"id": "a"}, {"id": "b"}]}') == ["a", "b"]
    for body in (b"{}", b'{"data": [1]}', b"[]"):
        with pytest.raises(BadAnswer, match="no list of models"):
            read_models(body)
