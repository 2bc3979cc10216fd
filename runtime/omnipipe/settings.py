"""Environment variables that our processes read, in one place; parsed once by the command line and passed down."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

__all__ = ["Environment"]


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
