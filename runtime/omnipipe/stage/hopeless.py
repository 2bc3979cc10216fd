"""Whether a program that could not be loaded would load the next time. Decides; ends nothing.

A supervisor tries a start again when a hub was away, a disk full or a device still held by its predecessor. A module
with a typo and a model that is not there are as wrong the fifth time, and the one line that says so should come
at once.
"""

from collections.abc import Iterator
from typing import Final

from omnipipe.engines.autoregressive.errors import UnsupportedModel
from omnipipe.engines.errors import LoadingError
from omnipipe.weights.errors import HubUnreachable, NoSpace, WeightsError

__all__ = ["hopeless"]

_WRONG: Final = (
    ImportError, SyntaxError, AttributeError, NameError, TypeError,  # the program
    FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError,  # its files
    LoadingError, UnsupportedModel, WeightsError,  # its model
)  # fmt: skip
_PASSING: Final = (HubUnreachable, NoSpace, MemoryError, RuntimeError)
"""torch says with a RuntimeError that a device has no memory left."""


def hopeless(error: BaseException) -> bool:
    return isinstance(error, _WRONG) and not any(map(_passes, _causes(error)))


def _passes(error: BaseException) -> bool:
    return isinstance(error, _PASSING) or (isinstance(error, OSError) and not isinstance(error, _WRONG))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
