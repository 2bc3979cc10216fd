"""The nursery: has the imports of a stage done and forks a process for each order of the supervisor (`local.launch`).

What must hold for a fork of it to be as good as a fresh process: one thread, no ZMQ context, no logging set up, no
random state, no program imported. It ends with the supervisor, whose end of the control socket closes.
"""

import ctypes
import gc
import json
import os
import socket
import sys
from pathlib import Path

from omnipipe.cli.arguments import NurseryArgs

__all__ = ["run"]

_ORDER_BYTES = 128 << 10
_MAX_FDS = 8


def run(args: NurseryArgs) -> list[str] | None:
    """Returns often: None in the nursery, at its end; in each process forked from it, the command line to run."""
    import omnipipe.cli.processes
    import omnipipe.stage.process  # noqa: F401

    control = socket.socket(fileno=args.control_fd)
    gc.freeze()  # modules live as long as the process; collecting among them would copy every page in each fork
    while True:
        data, fds, _, _ = socket.recv_fds(control, _ORDER_BYTES, _MAX_FDS)
        if not data:
            return None
        order = json.loads(data)
        go_between = os.fork()
        if go_between == 0:
            if os.fork():
                os._exit(0)  # the supervisor adopts the new process
            control.close()
            output_fd, *others = fds
            return _begin(order["words"], output_fd, dict(zip(order["fds"], others, strict=True)))
        os.waitpid(go_between, 0)
        for fd in fds:
            os.close(fd)


def _begin(words: list[str], output_fd: int, fds: dict[str, int]) -> list[str]:
    """The rest of becoming a process of its own."""
    os.setsid()
    os.write(fds["--lifeline-fd"], b"pid %d\n" % os.getpid())
    os.dup2(output_fd, sys.stdout.fileno())
    os.dup2(output_fd, sys.stderr.fileno())
    os.close(output_fd)
    argv = [*words, *(word for option, fd in fds.items() for word in (option, str(fd)))]
    sys.argv[1:] = argv
    _set_title(["omnipipe", *argv])
    return argv


def _set_title(words: list[str]) -> None:
    """Writes the command line that `ps` shows over the nursery's own. Best effort: nothing depends on it."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end; the list begins with field 3
    except (OSError, ValueError, IndexError):
        return
    if 0 < start < end:
        title = os.fsencode("\0".join(words))[: end - start - 1]
        ctypes.memmove(start, title.ljust(end - start, b"\0"), end - start)
