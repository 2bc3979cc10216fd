"""Errors of model sources. Each message is one line for the person who wrote the source URL.

WeightsError
├── UnsupportedSource   a scheme that cannot be loaded here
├── ModelNotFound       nothing there under this name or revision
├── AccessDenied        the hub wants a token, or a better one
├── HubUnreachable      no answer, and no local copy
├── BrokenModel         there, but incomplete or not a model
└── NoSpace             larger than what the disk has left
"""

from omnipipe.errors import OmnipipeError

__all__ = [
    "AccessDenied",
    "BrokenModel",
    "HubUnreachable",
    "ModelNotFound",
    "NoSpace",
    "UnsupportedSource",
    "WeightsError",
]


class WeightsError(OmnipipeError):
    pass


class UnsupportedSource(WeightsError):
    pass


class ModelNotFound(WeightsError):
    pass


class AccessDenied(WeightsError):
    pass


class HubUnreachable(WeightsError):
    pass


class BrokenModel(WeightsError):
    pass


class NoSpace(WeightsError):
    pass
