"""Errors of the supervisor.

LocalError
├── FolderError     the run folder cannot be made, joined or used
└── StartFailed     a process of the pipeline, or the listening socket, cannot be brought up
"""

from omnipipe.errors import OmnipipeError

__all__ = ["FolderError", "LocalError", "StartFailed"]


class LocalError(OmnipipeError):
    """The root of the supervisor's errors."""


class FolderError(LocalError):
    """The run folder cannot be made, joined or used."""


class StartFailed(LocalError):
    """Something that `serve` needs cannot be brought up; the message is one line for the person who typed it."""
