"""What we refuse to read: counted every time, logged at most once a second."""

import logging
from collections.abc import Callable
from typing import Final

from omnipipe.wire.counters import Counters

__all__ = ["Rejections"]

log = logging.getLogger(__name__)

_LOG_EVERY_S: Final = 1.0


class Rejections:
    def __init__(self, counters: Counters, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._next_log = 0.0
        self._unlogged = 0

    def add(self, sender: str, reason: object) -> None:
        """`sender` and `reason` may hold what a stranger sent: they are shortened and quoted."""
        self._counters.rejected += 1
        now = self._clock()
        if now < self._next_log:
            self._unlogged += 1
            return
        self._next_log = now + _LOG_EVERY_S
        more = f" (and {self._unlogged} more before)" if self._unlogged else ""
        self._unlogged = 0
        log.warning("rejected a message from %.80r: %.300s%s", sender, ascii(str(reason)), more)
