"""Descriptors 0, 1 and 2 as every process expects them.

Whoever starts us may have closed them (`>&-`, some init systems). Python then has no `sys.stdout`, and the next socket
or file that is opened takes the free number: what a library prints would go to a client.
"""

import os
import sys

__all__ = ["discard_stdout", "open_standard_streams"]


def open_standard_streams() -> None:
    """A closed one reads nothing and writes nowhere."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    if sys.__stdout__ is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # as long as the process
    if sys.__stderr__ is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def discard_stdout() -> None:
    """What could not be written would be tried, and complained of, once more at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
