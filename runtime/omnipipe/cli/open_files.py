"""How many files a serving process may have open: each client is one, each peer a few.

Systems give a process 1024 unless it asks for more, a quarter of the connections that a gateway takes; a program that
runs into the limit cannot even say so. Must not be called by commands that only read.
"""

import resource
from typing import Final

from omnipipe.cli.errors import CommandError
from omnipipe.cli.exits import Exit

__all__ = ["allow_open_files"]

_ENOUGH: Final = 65_536
"""No use for more, and some systems name a limit of a thousand million."""
_LEAST: Final = 64
"""What a gateway of a dozen stages has open before the first client comes."""


def allow_open_files() -> None:
    """Takes as many as the system gives. Raises CommandError when it cannot work with those."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < _LEAST:
        raise CommandError(
            f"only {most} files may be open here (ulimit -n), and {_LEAST} are the least that a pipeline works with",
            Exit.START_FAILED,
        )
