"""One log out of many processes: whole lines, each with the name of who said it.

Text lines get a prefix, coloured on a terminal. JSON lines get a `process` field; what a child prints that is not JSON
(a traceback, a library's warning) becomes the `message` of a JSON line, so that the output stays machine-readable.
"""

import json
import time
from enum import StrEnum

from omnipipe.local.output import Output

__all__ = ["Console", "LineSplitter", "LogFormat"]

_COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)
_SELF = "omnipipe"
_LONGEST_LINE_BYTES = 64 << 10


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LineSplitter:
    """Bytes from a pipe to lines. A line that does not end is cut, so that it cannot fill the memory."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, rest = (self._rest + data).split(b"\n")
        while len(rest) >= _LONGEST_LINE_BYTES:
            lines.append(rest[:_LONGEST_LINE_BYTES])
            rest = rest[_LONGEST_LINE_BYTES:]
        self._rest = rest
        return [line.rstrip(b"\r") for line in lines if line.strip()]

    def end(self) -> list[bytes]:
        """The last line, if it had no newline."""
        return self.feed(b"\n")


class Console:
    def __init__(self, output: Output, log_format: LogFormat, colour: bool, names: list[str]) -> None:
        self.output = output
        if log_format is LogFormat.JSON:
            output.notice = _notice
        self._json = log_format is LogFormat.JSON
        self._colour = colour
        width = max(map(len, [*names, _SELF]))
        self._prefixes = {name: self._prefix(name, width, index) for index, name in enumerate(names)}

    def child(self, name: str, line: bytes) -> None:
        """One line that a child printed."""
        if not self._json:
            self.output.line(self._prefixes[name] + line + b"\n")
        elif line.startswith(b'{"') and line.endswith(b"}"):
            self.output.line(b'{"process":%s,' % json.dumps(name).encode() + line[1:] + b"\n")
        else:
            self._json_line(name, {"message": line.decode(errors="replace")})

    def say(self, text: str, **fields: str | float | list[str]) -> None:
        """One line of the supervisor's own. The text says it all; the fields are for machines."""
        if self._json:
            self._json_line(_SELF, {"message": text.strip(), **fields})
        else:
            self.output.line(f"{text}\n".encode())

    def _json_line(self, process: str, fields: dict[str, str | float | list[str]]) -> None:
        self.output.line(_json(process, fields))

    def _prefix(self, name: str, width: int, index: int) -> bytes:
        text = f"{name:<{width}} | "
        if self._colour:
            text = f"\x1b[{_COLOURS[index % len(_COLOURS)]}m{text}\x1b[0m"
        return text.encode()


def _notice(text: str) -> bytes:
    return _json(_SELF, {"message": text})


def _json(process: str, fields: dict[str, str | float | list[str]]) -> bytes:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    return json.dumps({"process": process, "time": stamp, **fields}, ensure_ascii=False).encode() + b"\n"
