"""Which parts of a segment are free: blocks of power-of-two sizes. Pure arithmetic; knows no memory.

Free lists are last in, first out: the block used last is still in the processor's caches. New memory is touched only
when no free block fits, and free neighbours are joined only when new memory has run out.
"""

from typing import Final

from omnipipe.wire.shm.segment import BLOCK_BYTES

__all__ = ["Blocks", "order_of"]


def order_of(nbytes: int) -> int:
    """The smallest n with BLOCK_BYTES << n >= nbytes."""
    return max(0, (max(nbytes, 1) - 1) // BLOCK_BYTES).bit_length()


class Blocks:
    """Indices are in units of BLOCK_BYTES; a block of order n has 2**n units and starts at a multiple of that."""

    def __init__(self, units: int) -> None:
        self._units: Final = units
        self._free: dict[int, list[int]] = {}
        self._fresh = 0
        """Units from here on have never been used."""

    def take(self, order: int) -> int | None:
        """A used block that is free again."""
        free = self._free.get(order)
        return free.pop() if free else None

    def take_fresh(self, order: int) -> int | None:
        """A block that was never used: its pages have to be made."""
        size = 1 << order
        start = -(-self._fresh // size) * size
        if start + size > self._units:
            return None
        self._give_range(self._fresh, start)
        self._fresh = start + size
        return start

    def take_any(self, order: int) -> int | None:
        """Joins free neighbours, then splits the smallest block that is large enough."""
        self._join()
        larger = min((n for n, free in self._free.items() if n >= order and free), default=None)
        if larger is None:
            return None
        start = self._free[larger].pop()
        for n in range(larger - 1, order - 1, -1):
            self._free.setdefault(n, []).append(start + (1 << n))
        return start

    def give(self, index: int, order: int) -> None:
        self._free.setdefault(order, []).append(index)

    def _give_range(self, start: int, end: int) -> None:
        while start < end:
            order = min((start & -start).bit_length() - 1 if start else 63, (end - start).bit_length() - 1)
            self.give(start, order)
            start += 1 << order

    def _join(self) -> None:
        for order in range(max(self._free, default=0) + self._units.bit_length()):
            free = self._free.get(order)
            if not free:
                continue
            size = 1 << order
            starts = set(free)
            pairs = {start for start in starts if not start & size and start + size in starts}
            if pairs:
                self._free[order] = [s for s in free if s not in pairs and s - size not in pairs]
                self._free.setdefault(order + 1, []).extend(sorted(pairs))
