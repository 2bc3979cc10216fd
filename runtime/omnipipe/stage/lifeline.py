"""Notices the end of the supervisor: end of file on a descriptor whose other end it holds.

The stage is asked to leave; should its loop be stuck in a program, the process is ended hard a moment later, so that
nothing outlives a supervisor that was killed.
"""

import os
import select
import threading
from collections.abc import Callable

from omnipipe.stage.errors import ExitCode

__all__ = ["Lifeline"]


class Lifeline:
    def __init__(self, fd: int, on_end: Callable[[], None], *, hard_s: float, tidy: Callable[[], None]) -> None:
        """`on_end` is called once, from a thread. `hard_s` later, unless `close` was called, `tidy` removes what the
        process would leave behind and the process ends."""
        self._fd = fd
        self._on_end = on_end
        self._hard_s = hard_s
        self._tidy = tidy
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._stop_write, b"\0")
        self._thread.join()
        os.close(self._stop_read)
        os.close(self._stop_write)

    def _watch(self) -> None:
        if not self._wait_for_end():
            return
        self._on_end()
        if not select.select([self._stop_read], [], [], self._hard_s)[0]:
            self._tidy()
            os._exit(ExitCode.CUT_SHORT)

    def _wait_for_end(self) -> bool:
        while True:
            readable, _, _ = select.select([self._fd, self._stop_read], [], [])
            if self._stop_read in readable:
                return False
            try:
                if not os.read(self._fd, 64):
                    return True
            except ConnectionError:
                return True
