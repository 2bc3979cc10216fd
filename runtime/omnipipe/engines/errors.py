"""Errors of what engines have in common.

LoadingError    a model folder that cannot become a model here; one line for the person who chose the model
"""

from omnipipe.errors import OmnipipeError

__all__ = ["LoadingError"]


class LoadingError(OmnipipeError):
    pass
