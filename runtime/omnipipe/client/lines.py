"""Lines of a body that arrives in pieces cut anywhere. Bytes only: a cut can lie inside a character."""

from omnipipe.client.errors import BadAnswer

__all__ = ["MAX_LINE_BYTES", "Lines"]

MAX_LINE_BYTES = 256 << 20
"""A film of some minutes in base64 is one line. Beyond that it is no line but a fault, and would fill the memory."""


class Lines:
    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._buffer = bytearray()
        self._searched = 0
        """Bytes of the buffer that are known to hold no line end: a long line is looked through once."""
        self._ended = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def end(self) -> None:
        """What is left is a line, too."""
        self._ended = True

    def next(self) -> bytes | None:
        """The next line that is not blank, stripped; None: not yet, or no more."""
        while (line := self._cut()) is not None:
            if line := line.strip():
                return line
        return None

    def _cut(self) -> bytes | None:
        at = self._buffer.find(b"\n", self._searched)
        if at < 0:
            self._searched = len(self._buffer)
            if self._searched > self._max_line_bytes:
                raise BadAnswer(f"a line of the stream is longer than {self._max_line_bytes} bytes")
            if not self._ended or not self._buffer:
                return None
            at = self._searched
        line = bytes(self._buffer[:at])
        del self._buffer[: at + 1]
        self._searched = 0
        return line
