"""Architectures whose decode steps cannot be captured: their code asks the device for numbers in the middle of it."""

from typing import Final

__all__ = ["UNCAPTURED"]

UNCAPTURED: Final = frozenset({"gpt2"})
