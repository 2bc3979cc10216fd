"""The words in which media is refused."""

import logging
import time
from types import TracebackType
from typing import Final, NoReturn, Self

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.media.limits import MediaLimits
from omnipipe.media.sniffing import Sniffed, sniff, unreadable

__all__ = ["Piece"]

_log = logging.getLogger("omnipipe.media")

_NOUNS: Final = {"image": "an image", "audio": "audio", "video": "a video"}


class Piece:
    """One piece of media while it is decoded: what to call it, when its time is up, and how errors inside become
    refusals.

        with Piece(path, limits) as piece: ...     # whatever a parser stumbles on in here is a RequestError outside
    """

    __slots__ = ("_ends", "_name", "_path", "limits")

    def __init__(self, path: str | None, limits: MediaLimits) -> None:
        """`path`: the field of the client's request, for the message and its `param`."""
        self._path = path
        self._name = f"'{path}'" if path else "The media"
        self._ends = time.monotonic() + limits.max_decode_s
        self.limits = limits

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Everything but our own refusals, a library that is not installed, and an end of the process: parsers of a
        dozen formats raise whatever their code happens upon in a broken file, from struct.error to MemoryError."""
        if isinstance(error, Exception) and not isinstance(error, RequestError | ImportError):
            _log.info("a piece of media could not be decoded: %s: %s", type(error).__name__, error)
            raise self.error("is damaged or cut short: it could not be decoded. Send the whole file") from error

    def expect(self, kind: str, data: bytes) -> Sniffed:
        """What the bytes are, when they are of this kind and not too many."""
        if not data:
            self.refuse("is empty")
        if len(data) > self.limits.max_bytes:
            self.refuse(f"is too large: {len(data)} bytes, and the limit is {self.limits.max_bytes}")
        found = sniff(data)
        if found is None:
            self.refuse(f"holds {unreadable(data)}, not {_NOUNS[kind]} in a format that is read here")
        if found.kind != kind and not (kind == "audio" and found.kind == "video"):  # the sound of a video is sound
            self.refuse(f"holds {found.mime}, which is not {_NOUNS[kind]}")
        return found

    def check_pixels(self, width: int, height: int) -> None:
        if width < 1 or height < 1:
            self.refuse(f"has no size that can be read, or one above the limit of {self.limits.max_pixels} pixels")
        if width * height > self.limits.max_pixels:
            self.refuse(
                f"is too large: {width} by {height} pixels, and the limit is {self.limits.max_pixels} pixels in all"
            )

    def check_seconds(self, seconds: float) -> None:
        if seconds > self.limits.max_seconds:
            self.refuse(f"is too long: the limit is {self.limits.max_seconds:g} seconds")

    def check_time(self) -> None:
        if time.monotonic() > self._ends:
            self.refuse("takes too long to decode. Send it shorter, smaller or in a simpler format")

    def refuse(self, what: str) -> NoReturn:
        raise self.error(what)

    def error(self, what: str) -> RequestError:
        return RequestError(ErrorKind.INVALID, f"{self._name} {what}.", param=self._path, code="invalid_media")
