"""Tokens to text, piece by piece, for programs that write text.

Two promises. No piece ever ends inside a character, so the joined pieces are the text. No piece ever holds a stop
string or the beginning of one that later turns out complete.
"""

from collections.abc import Callable, Sequence

__all__ = ["TextStream"]

_BROKEN = "\N{REPLACEMENT CHARACTER}"
_MAX_PENDING = 16
"""Tokens without a whole character: a character has at most four bytes, so these will never become one."""

Decode = Callable[[list[int]], str]
"""Token ids to text: `lambda ids: tokenizer.decode(ids, skip_special_tokens=True)`."""


class TextStream:
    """The text of one sequence. `push` what comes, `flush` once at the end; both return what may be shown."""

    __slots__ = ("_decode", "_from", "_held", "_include", "_longest", "_read", "_shown", "_stops", "_tokens", "stopped")

    def __init__(self, decode: Decode, stops: Sequence[str] = (), *, include_stop: bool = False) -> None:
        self._decode = decode
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._include = include_stop
        self._tokens: list[int] = []
        self._from = 0
        """Tokens from here on give the text that the next token's spacing depends on."""
        self._read = 0
        """Tokens before here have been shown."""
        self._shown = 0
        """Of the text behind `_from`: characters that were given out."""
        self._held = ""
        """Decoded, but perhaps the beginning of a stop string."""
        self.stopped: str | None = None
        """The stop string that was found."""

    @property
    def holding(self) -> bool:
        """There is text that may be the beginning of a stop string."""
        return bool(self._held)

    def push(self, tokens: Sequence[int], *, may_stop: bool = True) -> str:
        """`may_stop` False: a stop string in here is text like any other (`min_tokens`)."""
        if self.stopped is not None:
            return ""
        self._tokens += tokens
        return self._release(self._decoded(final=False), may_stop)

    def flush(self) -> str:
        """What was held back: the sequence has ended."""
        if self.stopped is not None:
            return ""
        text = self._release(self._decoded(final=True), may_stop=True)
        held, self._held = self._held, ""
        return text + held

    def _decoded(self, final: bool) -> str:
        """The new whole characters."""
        tokens = self._tokens
        text = self._decode(tokens[self._from :])
        whole = text
        if not final and len(tokens) - self._read <= _MAX_PENDING:
            whole = text.rstrip(_BROKEN)
        new = whole[self._shown :]
        if len(whole) == len(text) and text:
            # All of it is out: the next text is read behind the newest tokens, which stay for their spacing.
            self._from, self._read = self._read if self._read < len(tokens) else self._from, len(tokens)
            self._shown = len(self._decode(tokens[self._from :]))
        else:
            self._shown = max(self._shown, len(whole))
        return new

    def _release(self, new: str, may_stop: bool) -> str:
        if not self._stops:
            return new
        text = self._held + new
        if not may_stop:
            self._held = ""
            return text
        found = min(((at, stop) for stop in self._stops if (at := text.find(stop)) >= 0), default=None)
        if found is not None:
            at, self.stopped = found
            self._held = ""
            return text[: at + len(self.stopped)] if self._include else text[:at]
        keep = self._beginning(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _beginning(self, text: str) -> int:
        """How much of the end of `text` could be the beginning of a stop string."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0
