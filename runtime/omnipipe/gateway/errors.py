"""What a client is told when something goes wrong: one envelope, one table of statuses, for every route.

    {"error": {"message", "type", "param", "code"}}

Only what `RequestError` carries is ever shown; anything else that is raised is logged here at home and shown as
`INTERNAL_MESSAGE`. Clients choose what to do by status and `type`, people by `message`, so neither may hold internals.
"""

import math
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from omnipipe.errors import ErrorKind, RequestError

__all__ = [
    "INTERNAL_MESSAGE",
    "STATUS",
    "ErrorBody",
    "ErrorEnvelope",
    "envelope",
    "error_headers",
    "from_status",
    "told",
]

INTERNAL_MESSAGE = "The server had an error while processing your request."

DEFAULT_RETRY_AFTER_S = 1.0
"""For refusals that name no time of their own: long enough to matter, short enough for a person waiting."""


@dataclass(frozen=True, slots=True)
class _Row:
    status: int
    type: str
    code: str | None


STATUS: dict[ErrorKind, _Row] = {
    ErrorKind.INVALID: _Row(400, "invalid_request_error", None),
    ErrorKind.UNAUTHORIZED: _Row(401, "invalid_request_error", "invalid_api_key"),
    ErrorKind.FORBIDDEN: _Row(403, "permission_error", "forbidden"),
    ErrorKind.NOT_FOUND: _Row(404, "invalid_request_error", "not_found"),
    ErrorKind.CLIENT_TIMEOUT: _Row(408, "invalid_request_error", "request_timeout"),
    ErrorKind.CONFLICT: _Row(409, "invalid_request_error", "conflict"),
    ErrorKind.TOO_LARGE: _Row(413, "invalid_request_error", "request_too_large"),
    ErrorKind.UNSUPPORTED_MEDIA: _Row(415, "invalid_request_error", "unsupported_media_type"),
    ErrorKind.UNPROCESSABLE: _Row(422, "invalid_request_error", "unprocessable"),
    ErrorKind.OVERLOADED: _Row(429, "rate_limit_error", "overloaded"),
    ErrorKind.CANCELLED: _Row(499, "cancelled", "client_closed_request"),
    ErrorKind.INTERNAL: _Row(500, "server_error", "internal_error"),
    ErrorKind.UNAVAILABLE: _Row(503, "server_error", "unavailable"),
    ErrorKind.DEADLINE: _Row(504, "timeout_error", "deadline_exceeded"),
}
"""Each reason's status, `type` and, when the error names none itself, `code`."""


class ErrorBody(msgspec.Struct, frozen=True):
    message: str
    """What was wrong and what would be right."""
    type: str
    param: str | None
    """The request field at fault, as a path: `messages[0].content`."""
    code: str | None


class ErrorEnvelope(msgspec.Struct, frozen=True):
    """The body of every answer with a status of 400 or more."""

    error: ErrorBody


def told(error: RequestError) -> ErrorBody:
    row = STATUS[error.kind]
    return ErrorBody(error.message, row.type, error.param, error.code or row.code)


def envelope(error: RequestError) -> bytes:
    return msgspec.json.encode(ErrorEnvelope(told(error)))


def error_headers(error: RequestError) -> list[tuple[bytes, bytes]]:
    """What the status needs beside the body."""
    headers: list[tuple[bytes, bytes]] = []
    match error.kind:
        case ErrorKind.UNAUTHORIZED:
            headers.append((b"www-authenticate", b"Bearer"))
        case ErrorKind.OVERLOADED | ErrorKind.UNAVAILABLE:
            after_s = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s
            headers.append((b"retry-after", b"%d" % max(1, math.ceil(after_s))))
        case ErrorKind.DEADLINE:
            # The OpenAI SDKs try a 5xx again by themselves; a request that used up its own deadline would do so twice.
            headers.append((b"x-should-retry", b"false"))
        case ErrorKind.CLIENT_TIMEOUT | ErrorKind.TOO_LARGE | ErrorKind.UNSUPPORTED_MEDIA:
            headers.append((b"connection", b"close"))  # the rest of the body is still on its way: do not read on
        case _:
            pass
    return headers


def from_status(status: int, detail: str) -> bytes:
    """The envelope for a status that a framework chose (404 and 405 of unknown routes)."""
    try:
        code = HTTPStatus(status).phrase.lower().replace(" ", "_")
    except ValueError:
        code = None
    kind = "invalid_request_error" if status < 500 else "server_error"
    return msgspec.json.encode(ErrorEnvelope(ErrorBody(detail, kind, None, code)))
