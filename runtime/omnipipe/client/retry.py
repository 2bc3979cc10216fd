"""When a call is tried again, and after how long. Decisions only: the clients wait.

Again means: only what the server has not begun with (`ClientError.retryable`), at most `max_retries` times, and never
past the call's deadline.
"""

import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from omnipipe.client.errors import ClientError, StatusError
from omnipipe.client.limits import Deadline

__all__ = ["Attempts", "retry_after_s"]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
"""Of what a server may ask for, too: a wrong date must not hold a program for a day."""
LONGEST_OWN_PAUSE_S = 8.0


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What `Retry-After` asks for, given in seconds or as a date; None without one that can be read."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _moment(value)
        if until is None:
            return None
        # The server's own clock, where it says its time: ours may be minutes off.
        now = _moment(headers.get("date", "")) or datetime.fromtimestamp(time.time(), UTC)
        seconds = (until - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _moment(date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Attempts:
    """The tries of one call."""

    def __init__(self, max_retries: int, deadline: Deadline, draw: Callable[[], float] = random.random) -> None:
        self._max_retries = max_retries
        self._deadline = deadline
        self._draw = draw
        self._failed = 0

    def pause_s(self, error: ClientError) -> float:
        """How long to wait before the next try. Raises `error` when there is none."""
        if not error.retryable or self._failed >= self._max_retries:
            raise error
        asked = error.retry_after_s if isinstance(error, StatusError) else None
        # Up to a quarter more: clients that were refused together do not come back together.
        spread = 1 + self._draw() / 4
        if asked is None:
            pause = min(FIRST_PAUSE_S * 2.0**self._failed, LONGEST_OWN_PAUSE_S) * spread
        else:
            pause = min(asked * spread, LONGEST_PAUSE_S)
        if not self._deadline.allows(pause):
            raise error
        self._failed += 1
        return pause
