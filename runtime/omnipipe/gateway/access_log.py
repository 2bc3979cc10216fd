"""One JSON line for each HTTP request. Never a body, a query string, a header or a key.

Lines are gathered and written together a moment later: a write for each request would be a good part of what a small
request costs. The buffer is bounded by time and by lines, and is written out at the end.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec

from omnipipe.gateway.exchange import Exchange
from omnipipe.observe.metrics import Outcome

__all__ = ["AccessLog"]

_DELAY_S = 0.1
_MAX_LINES = 256
_MAX_PATH = 256
"""Characters: a path is the client's own text."""


class _Line(msgspec.Struct, frozen=True, gc=False):
    time: str
    request_id: str
    method: str
    path: str
    status: int
    outcome: str
    duration_ms: float
    model: str
    bytes: int
    log: str = "access"


class AccessLog:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lines: list[_Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._encode = msgspec.json.Encoder().encode_lines
        self._second = 0
        self._prefix = ""

    def record(self, exchange: Exchange, status: int, outcome: Outcome, seconds: float) -> None:
        line = _Line(
            self._time(),
            exchange.request_id,
            exchange.method,
            exchange.path[:_MAX_PATH],
            status,
            outcome,
            round(seconds * 1e3, 3),
            exchange.model,
            exchange.sent_bytes,
        )
        self._lines.append(line)
        if len(self._lines) >= _MAX_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY_S, self.flush)

    def _time(self) -> str:
        """ISO 8601 in milliseconds. The part down to the second is made once a second."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        return f"{self._prefix}.{int((now - second) * 1e3):03d}+00:00"

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            data = self._encode(self._lines)
            self._lines.clear()
            self._stream.write(data)
            self._stream.flush()
