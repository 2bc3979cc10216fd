"""Lines to the terminal, a pipe or a file, without ever waiting for it.

A terminal that is paused (Ctrl-S) or a pipe that nobody reads must not stop the supervisor: the children's own pipes
would fill behind it and requests would stall for the sake of a log. So lines wait here, within a bound, and are
dropped and counted beyond it.
"""

import os
import select
import time
from collections import deque

__all__ = ["Output"]

_LIMIT_BYTES = 1 << 20
_ATOM_BYTES = 4096
"""What a pipe that polls as writable takes without blocking (PIPE_BUF on Linux)."""


class Output:
    def __init__(self, fd: int, limit_bytes: int = _LIMIT_BYTES) -> None:
        self.fd = fd
        self._limit_bytes = limit_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._broken = False

    @property
    def waiting(self) -> bool:
        """Something is here for the next `pump`: poll the descriptor for writing."""
        return bool(self._lines)

    def line(self, line: bytes) -> None:
        """Queues one whole line, newline included."""
        if self._broken:
            return
        if self._bytes + len(line) > self._limit_bytes:
            self._dropped += 1
            return
        if self._dropped:
            self._queue(b"... %d lines dropped: the log's reader is too slow\n" % self._dropped)
            self._dropped = 0
        self._queue(line)

    def pump(self) -> None:
        """Writes one piece. Call when the descriptor polls as writable."""
        piece = self._take()
        if not piece:
            return
        try:
            written = os.write(self.fd, piece)
        except BlockingIOError:
            written = 0
        except OSError:  # closed: the log has no reader, the pipeline goes on
            self._broken = True
            self._lines.clear()
            self._bytes = 0
            return
        if written < len(piece):
            self._lines.appendleft(piece[written:])
            self._bytes += len(piece) - written

    def close(self, within_s: float) -> None:
        """Writes what is left, unless it takes longer than that."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        end = time.monotonic() + within_s
        while self.waiting and (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self.pump()

    def _queue(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)

    def _take(self) -> bytes:
        """Up to one atom of whole lines; a longer line goes in pieces."""
        parts: list[bytes] = []
        size = 0
        while self._lines and size < _ATOM_BYTES:
            line = self._lines.popleft()
            room = _ATOM_BYTES - size
            if len(line) > room:
                if parts:
                    self._lines.appendleft(line)
                    break
                self._lines.appendleft(line[room:])
                line = line[:room]
            parts.append(line)
            size += len(line)
        self._bytes -= size
        return b"".join(parts)
