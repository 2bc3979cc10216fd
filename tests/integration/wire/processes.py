"""Starts `peer` processes and ends them, whatever happened to them meanwhile."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

__all__ = ["Process", "started"]


class Process:
    def __init__(self, process: "subprocess.Popen[str]", listening: str) -> None:
        self.pid = process.pid
        self.listening = listening
        self._process = process

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def lives(self) -> bool:
        return self._process.poll() is None


@contextmanager
def started(**options: Any) -> Iterator[Process]:
    """Returns once it listens (or has dialled)."""
    command = [sys.executable, "-m", "tests.integration.wire.peer", json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out: IO[str] | None = process.stdout
        assert out is not None
        try:
            yield Process(process, out.readline().strip())
        finally:
            process.kill()
            process.wait()
