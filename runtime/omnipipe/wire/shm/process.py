"""Whether a process still exists."""

import os
import select

__all__ = ["is_alive"]


def is_alive(pid: int) -> bool:
    """False for a zombie as well: its memory is gone. True when the kernel will not say."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return not poller.poll(0)
    finally:
        os.close(fd)
