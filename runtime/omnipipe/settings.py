"""Environment variables that our processes read, in one place; parsed once by the command line and passed down. And
what all processes that serve keep to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

__all__ = ["COLLECT_EVERY", "Environment"]

COLLECT_EVERY: Final = 20_000
"""Objects made and not freed before Python's collector looks at them. With 700, its default, it is seen in what a
request costs. Not for a process in which a cycle may hold tensors."""


@dataclass(frozen=True, slots=True)
class Environment:
    debug: bool = False
    """OMNIPIPE_DEBUG: a traceback beside the one line that says what went wrong."""
    api_keys: tuple[str, ...] = ()
    """OMNIPIPE_API_KEYS: keys that clients may use, separated by commas."""
    colour: bool = True
    """Off with NO_COLOR (https://no-color.org); on or off, only a terminal gets colours."""
    runtime_dir: str = ""
    """XDG_RUNTIME_DIR: the user's own folder for sockets, in memory and gone after a reboot."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        keys = environ.get("OMNIPIPE_API_KEYS", "").split(",")
        return cls(
            debug=environ.get("OMNIPIPE_DEBUG", "") not in ("", "0"),
            api_keys=tuple(key.strip() for key in keys if key.strip()),
            colour=not environ.get("NO_COLOR"),
            runtime_dir=environ.get("XDG_RUNTIME_DIR", ""),
        )
