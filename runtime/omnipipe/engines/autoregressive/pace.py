"""Whether guessing pays, for each size of batch, from what steps took.

A model whose steps wait for memory checks guesses for next to nothing; one that is busy with a large batch does not,
and guesses that do not hold are worth nothing at any price. Rather than to know all of that beforehand, what a token
costs is measured both ways, and the cheaper one is taken; the other is tried again now and then. Pure: times are told
to it.
"""

from dataclasses import dataclass, field
from typing import Final

__all__ = ["Pace"]

_TRIAL: Final = 6
"""Steps in which the other way is tried."""
_FIRST: Final = 256
"""Steps until it is tried again; twice as many each time that it turns out dearer, up to the most. (After a while
without guesses the draft has to catch up with what was said.)"""
_MOST: Final = 4096
_FADE: Final = 0.9
"""What an older step weighs against the next newer one."""


@dataclass(slots=True)
class _Cost:
    """Of a token, over the last steps or so."""

    seconds: float = 0.0
    tokens: float = 0.0
    steps: int = 0

    def add(self, seconds: float, tokens: int) -> None:
        self.seconds = self.seconds * _FADE + seconds
        self.tokens = self.tokens * _FADE + tokens
        self.steps += 1

    @property
    def each(self) -> float:
        return self.seconds / self.tokens if self.tokens else 0.0


@dataclass(slots=True)
class _Size:
    """Batches of about one size."""

    guessed: _Cost = field(default_factory=_Cost)
    plain: _Cost = field(default_factory=_Cost)
    guesses: bool = True
    """The way that is taken."""
    left: int = _TRIAL
    """Steps on it before the other one is tried; below 0, of that trial, too."""
    wait: int = _FIRST


class Pace:
    def __init__(self) -> None:
        self._sizes: dict[int, _Size] = {}

    def allows(self, batch: int) -> bool:
        """Whether to guess in a step of this many sequences."""
        size = self._size(batch)
        return size.guesses if size.left > 0 else not size.guesses

    def took(self, batch: int, tokens: int, seconds: float, *, guessed: bool) -> str | None:
        """A step in which nothing but tokens was made. What has changed, in words for the log."""
        size = self._size(batch)
        (size.guessed if guessed else size.plain).add(seconds, tokens)
        size.left -= 1
        if size.left > -_TRIAL:
            return None
        if not (size.guessed.steps and size.plain.steps):
            size.left = _TRIAL  # nobody's tokens could be guessed
            return None
        better = size.guessed.each <= size.plain.each
        changed = better is not size.guesses
        size.guesses = better
        size.wait = _FIRST if changed else min(_MOST, size.wait * 2)
        size.left = size.wait
        if not changed:
            return None
        low = 1 << (batch.bit_length() - 1)
        return (
            f"guessing is {'on' if better else 'off'} for steps of {low} to {2 * low - 1} requests: a token takes "
            f"{size.guessed.each * 1e3:.2f} ms with it, {size.plain.each * 1e3:.2f} ms without"
        )

    def _size(self, batch: int) -> _Size:
        return self._sizes.setdefault(batch.bit_length(), _Size())
