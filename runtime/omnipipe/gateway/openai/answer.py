"""What all answers have in common: how the pieces of one choice add up, and the ports that the routes drive. Nothing
here or in the answers built on it waits or sends.

Most of a stream's frames differ in one string. All that surrounds it is encoded once for each choice; a frame is then
prefix + JSON of the string + suffix. Pieces that carry more than content are rarer, and are written with less haste.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.families.text_pieces import TEXT_OUTPUT, FinishReason, TextPiece, read_meta, read_piece
from omnipipe.gateway.openai.usage import Usage, merged, usage_of
from omnipipe.wire.value import Value

__all__ = [
    "AUDIO",
    "DONE",
    "TEXT",
    "Answer",
    "ChoiceWriter",
    "Counted",
    "Tally",
    "TextWriter",
    "WholeAnswer",
    "WriterT",
    "encode",
]

TEXT: Final = TEXT_OUTPUT
AUDIO: Final = "audio"
"""The outputs of a pipeline that these answers know how to carry."""

DONE: Final = b"data: [DONE]\n\n"

encode = msgspec.json.Encoder().encode


class Tally:
    """How one choice ended, and how much of what it brought."""

    __slots__ = ("audio_pieces", "finish_reason", "stop_reason", "text_pieces", "usage")

    def __init__(self) -> None:
        self.text_pieces = 0
        self.audio_pieces = 0
        self.finish_reason: FinishReason = "stop"
        self.stop_reason: str | int | None = None
        """The client's own stop string or stop token that ended it."""
        self.usage: Usage | None = None

    def end(self, output: str, meta: dict[str, Value] | None) -> None:
        """An output's last piece. The text says why it ended; where there is none, the sound does."""
        if not meta:
            return
        told = read_meta(meta)
        if output == TEXT or not self.text_pieces:
            self.finish_reason = told.get("finish_reason", "stop")
            self.stop_reason = told.get("stop_reason")
        usage = usage_of(meta)
        if usage is not None:
            self.usage = usage if self.usage is None else merged(self.usage, usage)


class Counted(Protocol):
    tally: Tally


class ChoiceWriter(Counted, Protocol):
    """One choice, streamed or kept."""

    def opening(self) -> bytes:
        """The frames before the first piece. Called first, and once, when the answer is a stream."""

    def frames(self, pieces: Sequence[Piece]) -> bytes:
        """Pieces that became ready together, as frames joined into one write."""

    def closing(self) -> bytes:
        """The frames that say why it ended."""

    def keep(self, pieces: Sequence[Piece]) -> None:
        """All pieces of an answer in one go, in order."""


WriterT = TypeVar("WriterT", bound=ChoiceWriter)


class Answer(Protocol[WriterT]):
    """One answer of one or several choices."""

    @property
    def heavy(self) -> bool:
        """`settle` has something to do."""

    def writer(self, index: int) -> WriterT: ...

    def ending(self, choices: Sequence[WriterT]) -> bytes:
        """The frames after all choices have ended."""

    async def settle(self, choices: Sequence[WriterT]) -> None:
        """Before `whole`: what is too much work for the event loop."""

    def whole(self, choices: Sequence[WriterT]) -> bytes:
        """The body of an answer in one go."""


class WholeAnswer(Counted, Protocol):
    """One answer that is never a stream."""

    def keep(self, pieces: Sequence[Piece]) -> None:
        """All its pieces, in order."""

    async def body(self) -> bytes:
        """Gives way to others where there is much to encode."""


class TextWriter(ABC):
    """A choice's text. `opening` sets what a frame has around its string; an answer in one go never calls it."""

    __slots__ = ("_after", "_before", "_kept", "tally")

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
            value = piece.value
            if value:
                self.tally.text_pieces += 1
                if type(value) is str:
                    parts += (before, encode(value), after)
                else:
                    parts.append(self.rich_frames(read_piece(value)))
            elif value is not None:
                read_piece(value)  # as in `keep`
            if piece.last:
                self.tally.end(piece.output, piece.meta)
        return b"".join(parts)

    def keep(self, pieces: Sequence[Piece]) -> None:
        kept = self._kept
        for piece in pieces:
            value = piece.value
            if value:
                self.tally.text_pieces += 1
                if type(value) is str:
                    kept.append(value)
                else:
                    self.keep_rich(read_piece(value))
            elif value is not None:
                read_piece(value)  # what is empty says nothing, but it must be text: a 0 is a stage's mistake
            if piece.last:
                self.tally.end(piece.output, piece.meta)

    def text(self) -> str:
        return "".join(self._kept)

    @abstractmethod
    def rich_frames(self, piece: TextPiece) -> bytes:
        """Frames of a piece that is more than a string."""

    @abstractmethod
    def keep_rich(self, piece: TextPiece) -> None: ...
