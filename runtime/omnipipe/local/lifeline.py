"""How a child of the supervisor dies with it, even with a supervisor that was killed with -9.

Both hold one end of a socket pair. The supervisor never writes: end of file means that it is gone. The child first
tries to end the way it would on SIGTERM, so that its sockets and shared memory go too; one that does not is ended
hard. The other way the line carries text: `pid N` from a process that was forked, then a line when it is ready.

PR_SET_PDEATHSIG is not used: a signal handler in Python needs the interpreter just as the thread here does, and the
kernel would also send it when the parent that forked a process ends, which is how a stage leaves its nursery.
"""

import os
import signal
import threading
import time

from omnipipe.local.folder import RunFolder

__all__ = ["Lifeline"]

_AGAIN_S = 1.0
"""After the first SIGTERM a process drains; nobody is left to drain for, so a second one tells it to stop."""
_HARD_S = 1.5
"""What a process gets to stop after the second."""


class Lifeline:
    """A child's end."""

    def __init__(self, fd: int, folder: RunFolder | None) -> None:
        """Holds on: this process ends soon after the supervisor does. Make one before imports that take time."""
        self._fd = fd
        self._folder = folder
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def _watch(self) -> None:
        try:
            while os.read(self._fd, 64):
                pass
        except ConnectionError:
            pass
        for wait_s in (_AGAIN_S, _HARD_S):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(wait_s)
        if self._folder is not None:
            self._folder.leave()
        os._exit(1)
