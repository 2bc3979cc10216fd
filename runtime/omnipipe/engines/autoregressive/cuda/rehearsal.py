"""Runs a `Trial` in a process of its own, in a thread that nobody waits for: an illegal access to the device's memory
ends the process that made it, and compiling takes seconds. That process ends with this one."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Final

from omnipipe.engines.autoregressive.cuda.trial import Trial

__all__ = ["Rehearsal", "apart"]

_log = logging.getLogger(__name__)
_SAID: Final = 300
"""Characters of what it says that are kept."""


def apart(trial: Trial) -> str:
    """What is wrong; empty: nothing."""
    command = [sys.executable, "-m", "omnipipe.engines.autoregressive.cuda.trial", trial.text()]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return f"no process for its trial: {error}"
    with process:
        assert process.stdout is not None
        lines = process.stdout.read().decode(errors="replace").strip().splitlines()
        status = process.wait()
    if status == 0:
        return ""
    return (lines[-1] if lines else f"its trial ended with status {status}")[:_SAID]


class Rehearsal:
    def __init__(self, trial: Trial, run: Callable[[Trial], str] = apart) -> None:
        self._found: str | None = None
        self._run = run
        self._thread = threading.Thread(target=self._work, args=(trial,), name="rehearse-kernel", daemon=True)
        self._thread.start()

    @property
    def found(self) -> str | None:
        """What is wrong, once it is known; empty: nothing."""
        return self._found

    def wait(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return self._found is not None

    def _work(self, trial: Trial) -> None:
        self._found = self._run(trial)
