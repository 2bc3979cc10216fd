"""Random numbers for every candidate of a choice: the one for (seed, place, token) is the same whatever else was drawn
before or beside it, and in whichever order candidates stand."""

from collections.abc import Sequence
from typing import Final

import torch

__all__ = ["numbers", "uniforms"]

_MASK: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST: Final = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND: Final = 0x94D049BB133111EB - (1 << 64)
"""splitmix64's, as integers with a sign, which torch's are."""


def numbers(seeds: Sequence[int], places: Sequence[int], tokens: torch.Tensor) -> torch.Tensor:
    """In (0, 1): for `[rows, n]` tokens `[rows, n]` in f64."""
    device = tokens.device
    keys = _mixed(torch.tensor([_signed(seed) for seed in seeds], device=device) + _STEP)
    return uniforms(_mixed((keys ^ torch.tensor(list(places), device=device)) + _STEP), tokens)


def uniforms(keys: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The token's output of the splitmix64 that begins at the row's key; of 52 bits, so that it is never 0 nor 1."""
    x = _mixed(keys[:, None] + (tokens + 1) * _STEP)
    return (_shifted(x, 12).double() + 0.5) * (1.0 / (1 << 52))


def _mixed(x: torch.Tensor) -> torch.Tensor:
    """Integers of torch wrap around, as they shall."""
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def _shifted(x: torch.Tensor, by: int) -> torch.Tensor:
    return (x >> by) & ((1 << (64 - by)) - 1)


def _signed(x: int) -> int:
    x &= _MASK
    return x - (1 << 64) if x >> 63 else x
