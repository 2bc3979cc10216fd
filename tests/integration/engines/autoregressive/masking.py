"""Masks of our own, as a grammar would fill them."""

from collections.abc import Collection, Mapping

import torch

from omnipipe.engines.autoregressive.masks import Masks, words_for

__all__ = ["masks_of", "packed"]


def packed(allowed: Collection[int], tokens: int) -> torch.Tensor:
    """`[words]`, as `Masks.bits` has them."""
    words = [sum(1 << (token & 31) for token in set(allowed) if token >> 5 == at) for at in range(words_for(tokens))]
    return torch.tensor([word - (1 << 32) if word >> 31 else word for word in words], dtype=torch.int32)


def masks_of(allowed: Mapping[int, Collection[int]], tokens: int) -> Masks:
    """`allowed`: row of the logits -> what may come there."""
    masks = Masks(tokens)
    for row, some in allowed.items():
        masks.add(row, _Filler(packed(some, tokens)))
    return masks


class _Filler:
    def __init__(self, words: torch.Tensor) -> None:
        self._words = words

    def __call__(self, into: torch.Tensor) -> None:
        into.copy_(self._words)
