"""How a child process comes to be: started from scratch, or forked from a process that has its imports done.

The imports of a stage take a third of a second of a core, the fork of a process that has them some milliseconds. With
five stages and a gateway on two cores the first byte came after 0.7 s in place of 1.5 s, for half the CPU time, and a
crashed stage is back before its peers have missed it. The nursery (`cli.nursery`) is single-threaded, has no ZMQ
context and imports no program, so that a fork of it is as good as a fresh process. It forks twice: with
PR_SET_CHILD_SUBREAPER the grandchild becomes this process's own child, which it reaps itself, and which the death of
the nursery does not touch. Linux only; elsewhere, and with `--spawn`, every process is started from scratch.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = ["FORK_FAILED", "ForkLauncher", "Forked", "Launcher", "Process", "Spawner", "fork_launcher"]

FORK_FAILED = 71  # EX_OSERR
"""The exit code of a process that never came to be."""

_OMNIPIPE = (sys.executable, "-P", "-m", "omnipipe")
"""-P: as with the console script, nothing in the current folder can stand in for a module."""
_PR_SET_CHILD_SUBREAPER = 36
_TITLE_ROOM = "_" * 400
"""Room for the command line of a stage, which a forked process writes over the nursery's, for `ps`."""
_END_S = 1.0


class Process(Protocol):
    """`subprocess.Popen` is one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """The exit code once it has ended, negative for a signal."""

    def send_signal(self, sig: int, /) -> None: ...


class Launcher(Protocol):
    def launch(self, words: Sequence[str], output_fd: int, fds: Mapping[str, int]) -> Process:
        """Starts `omnipipe WORDS` in a session of its own, writing to `output_fd`. `fds`: options that say which
        descriptor is what, `--lifeline-fd` for one, and the descriptors, which the process inherits."""

    def close(self) -> None:
        """Launches nothing more."""


class Spawner:
    def launch(self, words: Sequence[str], output_fd: int, fds: Mapping[str, int]) -> Process:
        options = [word for option, fd in fds.items() for word in (option, str(fd))]
        return subprocess.Popen(
            (*_OMNIPIPE, *words, *options),
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            pass_fds=tuple(fds.values()),
            start_new_session=True,
        )

    def close(self) -> None:
        """Holds nothing."""


class Forked:
    """A process that the nursery was asked for. Its pid comes over its own lifeline."""

    def __init__(self) -> None:
        self.pid = 0
        """0: not known yet."""
        self._pending: int | None = None
        self._lost = False

    def born(self, pid: int) -> None:
        self.pid = pid
        if self._pending is not None:
            self.send_signal(self._pending)

    def hung_up(self) -> None:
        """The lifeline ended. Before the birth: there will be none."""
        self._lost = not self.pid

    def poll(self) -> int | None:
        if self._lost:
            return FORK_FAILED
        if not self.pid:
            return None
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # its parent, the nursery's go-between, has not ended yet
            return None
        return os.waitstatus_to_exitcode(status) if pid else None

    def send_signal(self, sig: int, /) -> None:
        if self.pid:
            os.kill(self.pid, sig)
        else:
            self._pending = sig


class ForkLauncher:
    """Holds the nursery; a new one takes the place of one that died."""

    def __init__(self) -> None:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._nursery: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._start()

    def launch(self, words: Sequence[str], output_fd: int, fds: Mapping[str, int]) -> Process:
        order = json.dumps({"words": list(words), "fds": list(fds)}).encode()
        try:
            self._send(order, [output_fd, *fds.values()])
        except OSError:  # it died; with the second one there is nothing more to try
            self.close()
            self._start()
            self._send(order, [output_fd, *fds.values()])
        return Forked()

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._nursery is not None:
            self._nursery.send_signal(signal.SIGKILL)
            self._nursery.wait(_END_S)
            self._nursery = None

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            self._nursery = subprocess.Popen(
                (*_OMNIPIPE, "nursery", "--control-fd", str(theirs.fileno()), "--room", _TITLE_ROOM),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    def _send(self, order: bytes, fds: list[int]) -> None:
        if self._control is None:
            raise ConnectionError("the nursery is closed")
        socket.send_fds(self._control, [order], fds)


def fork_launcher() -> Launcher:
    """The faster way where there is one."""
    return ForkLauncher() if sys.platform == "linux" else Spawner()
