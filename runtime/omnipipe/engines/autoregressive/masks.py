"""What grammars allow in a step: a bit for each token, the rows of a step in one piece of memory that stays.

Only rows that are held to a grammar are here. Must not know what a grammar is, nor what is chosen.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch

__all__ = ["Masks", "words_for"]

_SPREAD: Final = torch.from_numpy(
    np.where(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"), 0.0, -np.inf)
).float()
"""Byte -> what eight tokens are to have added to their logits."""


def words_for(tokens: int) -> int:
    """Of 32 bits."""
    return -(-tokens // 32)


class Masks:
    """`tokens`: bits of a row, at least; they fill whole words of 32."""

    def __init__(self, tokens: int) -> None:
        self.rows: list[int] = []
        """Of the logits: those that a mask is for, in order of the masks."""
        self._memory = torch.empty((8, words_for(tokens)), dtype=torch.int32)

    @property
    def bits(self) -> torch.Tensor:
        """`[len(rows), words]`: token t may come if bit t % 32 of word t // 32 is set."""
        return self._memory[: len(self.rows)]

    def clear(self) -> None:
        self.rows = []

    def add(self, row: int, fill: Callable[[torch.Tensor], None]) -> None:
        """One more: `fill` writes the words. When it raises there is none."""
        place = len(self.rows)
        if place == len(self._memory):
            self._memory = torch.cat([self._memory, torch.empty_like(self._memory)])
        fill(self._memory[place])
        self.rows.append(row)

    def without(self, place: int, tokens: frozenset[int], columns: int) -> None:
        """Takes these out of the mask at this place, unless nothing would be left of it."""
        own = self._memory[place].view(torch.uint8).numpy()
        left = own.copy()
        for token in tokens:
            left[token >> 3] &= ~np.uint8(1 << (token & 7))
        if np.unpackbits(left, count=columns, bitorder="little").any():
            own[:] = left

    def apply(self, logits: torch.Tensor) -> None:
        """Adds -inf where a row's mask allows nothing, in plain operations."""
        size = logits.shape[1]
        spread = _SPREAD.to(logits.device)
        bits = self.bits.to(logits.device).view(torch.uint8)[:, : -(-size // 8)].reshape(-1)
        added = spread.index_select(0, bits.int()).view(len(self.rows), -1)[:, :size]
        if len(self.rows) == len(logits) and self.rows == list(range(len(logits))):
            logits += added
        else:
            logits.index_add_(0, torch.tensor(self.rows, device=logits.device), added)
