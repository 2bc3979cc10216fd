"""What httpx raises, in this package's words. The line between what is tried again and what is not runs here."""

import httpx

from omnipipe.client.errors import BadAnswer, ClientError, ConnectionFailed, StreamBroken, Timeout
from omnipipe.client.limits import Deadline

__all__ = ["opening_fault", "reading_fault"]


def opening_fault(error: httpx.HTTPError, url: str, deadline: Deadline) -> ClientError:
    """Before an answer began. Only where nothing can have been sent is it safe to send it again."""
    match error:
        case httpx.ConnectTimeout():
            return Timeout(f"no connection to {url} within {_seconds(deadline.limits.connect)}", retryable=True)
        case httpx.PoolTimeout():
            return Timeout(f"no connection to {url} became free in time")
        case httpx.TimeoutException():
            return _silent(deadline)
        case httpx.ConnectError() | httpx.ProxyError():
            return ConnectionFailed(f"no connection to {url}: {_reason(error)}", retryable=True)
        case _:
            return ConnectionFailed(f"the connection to {url} was lost before an answer came: {_reason(error)}")


def reading_fault(error: httpx.HTTPError, deadline: Deadline, received: int) -> ClientError:
    """In the middle of an answer."""
    match error:
        case httpx.TimeoutException():
            return _silent(deadline)
        case httpx.DecodingError():
            return BadAnswer(f"the answer cannot be decompressed: {_reason(error)}")
        case _ if not deadline.allows(0):
            return deadline.passed()  # that was our own watchdog
        case _:
            return StreamBroken(f"the answer broke off after {received} bytes: {_reason(error)}")


def _silent(deadline: Deadline) -> Timeout:
    limits = deadline.limits
    if limits.silence is None or not deadline.allows(0):
        return deadline.passed()
    return Timeout(f"the server sent nothing for {_seconds(limits.silence)} (silence)")


def _seconds(value: float | None) -> str:
    return "the time there was" if value is None else f"{value:g} s"


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
