"""What a request is called in answers, logs and events."""

import re
from random import getrandbits

__all__ = ["new_request_id", "sane_request_id", "unique"]

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def new_request_id() -> str:
    return f"req_{unique()}"


def unique() -> str:
    """96 random bits, seeded by the system. These names need to differ, not to be secret; asking the kernel for each
    would cost ten times as much."""
    return f"{getrandbits(96):024x}"


def sane_request_id(given: bytes) -> str | None:
    """The client's own id, if it can stand in a header, a log line and a file name as it is."""
    return given.decode("ascii") if _SANE.fullmatch(given) else None
