"""file: URLs, below the folders that the manifest allows. One answer for all that is not there: which files a server
has is nobody's business."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from omnipipe.gateway.media.errors import Refused

__all__ = ["read_file"]

_ABSENT: Final = "is not a file that this server may read: file: URLs lead only below the folders it was told to allow"


def read_file(url: str, folders: Sequence[str], max_bytes: int) -> bytes:
    """Blocking. Links are followed before the folder is checked, so that none leads out."""
    try:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            raise Refused(_ABSENT)
        path = Path(unquote(parts.path, errors="strict")).resolve(strict=True)
        if not any(path.is_relative_to(Path(folder).resolve()) for folder in folders):
            raise Refused(_ABSENT)
        # Opening a pipe or a device may wait, or do something; nobody may swap the file for a link meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError, RuntimeError) as error:  # no such file, NUL in the name, links in a circle
        raise Refused(_ABSENT) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused(_ABSENT)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise Refused(f"is too large: the limit is {max_bytes} bytes")
    return data
