"""What can go wrong, in the words a client sees.

    OmnipipeError               everything we raise on purpose
    ├── RequestError            one request fails; the rest of the process goes on
    └── (per package)           spec.ManifestError, wire.WireError, ...: see each package's errors.py

`ErrorKind` is the closed set of reasons a request can fail for. It crosses the wire (a stage's failure
reaches the gateway as one) and the gateway turns it into a status code, so it lives below both.
"""

from enum import StrEnum

__all__ = ["ErrorKind", "OmnipipeError", "RequestError", "Stopped"]


class ErrorKind(StrEnum):
    """Why a request failed. The gateway's table in `gateway/errors.py` gives each its HTTP status."""

    INVALID = "invalid"  # the request is wrong as it stands
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # with a request that is running
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA = "unsupported_media"  # its body comes in a form that is not read here
    UNPROCESSABLE = "unprocessable"  # well-formed, but this pipeline cannot do it
    CLIENT_TIMEOUT = "client_timeout"  # the client sent its request too slowly
    OVERLOADED = "overloaded"  # admission refused it; try again after `retry_after_s`
    CANCELLED = "cancelled"
    DEADLINE = "deadline"  # the request's own deadline passed
    UNAVAILABLE = "unavailable"  # no replica can take it now
    INTERNAL = "internal"  # a stage failed


class OmnipipeError(Exception):
    """The root of every error that Omnipipe raises on purpose."""


class Stopped(SystemExit):
    """SIGTERM came before the process had a handler of its own. No error: nothing had begun."""


class RequestError(OmnipipeError):
    """A request that ends in an error. `message` is shown to the client: it says what was wrong and what would be
    right, and holds no internals (no traceback, path, address or stage exception text)."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s
