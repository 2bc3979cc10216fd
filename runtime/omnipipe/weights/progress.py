"""How far a download is: a bar on a terminal, a line every few seconds in a log, a counter for metrics.

A Report is called from the download's own threads.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, TextIO

__all__ = ["Counted", "LogLines", "Report", "TerminalBar", "human", "report_for"]

_LOG: Final = logging.getLogger(__name__)
_LINE_EVERY_S: Final = 5.0
"""Often enough to see that it moves, seldom enough for a log that is kept."""
_DRAW_EVERY_S: Final = 0.1
_BAR_CELLS: Final = 30


class Report(Protocol):
    def start(self, name: str, total: int) -> None:
        """`total` bytes are to be fetched."""

    def add(self, count: int) -> None:
        """So many more bytes are here. Less than none when a part is fetched anew."""

    def end(self) -> None:
        """No more comes, whether all is here or not."""


class _Tally:
    """What the two writers share: bytes so far, and whether it is time to write again."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._name, self._total, self._done = "", 0, 0
        self._began = self._written = 0.0

    def start(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._began = self._written = self._clock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._written >= self._every_s:
                self._written = now
                self._write()

    def _write(self) -> None: ...

    def _rate(self) -> float:
        return self._done / max(self._clock() - self._began, 1e-3)

    def _share(self) -> int:
        return min(100, 100 * self._done // max(self._total, 1))


class LogLines(_Tally):
    """`doing`: what the lines say. `ends`: also a line at the start and one at the end, however quick it was."""

    def __init__(
        self,
        doing: str = "fetching",
        *,
        ends: bool = True,
        every_s: float = _LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(every_s, clock)
        self._doing = doing
        self._ends = ends

    def start(self, name: str, total: int) -> None:
        super().start(name, total)
        if self._ends:
            _LOG.info("%s %s: %s", self._doing, name, human(total))

    def _write(self) -> None:
        _LOG.info(
            "%s %s: %s of %s (%d%%), %s/s",
            self._doing,
            self._name,
            human(self._done),
            human(self._total),
            self._share(),
            human(self._rate()),
        )

    def end(self) -> None:
        if self._ends:
            spent = self._clock() - self._began
            _LOG.info("%s %s: %s in %.1f s, ended", self._doing, self._name, human(self._done), spent)


class TerminalBar(_Tally):
    def __init__(self, stream: TextIO) -> None:
        super().__init__(_DRAW_EVERY_S)
        self._stream = stream

    def _write(self) -> None:
        full = "█" * (_BAR_CELLS * self._share() // 100)
        figures = f"{human(self._done)} of {human(self._total)}, {human(self._rate())}/s"
        self._stream.write(f"\r{self._name} {full:░<{_BAR_CELLS}} {self._share():3}% {figures}\x1b[K")
        self._stream.flush()

    def end(self) -> None:
        self._write()
        self._stream.write("\n")


class Counted:
    """A report that also counts: `count` gets each number of bytes that came from the network, as a metric wants it."""

    def __init__(self, inner: Report, count: Callable[[int], None]) -> None:
        self._inner, self._count = inner, count

    def start(self, name: str, total: int) -> None:
        self._inner.start(name, total)

    def add(self, count: int) -> None:
        if count > 0:
            self._count(count)
        self._inner.add(count)

    def end(self) -> None:
        self._inner.end()


def report_for(stream: TextIO | None = None, doing: str = "fetching", *, ends: bool = True) -> Report:
    """A bar where people look at it, else lines."""
    stream = stream or sys.stderr
    return TerminalBar(stream) if stream.isatty() else LogLines(doing, ends=ends)


def human(count: float) -> str:
    """1536 -> "1.5 KiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
