"""Random numbers by counting: the number for (seed, place) is the same whatever else was drawn before or beside it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["uniform", "uniforms"]

_MASK: Final = (1 << 64) - 1
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def uniform(seed: int, place: int) -> float:
    """In [0, 1), of 53 bits. Two rounds of splitmix64."""
    return (_mixed(_mixed(seed & _MASK) ^ (place & _MASK)) >> 11) * (1.0 / (1 << 53))


def uniforms(seeds: Sequence[int], places: Sequence[int], count: int) -> "npt.NDArray[np.float64]":
    """`[seeds, count]`: of each seed the numbers for its place and those behind it, as `uniform` gives them."""
    first = _mixed_all(np.array([seed & _MASK for seed in seeds], np.uint64))[:, None]
    at: npt.NDArray[np.uint64] = np.add.outer(np.array(places, np.uint64), np.arange(count, dtype=np.uint64))
    return (_mixed_all(first ^ at) >> np.uint64(11)).astype(np.float64) * (1.0 / (1 << 53))


def _mixed_all(x: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint64]":
    x = x + _STEP  # wraps around, as it shall
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


def _mixed(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
