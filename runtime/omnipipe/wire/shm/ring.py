"""The owner's side: places tensors in the segment, and takes blocks back when nobody holds them any more."""

import os
from collections import deque
from typing import Final

from omnipipe.wire.shm.blocks import Blocks, order_of
from omnipipe.wire.shm.loan import OFFERED, Lease
from omnipipe.wire.shm.process import is_alive
from omnipipe.wire.shm.segment import BLOCK_BYTES, ENTRY_WORDS, Segment

__all__ = ["Ring"]

_POPULATE_WRITE: Final = 23  # MADV_POPULATE_WRITE, Linux 5.14
_LOOK: Final = 32
"""Lent blocks of a size that are looked at before new memory is taken."""
_NOBODY: Final = bytes((ENTRY_WORDS - 1) * 4)


class Ring:
    """Used from the wire's thread only; leases may end in any."""

    def __init__(self, capacity_bytes: int) -> None:
        self.segment = Segment.create(capacity_bytes)
        self.pid: Final = os.getpid()
        self.in_use_bytes = 0
        """Lent and not yet found to be given back."""
        self._blocks = Blocks(self.segment.data.nbytes // BLOCK_BYTES)
        self._lent: dict[int, deque[int]] = {}

    def reserve(self, nbytes: int) -> Lease | None:
        """A block of our own to write to; None when there is no room."""
        order = order_of(nbytes)
        index = self._take(order)
        if index is None:
            return None
        self._lent.setdefault(order, deque()).append(index)
        self.in_use_bytes += BLOCK_BYTES << order
        base = index * ENTRY_WORDS
        words = self.segment.words
        generation = words[base] = (words[base] + 1) & 0xFFFFFFFF
        words[base + 1] = self.pid
        return Lease(self.segment, nbytes, index, generation, 1, ENTRY_WORDS, self.pid)

    def place(self, data: memoryview) -> Lease | None:
        """A copy of `data` in a block of our own."""
        lease = self.reserve(data.nbytes)
        if lease is not None:
            flat = data if data.ndim == 1 and data.format == "B" else data.cast("B")
            self.segment.data[lease.start : lease.start + flat.nbytes] = flat
        return lease

    def reclaim(self) -> None:
        """Looks at all lent blocks. For a quiet moment: `place` looks at a few by itself."""
        for order, lent in self._lent.items():
            for _ in range(len(lent)):
                self._look(order, lent)

    def forget_dead(self) -> None:
        """Clears the words of processes that no longer exist, then reclaims."""
        words = self.segment.words
        alive: dict[int, bool] = {self.pid: True}
        for lent in self._lent.values():
            for index in lent:
                base = index * ENTRY_WORDS
                for word in range(base + 1, base + ENTRY_WORDS):
                    pid = words[word] & ~OFFERED
                    if pid and pid not in alive:
                        alive[pid] = is_alive(pid)
                    if pid and not alive[pid]:
                        words[word] = 0
        self.reclaim()

    def close(self) -> None:
        """For good. Peers that have mapped the segment keep their mapping, tensors of ours stay valid."""
        self.segment.close_file()
        del self.segment

    def _take(self, order: int) -> int | None:
        index = self._blocks.take(order)
        if index is not None:
            return index
        lent = self._lent.get(order)
        if lent:
            for _ in range(min(len(lent), _LOOK)):
                if self._look(order, lent):
                    return self._blocks.take(order)
        index = self._blocks.take_fresh(order)
        if index is not None:
            self._populate(index, order)
            return index
        self.reclaim()
        index = self._blocks.take(order)
        return self._blocks.take_any(order) if index is None else index

    def _look(self, order: int, lent: deque[int]) -> bool:
        """Whether the block that was lent first is free again; if not it goes to the end of the queue."""
        index = lent.popleft()
        base = index * ENTRY_WORDS
        if self.segment.words[base + 1 : base + ENTRY_WORDS].tobytes() != _NOBODY:
            lent.append(index)
            return False
        self._blocks.give(index, order)
        self.in_use_bytes -= BLOCK_BYTES << order
        return True

    def _populate(self, index: int, order: int) -> None:
        """Makes the pages at once: 4 KiB at a time, on first touch, takes longer than the copy itself."""
        try:
            self.segment.advise(_POPULATE_WRITE, index * BLOCK_BYTES, BLOCK_BYTES << order)
        except (OSError, ValueError):
            pass  # an older kernel: pages come as they are touched
