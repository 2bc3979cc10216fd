"""The boxes of MP4 and its relatives, as far as one has to look before FFmpeg does: what the tracks are of, and
whether its tables promise more samples than there are bytes, for FFmpeg makes 24 bytes of index out of each, whatever
few bytes promise them."""

import struct
from collections.abc import Iterator
from typing import Final

__all__ = ["handlers", "promises_too_much"]

_MAX_BOXES: Final = 1 << 16
"""At the top: a film in pieces has two for each. What is behind as many is not looked at, and such a file refused."""
_MAX_TABLES: Final = 1 << 16
_MAX_TRACKS: Final = 64


def handlers(data: bytes) -> set[bytes]:
    """What the tracks are of: `vide`, `soun`, ..."""
    for name, begin, end in _top(data):
        if name == b"moov":
            marks = zip(range(_MAX_TRACKS), _find(data, b"hdlr", begin, end), strict=False)
            return {data[at + 12 : at + 16] for _, at in marks}
    return set()


def promises_too_much(data: bytes) -> bool:
    """True also of a file without a description of its tracks, or with one that is hidden behind too many boxes."""
    tables, described = 0, False
    for name, begin, end in _top(data):
        if name == b"moov":
            described = True
            found = _samples(data, b"stsz", begin, end)
        elif name == b"moof":
            found = _samples(data, b"trun", begin, end)
        else:
            continue
        for size in found:
            tables += 1
            if size > len(data) or tables > _MAX_TABLES:
                return True
    return not described


def _samples(data: bytes, table: bytes, begin: int, end: int) -> Iterator[int]:
    """How many bytes the samples of each table must have at least."""
    for at in _find(data, table, begin, end):
        if at + 16 > end:
            return
        first, second = struct.unpack_from(">II", data, at + 8)
        # stsz: the size of all samples, 0 where each has its own, and how many; trun: how many.
        yield max(1, first) * second if table == b"stsz" else first


def _top(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and end of the outermost boxes."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 16 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:  # to the end
            size = len(data) - at
        if size < 8:
            return
        yield name, at, min(at + size, len(data))
        at += size


def _find(data: bytes, mark: bytes, begin: int, end: int) -> Iterator[int]:
    at = data.find(mark, begin, end)
    while at >= 0:
        yield at
        at = data.find(mark, at + 4, end)
