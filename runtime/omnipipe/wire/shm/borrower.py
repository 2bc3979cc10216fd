"""The other side: maps peers' segments, and turns descriptors into views with a lease."""

import os
from collections.abc import Callable
from functools import cache
from typing import Final

from omnipipe.wire.errors import BadMessage
from omnipipe.wire.shm.loan import DESCRIPTOR, OFFERED, Lease
from omnipipe.wire.shm.segment import BLOCK_BYTES, ENTRY_WORDS, Segment

__all__ = ["Borrower", "exporter"]

_MAX_SEGMENTS: Final = 1024
"""Mapped at once: each costs address space and a descriptor."""


def exporter(lease: Lease) -> memoryview:
    """A buffer that ends the lease when its last view is gone."""
    return _exporter()(lease)


@cache
def _exporter() -> Callable[[Lease], memoryview]:
    """Made at the first large tensor: numpy takes a tenth of a second to import."""
    import numpy as np

    class Borrowed(np.ndarray[tuple[int], np.dtype[np.uint8]]):
        """Exports a borrowed buffer: every view of it keeps this object, and this object keeps the lease."""

        lease: Lease

    def export(lease: Lease) -> memoryview:
        whole = np.frombuffer(lease.segment.data, np.uint8, lease.nbytes, lease.start).view(Borrowed)
        whole.lease = lease
        return whole.data

    return export


class Borrower:
    """Used from the wire's thread only."""

    def __init__(self) -> None:
        self._pid: Final = os.getpid()
        self._segments: dict[bytes, Segment] = {}
        self._through: dict[bytes, tuple[int, int]] = {}
        """Nonce -> the process, and its descriptor, through which the segment was mapped."""

    def map(self, pid: int, fd: int, nonce: bytes) -> Segment:
        """Raises SegmentError."""
        segment = self._segments.get(nonce)
        if segment is None:
            segment = Segment.open(pid, fd, nonce)
            if len(self._segments) >= _MAX_SEGMENTS:
                self._forget(next(iter(self._segments)))
            self._segments[nonce] = segment
            self._through[nonce] = pid, fd
        return segment

    def borrow(self, descriptor: memoryview, nbytes: int) -> tuple[memoryview, Lease]:
        """The bytes that a descriptor stands for. Raises BadMessage, or SegmentError when they cannot be mapped."""
        if len(descriptor) != DESCRIPTOR.size:
            raise BadMessage("a malformed descriptor of shared memory")
        nonce, pid, fd, index, generation, first, last = DESCRIPTOR.unpack(descriptor)
        segment = self.map(pid, fd, nonce)
        start = index * BLOCK_BYTES
        if start + nbytes > segment.data.nbytes or not 1 < first < last <= ENTRY_WORDS:
            raise BadMessage("a descriptor beyond its segment")
        words, base = segment.words, index * ENTRY_WORDS
        if words[base] != generation or words[base + first] != self._pid | OFFERED:
            raise BadMessage("a loan of shared memory that was withdrawn or taken before")
        words[base + first] = self._pid
        lease = Lease(segment, nbytes, index, generation, first, last, self._pid)
        return exporter(lease), lease

    def forget_gone(self) -> None:
        """Drops the segments that nobody holds any more where they were mapped from. The memory goes with the last
        tensor that views it; one that is still lent through somebody else is mapped again when it comes."""
        gone = [n for n, (pid, fd) in self._through.items() if not self._segments[n].is_held_by(pid, fd)]
        for nonce in gone:
            self._forget(nonce)

    def close(self) -> None:
        self._segments.clear()
        self._through.clear()

    def _forget(self, nonce: bytes) -> None:
        del self._segments[nonce], self._through[nonce]
