"""Lines to the terminal, a pipe or a file, without ever waiting for it.

A terminal that is paused (Ctrl-S) or a pipe that nobody reads must not stop the supervisor: the children's own pipes
would fill behind it and requests would stall for the sake of a log. So lines wait here, within a bound, and are
dropped and counted beyond it.
"""

import errno
import os
import select
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Output"]

_LIMIT_BYTES = 1 << 20
_ATOM_BYTES = 4096
"""What a pipe that polls as writable takes without blocking (PIPE_BUF on Linux)."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SLOW = "the log's reader is too slow"


def _plain(text: str) -> bytes:
    return f"... {text}\n".encode()


class Output:
    def __init__(self, fd: int, limit_bytes: int = _LIMIT_BYTES) -> None:
        self.fd = fd
        self.notice: Callable[[str], bytes] = _plain
        """Makes the line that says that lines were dropped."""
        self._limit_bytes = limit_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = 0
        self._told = 0
        """Lines that a notice speaks of which may still be waiting here."""
        self._why = _SLOW
        self._whole = True
        """What was written last ended a line."""
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
            word = "line" if self._dropped == 1 else "lines"
            notice = self.notice(f"{self._dropped} {word} dropped: {self._why}")
            self._queue(notice if self._whole or self._why == _SLOW else b"\n" + notice)
            self._told, self._dropped, self._why = self._dropped, 0, _SLOW
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
        except OSError as error:
            self._fail(error, piece)
            return
        if written:
            self._whole = piece.endswith(b"\n", 0, written)
        if written < len(piece):
            self._lines.appendleft(piece[written:])
            self._bytes += len(piece) - written
        elif not self._lines:
            self._told = 0

    def close(self, within_s: float) -> None:
        """Writes what is left, unless it takes longer than that."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        end = time.monotonic() + within_s
        while self.waiting and (left := end - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self.pump()

    def _fail(self, error: OSError, piece: bytes) -> None:
        if error.errno in _FULL:  # there may be room again: these lines are lost, later ones are tried
            lost = sum(map(bool, b"".join((piece, *self._lines)).split(b"\n")))
            self._dropped += self._told + lost - 1 if self._told else lost  # a notice is no line that was lost
            self._told = 0
            self._why = "there was no room to write them"
        else:  # closed: the log has no reader, the pipeline goes on
            self._broken = True
        self._lines.clear()
        self._bytes = 0

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
