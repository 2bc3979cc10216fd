"""Signals as bytes on a pipe, so that the supervisor's one poll sees them."""

import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Self

__all__ = ["Signals", "ignore_stops", "interrupt_on_stops"]

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""SIGHUP: the terminal was closed; the children, in sessions of their own, would not notice."""


def _stops() -> Iterable[signal.Signals]:
    """Under `nohup` SIGHUP comes ignored, and stays so."""
    return (number for number in _STOPS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN)


class Signals:
    """While it is entered, stop signals are counted instead of raised, and a child's end wakes the poll."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._write_fd, False)
        self._stops = 0

    def __enter__(self) -> Self:
        self._old_wakeup = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, self._stop) for number in _stops()}
        self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _ignore)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self.fd)
        os.close(self._write_fd)

    def clear(self) -> None:
        """Empties the pipe; the counts stay."""
        try:
            while os.read(self.fd, 512):
                pass
        except BlockingIOError:
            return

    def take_stops(self) -> int:
        stops, self._stops = self._stops, 0
        return stops

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1


def interrupt_on_stops() -> None:
    """Until `Signals` is entered, every stop signal is a KeyboardInterrupt, so that what was begun is tidied up."""
    for number in _stops():
        signal.signal(number, signal.default_int_handler)


def ignore_stops() -> None:
    """While tidying up at the end: an impatient one more Ctrl-C must not leave half of it behind."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Only here so that the signal reaches the pipe: an ignored one does not."""
