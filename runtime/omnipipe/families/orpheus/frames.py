"""Tokens to frames of codes: at each place of a frame only the codes of that place count, others are passed over."""

from collections.abc import Iterable
from typing import Final

__all__ = ["CODEBOOK", "PLACES", "Frames"]

PLACES: Final = 7
"""Tokens in a frame."""
CODEBOOK: Final = 4096


class Frames:
    """Of one speech. `first_code`: the token that is code 0 at place 0."""

    def __init__(self, first_code: int) -> None:
        self._first = first_code
        self._open: list[int] = []

    def push(self, tokens: Iterable[int]) -> list[list[int]]:
        """Frames that have become whole."""
        whole = []
        for token in tokens:
            code = token - self._first - len(self._open) * CODEBOOK
            if not 0 <= code < CODEBOOK:
                continue  # a mark, or a code of another place: the model stumbled, and what comes next may be right
            self._open.append(code)
            if len(self._open) == PLACES:
                whole.append(self._open)
                self._open = []
        return whole
