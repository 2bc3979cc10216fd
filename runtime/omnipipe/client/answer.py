"""Answers that are not streamed: what an error's body says, and the small documents of the other routes."""

import json
from collections.abc import Mapping
from typing import Any

from omnipipe.client.errors import BadAnswer, StatusError, status_error
from omnipipe.client.pieces import parse_json
from omnipipe.client.retry import retry_after_s

__all__ = ["ERROR_BODY_BYTES", "is_healthy", "read_error", "read_models", "read_request_id", "require_type"]

ERROR_BODY_BYTES = 1 << 16
"""More of an error is not read: it is a page, not a message."""
SHOWN_CHARS = 500
_BUSY = frozenset({429, 503})
"""Statuses of a server that has not begun with the request."""


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> StatusError:
    """Of an answer with any status but 2xx."""
    if status < 400:
        return _redirected(status, headers)
    message, told = _told(body)
    # A server that knows better says so: one that refuses for good, with a status that otherwise passes.
    final = headers.get("x-should-retry", "").lower() == "false"
    return status_error(status)(
        message or f"the server answered with status {status} and no message",
        status=status,
        request_id=read_request_id(headers),
        retry_after_s=retry_after_s(headers),
        retryable=status in _BUSY and not final,
        type=_text(told.get("type")),
        param=_text(told.get("param")),
        code=_text(told.get("code")),
    )


def read_request_id(headers: Mapping[str, str]) -> str | None:
    """What the server calls the request, in its logs as well."""
    return headers.get("x-request-id")


def _redirected(status: int, headers: Mapping[str, str]) -> StatusError:
    """Not followed: the key would go to another host."""
    to = headers.get("location", "somewhere else")
    message = f"the server sends this client on to {to}: put that address into base_url"
    return status_error(400)(message, status=status, request_id=read_request_id(headers))


def _told(body: bytes) -> tuple[str, dict[str, Any]]:
    """The message, and the other members of our envelope. Errors of proxies are text or other JSON."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace").strip()[:SHOWN_CHARS], {}
    error = document.get("error", document.get("detail")) if isinstance(document, dict) else document
    if isinstance(error, dict) and isinstance(message := error.get("message"), str):
        return message, error
    shown = error if isinstance(error, str) else json.dumps(error) if error else ""
    return shown[:SHOWN_CHARS], {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def require_type(headers: Mapping[str, str], wanted: str) -> None:
    """Raises BadAnswer unless the body is `wanted`: an empty page of a proxy would pass for an empty stream."""
    found = headers.get("content-type", "").partition(";")[0].strip().lower()
    if found != wanted:
        raise BadAnswer(f"the server answered with {found or 'something without a type'}, not {wanted}")


def is_healthy(body: bytes) -> bool:
    document = parse_json(body)
    return isinstance(document, dict) and document.get("status") == "healthy"


def read_models(body: bytes) -> list[str]:
    document = parse_json(body)
    try:
        return [str(entry["id"]) for entry in document["data"]]
    except (TypeError, KeyError) as error:
        raise BadAnswer("what the server sent is no list of models") from error
