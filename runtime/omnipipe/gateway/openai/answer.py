"""What chat and completion answers have in common: how the pieces of one choice add up, and the ports that the hot path
drives. Nothing here or in the answers built on it waits or sends.

A stream's frames differ in one string. All that surrounds it is encoded once for each choice; a frame is then
prefix + JSON of the string + suffix.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeVar, cast, get_args

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.gateway.openai.usage import Usage, merged, usage_of
from omnipipe.wire.value import Value

__all__ = [
    "AUDIO",
    "DONE",
    "TEXT",
    "Answer",
    "ChoiceWriter",
    "FinishReason",
    "Tally",
    "TextWriter",
    "WriterT",
    "encode",
]

TEXT: Final = "text"
AUDIO: Final = "audio"
"""The outputs of a pipeline that these answers know how to carry."""

DONE: Final = b"data: [DONE]\n\n"

FinishReason = Literal["stop", "length", "content_filter"]
_FINISH_REASONS: Final = frozenset(get_args(FinishReason))

encode = msgspec.json.Encoder().encode


class Tally:
    """How one choice ended, and how much of what it brought."""

    __slots__ = ("audio_pieces", "finish_reason", "text_pieces", "usage")

    def __init__(self) -> None:
        self.text_pieces = 0
        self.audio_pieces = 0
        self.finish_reason: FinishReason = "stop"
        self.usage: Usage | None = None

    def end(self, output: str, meta: dict[str, Value] | None) -> None:
        """An output's last piece. The text says why it ended; where there is none, the sound does."""
        if not meta:
            return
        reason = meta.get("finish_reason", "stop")
        if reason not in _FINISH_REASONS:
            raise TypeError(f"the output {output} ended with the finish_reason {reason!r}")
        if output == TEXT or not self.text_pieces:
            self.finish_reason = cast(FinishReason, reason)
        usage = usage_of(meta)
        if usage is not None:
            self.usage = usage if self.usage is None else merged(self.usage, usage)


class ChoiceWriter(Protocol):
    """One choice, streamed or kept."""

    tally: Tally

    def opening(self) -> bytes:
        """The frames before the first piece. Called first, and once, when the answer is a stream."""

    def frames(self, pieces: Sequence[Piece]) -> bytes:
        """Pieces that became ready together, as frames joined into one write."""

    def closing(self) -> bytes:
        """The frames that say why it ended."""

    def keep(self, pieces: Sequence[Piece]) -> None:
        """Pieces of an answer in one go."""


WriterT = TypeVar("WriterT", bound=ChoiceWriter)


class Answer(Protocol[WriterT]):
    """One answer of one or several choices."""

    def writer(self, index: int) -> WriterT: ...

    def ending(self, choices: Sequence[WriterT]) -> bytes:
        """The frames after all choices have ended."""

    def whole(self, choices: Sequence[WriterT]) -> bytes:
        """The body of an answer in one go."""


class TextWriter:
    """A choice's text. `opening` sets what a frame has around its string; an answer in one go never calls it."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._before = b""
        self._after = b""
        self._kept: list[str] = []

    def frames(self, pieces: Sequence[Piece]) -> bytes:
        before, after = self._before, self._after
        if len(pieces) == 1:
            piece = pieces[0]
            if type(piece.value) is str and piece.value and not piece.last:  # nearly always: a token a step
                self.tally.text_pieces += 1
                return b"".join((before, encode(piece.value), after))
        parts: list[bytes] = []
        for piece in pieces:
            if piece.value:
                self.tally.text_pieces += 1
                parts += (before, encode(_checked(piece.value)), after)
            if piece.last:
                self.tally.end(piece.output, piece.meta)
        return b"".join(parts)

    def keep(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.value:
                self.tally.text_pieces += 1
                self._kept.append(_checked(piece.value))
            if piece.last:
                self.tally.end(piece.output, piece.meta)

    def text(self) -> str:
        return "".join(self._kept)


def _checked(value: Value) -> str:
    if type(value) is not str:
        raise TypeError(f"a text output gave {type(value).__name__}, not str")
    return value
