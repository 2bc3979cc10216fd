"""Which block of KV memory belongs to whom: reference counts, and reuse of full blocks by the digest of their content.

A block is free, or held by one or more sequences. A full block can be offered under its digest; when its last holder
lets go it keeps its content until its memory is needed, oldest first, and whoever brings the same digest before that
takes it over. Knows numbers alone: no torch, no sequences.
"""

from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["BlockPool"]


class BlockPool:
    """Blocks 1 to `count`; 0 is never handed out: it is what padding points at."""

    def __init__(self, count: int, *, reuse: bool = True) -> None:
        self.count = count
        self._reuse = reuse
        self._blank = list(range(count, 0, -1))
        self._kept: OrderedDict[int, None] = OrderedDict()
        """Free, but with content under a digest; the longest unused first."""
        self._holders = [0] * (count + 1)
        self._digests: list[bytes | None] = [None] * (count + 1)
        self._by_digest: dict[bytes, int] = {}

    @property
    def free(self) -> int:
        return len(self._blank) + len(self._kept)

    @property
    def held(self) -> int:
        return self.count - self.free

    @property
    def kept(self) -> int:
        """Free blocks with content that may be asked for again."""
        return len(self._kept)

    def take(self, count: int) -> list[int]:
        """`count` blocks whose content is whatever it is. Never more than `free`."""
        blank, kept = self._blank, self._kept
        taken = []
        for _ in range(count):
            if blank:
                block = blank.pop()
            else:
                block, _none = kept.popitem(last=False)
                self._drop_digest(block)
            self._holders[block] = 1
            taken.append(block)
        return taken

    def find(self, digest: bytes) -> int | None:
        """The block with this content."""
        return self._by_digest.get(digest)

    def is_kept(self, block: int) -> bool:
        """Nobody holds it: holding it makes one less `free`."""
        return block in self._kept

    def hold(self, block: int) -> None:
        """One more holder of a block that `find` gave."""
        if self._holders[block] == 0:
            del self._kept[block]
        self._holders[block] += 1

    def offer(self, block: int, digest: bytes) -> None:
        """The block, held by the caller, is full and will not be written again. What is already there stays."""
        if self._reuse and self._digests[block] is None and digest not in self._by_digest:
            self._digests[block] = digest
            self._by_digest[digest] = block

    def release(self, blocks: Sequence[int]) -> None:
        """The caller holds them no more. Later blocks of a sequence are given up before its first ones."""
        holders = self._holders
        for block in reversed(blocks):
            holders[block] -= 1
            if holders[block] == 0:
                if self._digests[block] is None:
                    self._blank.append(block)
                else:
                    self._kept[block] = None

    def disown(self, blocks: Sequence[int]) -> None:
        """Their content is not to be trusted: nobody shall find them any more."""
        for block in blocks:
            self._drop_digest(block)
            if block in self._kept:
                del self._kept[block]
                self._blank.append(block)

    def is_held(self, block: int) -> bool:
        return self._holders[block] > 0

    def check(self, held: Sequence[Sequence[int]]) -> None:
        """Raises AssertionError unless the pool agrees with what its users hold. For tests."""
        counts = [0] * (self.count + 1)
        for blocks in held:
            for block in blocks:
                counts[block] += 1
        assert counts == self._holders, "holders are not what sequences hold"
        assert counts[0] == 0, "block 0 was handed out"
        free = [*self._blank, *self._kept]
        assert len(free) == len(set(free)), "a block is free twice"
        assert all(counts[block] == 0 for block in free), "a held block is free"
        assert len(free) + sum(1 for count in counts[1:] if count) == self.count, "a block was lost"
        assert all(self._digests[block] is not None for block in self._kept)
        assert all(self._digests[block] is None for block in self._blank)
        assert all(self._digests[block] == digest for digest, block in self._by_digest.items())

    def _drop_digest(self, block: int) -> None:
        digest = self._digests[block]
        if digest is not None:
            self._digests[block] = None
            del self._by_digest[digest]
