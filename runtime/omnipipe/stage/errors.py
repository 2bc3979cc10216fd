"""What goes wrong in a stage, by what it costs.

OmnipipeError
├── Fault          one request ends here, in a `Failed` to its gateway
├── Nonsense       one message of a peer is dropped and counted; its request, if any, goes on
└── StageError     the process cannot go on; `code` is what it exits with, the text is for people
"""

from enum import IntEnum

from omnipipe.errors import ErrorKind, OmnipipeError

__all__ = ["ExitCode", "Fault", "Nonsense", "StageError", "internal", "lost"]


class ExitCode(IntEnum):
    """What a stage process ends with; the command line's table of exit codes says the same."""

    OK = 0
    """Left as it was told to."""
    INVALID = 1
    """The program or its model is wrong, and will be as wrong the next time."""
    START_FAILED = 3
    """The program could not be loaded, or an address or the keys cannot be used."""
    CUT_SHORT = 4
    """Told to stop at once: requests were left without their answer."""
    BROKEN = 70
    """The engine or the loop ended by itself: a bug, or a program that ended its thread."""


class Fault(OmnipipeError):
    """Ends one request. The message is shown to the client: no internals."""

    def __init__(self, kind: ErrorKind, message: str, *, retryable: bool = False, code: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retryable = retryable
        self.code = code


class Nonsense(OmnipipeError):
    """A message that makes no sense here. The text is for the log."""


class StageError(OmnipipeError):
    """The process cannot go on."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def internal(stage: str) -> Fault:
    """Something of ours or of the program's; the log has the rest."""
    return Fault(ErrorKind.INTERNAL, f"stage '{stage}' failed")


def lost(stage: str) -> Fault:
    """A replica of `stage` that the request needed is gone. The code is the gateway's own, whoever notices first."""
    return Fault(ErrorKind.UNAVAILABLE, f"stage '{stage}' was lost", retryable=True, code="replica_lost")
