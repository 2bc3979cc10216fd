"""Errors of the autoregressive engine.

EngineError
└── UnsupportedModel    the model cannot be computed rightly here; the message names what stands in the way
"""

from omnipipe.errors import OmnipipeError

__all__ = ["EngineError", "UnsupportedModel"]


class EngineError(OmnipipeError):
    """The root of the engine's own errors; what is wrong with a request is a RequestError."""


class UnsupportedModel(EngineError):
    """Refused when the stage starts, never at a request."""
