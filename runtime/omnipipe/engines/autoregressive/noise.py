"""Random numbers by counting: the number for (seed, place) is the same whatever else was drawn before or beside it."""

from typing import Final

__all__ = ["uniform"]

_MASK: Final = (1 << 64) - 1


def uniform(seed: int, place: int) -> float:
    """In [0, 1), of 53 bits. Two rounds of splitmix64."""
    return (_mixed(_mixed(seed & _MASK) ^ (place & _MASK)) >> 11) * (1.0 / (1 << 53))


def _mixed(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
