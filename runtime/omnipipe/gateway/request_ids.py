"""What a request is called in answers, logs and events."""

import os
import re

__all__ = ["new_request_id", "sane_request_id"]

_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


def new_request_id() -> str:
    return f"req_{os.urandom(12).hex()}"


def sane_request_id(given: bytes) -> str | None:
    """The client's own id, if it can stand in a header, a log line and a file name as it is."""
    return given.decode("ascii") if _SANE.fullmatch(given) else None
