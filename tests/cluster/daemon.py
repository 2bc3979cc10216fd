"""A server process of the control plane: started, looked at, ended in time, its words kept. Knows no Kubernetes."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["Daemon", "DaemonError", "eventually"]

DEADLINE_S = 100.0
"""For what takes some seconds on an idle machine of two cores; less than a test may take, so that what was waited for
is said."""
_POLL_S = 0.05


class DaemonError(Exception):
    """A process that ended by itself, did not get ready, or did not end when told to."""


def eventually(look: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not look():
        if time.monotonic() > end:
            raise DaemonError(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(_POLL_S)


class Daemon:
    """Is ended with the test process, however that ends (where util-linux's setpriv can arrange it)."""

    def __init__(self, program: Path, args: Sequence[str], log: Path) -> None:
        self.name, self.log = program.name, log
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*guard, program, *args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests, which end their daemons in order
            )

    def wait_for(self, look: Callable[[], bool], what: str) -> None:
        """Raises DaemonError with the log's last lines."""

        def seen() -> bool:
            if self.process.poll() is not None:
                raise DaemonError(f"ended with {self.process.returncode}")
            return look()

        try:
            eventually(seen, what)
        except DaemonError as error:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
            raise DaemonError(f"{self.name}: {error}\n{tail}") from None

    def kill(self) -> None:
        """In the middle of whatever it does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ends it in its own way and waits; by force, and with an error, if that takes too long. Once is enough."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise DaemonError(f"{self.name}: did not end within {DEADLINE_S:.0f} s of SIGTERM") from None
