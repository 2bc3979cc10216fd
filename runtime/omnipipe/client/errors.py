"""What a call can end in, beside its answer.

    omnipipe.errors.OmnipipeError
    └── ClientError                  every failure of a call; `partial` is what had come by then
        ├── ConnectionFailed         no connection, or one that was lost before an answer began
        ├── Timeout                  one of `TimeLimits` ran out
        ├── StreamBroken             an answer began and did not come to its end
        ├── BadAnswer                what came is not what the API says: another server, or a proxy's page
        ├── OutputMissing            a whole answer without what was asked for: no picture, no sound
        └── StatusError              the server said no, before or inside a stream
            ├── BadRequest           4xx that is none of those below
            ├── AuthenticationFailed 401, 403
            ├── NotFound             404
            ├── RateLimited          429
            └── ServerError          5xx

What the caller does wrong before anything is sent (a file that is not there, a value that is no JSON) stays a
`ValueError`, `TypeError` or `OSError`: no call has failed.
"""

from typing import TYPE_CHECKING, Any

from omnipipe.errors import OmnipipeError

if TYPE_CHECKING:
    from omnipipe.client.results import GenerateResult

__all__ = [
    "AuthenticationFailed",
    "BadAnswer",
    "BadRequest",
    "ClientError",
    "ConnectionFailed",
    "NotFound",
    "OutputMissing",
    "RateLimited",
    "ServerError",
    "StatusError",
    "StreamBroken",
    "Timeout",
    "status_error",
]


class ClientError(OmnipipeError):
    partial: "GenerateResult | None" = None
    """What of the answer had come before the failure; None: nothing that could be read."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        """The server has not begun with the request: the same again costs nothing twice."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes as it is, without another call of `__init__`."""
        return _same, (type(self), self.args), self.__dict__


def _same(kind: type[ClientError], args: tuple[Any, ...]) -> ClientError:
    error = kind.__new__(kind)
    error.args = args
    return error


class ConnectionFailed(ClientError, ConnectionError):
    pass


class Timeout(ClientError, TimeoutError):
    pass


class StreamBroken(ClientError):
    pass


class BadAnswer(ClientError):
    pass


class OutputMissing(ClientError):
    pass


class StatusError(ClientError):
    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.message = message
        self.status = status
        self.type = type
        self.param = param
        """The field of the request that is at fault."""
        self.code = code
        self.request_id = request_id
        """What the server's logs call the request."""
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


class BadRequest(StatusError):
    pass


class AuthenticationFailed(StatusError):
    pass


class NotFound(StatusError):
    pass


class RateLimited(StatusError):
    pass


class ServerError(StatusError):
    pass


def status_error(status: int) -> type[StatusError]:
    """The class for a status of 400 or more."""
    match status:
        case 401 | 403:
            return AuthenticationFailed
        case 404:
            return NotFound
        case 429:
            return RateLimited
        case _:
            return BadRequest if status < 500 else ServerError
