"""Errors of the command line.

CommandError        one line for the person who typed the command, and the exit code
└── UnreadableFile  a file that was named is not there, or cannot be read
"""

from pathlib import Path

from omnipipe.cli.exits import Exit
from omnipipe.errors import OmnipipeError

__all__ = ["CommandError", "UnreadableFile"]


class CommandError(OmnipipeError):
    """`code` is what the process exits with. `located`: the message is lines that begin with a file's name, as editors
    and people know them, and is printed as it is."""

    def __init__(self, message: str, code: Exit, *, located: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.located = located


class UnreadableFile(CommandError):
    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"cannot read {file}: {reason}", Exit.INVALID)
        self.reason = reason
