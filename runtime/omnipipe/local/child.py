"""One child process and its pipes. Knows how to start and end it; when to is the supervisor's decision."""

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from omnipipe.local.console import LineSplitter
from omnipipe.local.launch import Forked, Launcher, Process
from omnipipe.local.restart import Restarts

__all__ = ["Child", "ChildKind", "ChildSpec", "State"]

_LAST_WORDS = 12
"""Lines of a child's output that are shown when it could not be started: the end of a traceback."""


class ChildKind(Enum):
    STAGE = "stage"
    GATEWAY = "gateway"


class State(Enum):
    WAITING = "waiting"  # for its (re)start
    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"  # for good


@dataclass(frozen=True, slots=True)
class ChildSpec:
    name: str
    """In the log: `compose-0`, `gateway`."""
    kind: ChildKind
    words: tuple[str, ...]
    """Its command line after `omnipipe`, without what names a descriptor."""
    launcher: Launcher
    fds: Mapping[str, int] = field(default_factory=dict)
    """Options that name an inherited descriptor, beside `--lifeline-fd`."""
    pipeline: str = ""
    """Of a stage."""


@dataclass(slots=True, eq=False)
class Child:
    spec: ChildSpec
    restarts: Restarts = field(default_factory=Restarts)
    state: State = State.WAITING
    start_at: float = 0.0
    """`time.monotonic()` value; with WAITING."""
    started: float = 0.0
    ready: float | None = None
    process: Process | None = None
    output_fd: int = -1
    lines: LineSplitter = field(default_factory=LineSplitter)
    last_words: deque[bytes] = field(default_factory=lambda: deque(maxlen=_LAST_WORDS))
    lifeline: socket.socket | None = None
    """Its other end in the child: the child sees this process end, this process hears what the child has to say."""
    words: LineSplitter = field(default_factory=LineSplitter)
    """What came over the lifeline."""
    unneeded: bool = False
    """Its pipeline was deleted: it was told to end."""

    def start(self) -> None:
        """Starts the process in a session of its own, so that the terminal's Ctrl-C reaches the supervisor alone."""
        self.lifeline, theirs = socket.socketpair()
        self.output_fd, their_output = os.pipe()
        self.lifeline.setblocking(False)
        os.set_blocking(self.output_fd, False)
        try:
            self.process = self.spec.launcher.launch(
                self.spec.words, their_output, {"--lifeline-fd": theirs.fileno(), **self.spec.fds}
            )
        finally:
            theirs.close()
            os.close(their_output)
        self.state = State.STARTING
        self.started = time.monotonic()
        self.ready = None
        self.lines = LineSplitter()
        self.words = LineSplitter()
        self.last_words.clear()

    def read(self) -> tuple[list[bytes], bool]:
        """Lines that have come, and whether more can. Never waits."""
        try:
            data = os.read(self.output_fd, 64 << 10)
        except BlockingIOError:
            return [], True
        lines = self.lines.feed(data) if data else self.lines.end()
        self.last_words.extend(lines)
        return lines, bool(data)

    def told(self) -> tuple[list[str], bool]:
        """Reads the lifeline: what the child said, and whether more can come. `ready`, and of a gateway `routable` and
        `deleted <pipeline>`."""
        if self.lifeline is None:
            return [], False
        try:
            data = self.lifeline.recv(4096)
        except BlockingIOError:
            return [], True
        except ConnectionResetError:
            data = b""
        said = []
        for line in self.words.feed(data):
            if line.startswith(b"pid ") and isinstance(self.process, Forked):
                self.process.born(int(line[4:]))
            else:
                said.append(line.decode())
        if not data and isinstance(self.process, Forked):
            self.process.hung_up()
        return said, bool(data)

    def close(self) -> None:
        """Closes what is left of a process that has ended."""
        if self.output_fd >= 0:
            os.close(self.output_fd)
            self.output_fd = -1
        if self.lifeline is not None:
            self.lifeline.close()
            self.lifeline = None

    def reap(self) -> int | None:
        """The exit code (negative: the signal), once, when the process has ended."""
        code = self.process.poll() if self.process else None
        if code is not None:
            self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        """To the process; SIGKILL to its whole session, whatever a program may have started in it."""
        if self.process is None:
            return
        try:
            if number is signal.SIGKILL and self.process.pid:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)
        except ProcessLookupError:
            return
