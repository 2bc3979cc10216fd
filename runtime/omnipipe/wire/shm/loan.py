"""Who holds a block: leases, offers, and the descriptor that travels.

A ledger entry is a generation and a word for each holder. A holder owns a range of words: the first is its own, the
rest it may hand to others, half of what is left at a time. So a lender, and each borrower that passes a block on, gives
out words that nobody else can give out, without asking the owner. The owner takes the block back when all words are 0.

A word goes 0 -> pid with the OFFERED bit (written by who lends) -> pid (by who borrows, on reading the message) -> 0.
"""

import struct
from typing import Final

from omnipipe.wire.shm.segment import BLOCK_BYTES, ENTRY_WORDS, Segment

__all__ = ["DESCRIPTOR", "OFFERED", "Lease", "Offer"]

OFFERED: Final = 1 << 31
DESCRIPTOR: Final = struct.Struct("<16sIIIIBB")
"""nonce; pid and descriptor through which the segment can be mapped; block, generation; the borrower's range."""


class Offer:
    """A loan that went out in a message: `withdraw` takes it back if the other side has not taken it yet."""

    __slots__ = ("_offered", "_segment", "_word")

    def __init__(self, segment: Segment, word: int, offered: int) -> None:
        self._segment = segment
        self._word = word
        self._offered = offered

    @property
    def is_open(self) -> bool:
        return bool(self._segment.words[self._word] == self._offered)

    def withdraw(self) -> None:
        if self.is_open:
            self._segment.words[self._word] = 0


class Lease:
    """The right to read one block until this object is collected (or `end` is called)."""

    __slots__ = ("__weakref__", "_base", "_first", "_last", "_pid", "generation", "index", "nbytes", "segment")

    def __init__(
        self, segment: Segment, nbytes: int, index: int, generation: int, first: int, last: int, pid: int
    ) -> None:
        """`first` to `last` (exclusive) are this holder's words; the first must already hold its pid."""
        self.segment = segment
        self.nbytes = nbytes
        self.index = index
        self.generation = generation
        self._base = index * ENTRY_WORDS
        self._first = first
        self._last = last
        self._pid = pid

    @property
    def start(self) -> int:
        """Where the bytes begin in the segment's data."""
        return self.index * BLOCK_BYTES

    def offer(self, borrower: int, my_pid: int) -> tuple[bytes, Offer] | None:
        """Lends on to process `borrower`; None when all words are given out or the lease has ended."""
        middle = (self._first + self._last) // 2
        words = self.segment.words
        if middle <= self._first or words[self._base + self._first] != self._pid:
            return None
        offered = borrower | OFFERED
        words[self._base + middle] = offered
        descriptor = DESCRIPTOR.pack(
            self.segment.nonce, my_pid, self.segment.fd, self.index, self.generation, middle, self._last
        )
        self._last = middle
        return descriptor, Offer(self.segment, self._base + middle, offered)

    def end(self) -> None:
        words = self.segment.words
        if words[self._base + self._first] == self._pid and words[self._base] == self.generation:
            words[self._base + self._first] = 0

    def __del__(self) -> None:
        self.end()
