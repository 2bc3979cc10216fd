"""Pieces of output to what a caller wants: events one by one, and the answer that they add up to.

One for both ways an answer comes. Text and sound are runs of bytes that a server may cut anywhere: inside a character,
a sample, a group of base64. What is cut waits for its other half; if that never comes, the answer is not whole.
"""

import codecs
from typing import Any

from omnipipe.client.errors import BadAnswer, StatusError, status_error
from omnipipe.client.pieces import Piece, decode_base64
from omnipipe.client.results import (
    DEFAULT_SAMPLE_RATE,
    ActionChunk,
    AudioBuffer,
    AudioChunk,
    GenerateResult,
    ImageChunk,
    RawChunk,
    RawPiece,
    StreamEvent,
    TextChunk,
    VideoChunk,
)
from omnipipe.client.wav import Samples

__all__ = ["Assembler"]

_RUNS = frozenset({"text", "audio"})
"""Modalities whose pieces go on from each other; a piece of any other is a thing of its own."""
_TOLD = ("type", "param", "code")


class Assembler:
    def __init__(self) -> None:
        self.request_id: str | None = None
        self.usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self._raw: list[RawPiece] = []
        self._base64: dict[str, str] = {}
        """Modality -> the beginning of a group of four."""
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._text: list[str] | None = None
        self._samples = Samples()
        self._pcm: list[bytes] = []
        self._sound: tuple[int, int] | None = None
        """Rate and channels."""
        self._images: list[bytes] = []
        self._video: list[bytes] = []
        self._actions: list[bytes] = []

    def add(self, piece: Piece) -> StreamEvent | None:
        """None: nothing to show yet. Raises what an error piece says, and BadAnswer for what cannot be read."""
        self._note_end(piece.metadata)
        if piece.modality == "error":
            raise _error(piece, self.request_id)
        data = self._decode(piece)
        metadata = piece.metadata
        self._raw.append({"modality": piece.modality, "bytes": data, "metadata": metadata})
        match piece.modality:
            case "text":
                return self._add_text(data, metadata)
            case "audio":
                return self._add_sound(data, metadata)
            case "image":
                self._images.append(data)
                return ImageChunk(data, metadata)
            case "video":
                self._video.append(data)
                return VideoChunk(data, metadata)
            case "action":
                self._actions.append(data)
                return ActionChunk(data, metadata)
            case other:
                return RawChunk(other, data, metadata)

    def end(self) -> None:
        """Raises BadAnswer when something is only half here."""
        for modality, rest in self._base64.items():
            if rest:
                raise BadAnswer(f"the {modality} ends inside a group of base64")
        try:
            self._utf8.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise BadAnswer("the text ends inside a character") from error
        self._samples.end()

    def result(self) -> GenerateResult:
        """Of all that has come so far."""
        rate, channels = self._sound or (DEFAULT_SAMPLE_RATE, 1)
        return GenerateResult(
            request_id=self.request_id,
            text=None if self._text is None else "".join(self._text),
            images=list(self._images),
            audio=None if self._sound is None else AudioBuffer(b"".join(self._pcm), rate, channels),
            video=list(self._video),
            actions=list(self._actions),
            usage=self.usage,
            finish_reason=self.finish_reason,
            raw=list(self._raw),
        )

    def _note_end(self, metadata: dict[str, Any]) -> None:
        """Servers that count say so with a piece of their choice, usually the last."""
        if isinstance(usage := metadata.get("usage"), dict):
            self.usage = usage
        if isinstance(reason := metadata.get("finish_reason"), str):
            self.finish_reason = reason

    def _decode(self, piece: Piece) -> bytes:
        if piece.modality not in _RUNS:
            return decode_base64(piece.data)
        data = self._base64.pop(piece.modality, "") + piece.data
        whole = len(data) if data.endswith("=") else len(data) - len(data) % 4
        self._base64[piece.modality] = data[whole:]
        return decode_base64(data[:whole])

    def _add_text(self, data: bytes, metadata: dict[str, Any]) -> TextChunk | None:
        self._text = self._text or []
        try:
            text = self._utf8.decode(data)
        except UnicodeDecodeError as error:
            raise BadAnswer("the text is not UTF-8") from error
        self._text.append(text)
        return TextChunk(text, metadata) if text or metadata else None

    def _add_sound(self, data: bytes, metadata: dict[str, Any]) -> AudioChunk | None:
        channels = _positive(metadata, "num_channels", self._sound[1] if self._sound else 1)
        rate = _positive(metadata, "sample_rate", self._sound[0] if self._sound else DEFAULT_SAMPLE_RATE)
        pcm = self._samples.feed(data, channels)
        rate, channels = self._samples.rate or rate, self._samples.channels or channels
        if self._sound not in (None, (rate, channels)) and self._pcm:
            raise BadAnswer(f"the sound changes from {self._sound} to {(rate, channels)} (Hz, channels) on its way")
        self._sound = rate, channels
        if not pcm:
            return AudioChunk(pcm, rate, channels, metadata) if metadata and not data else None
        self._pcm.append(pcm)
        return AudioChunk(pcm, rate, channels, metadata)


def _positive(metadata: dict[str, Any], name: str, default: int) -> int:
    value = metadata.get(name, default)
    whole = value.is_integer() if isinstance(value, float) else type(value) is int
    if not whole or value < 1:
        raise BadAnswer(f"sound came with {name} {value!r}")
    return int(value)


def _error(piece: Piece, request_id: str | None) -> StatusError:
    """Of a line that a server ends a stream with, when something goes wrong after its beginning."""
    status = piece.metadata.get("status")
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status < 600:
        status = 500
    type, param, code = (text if isinstance(text := piece.metadata.get(name), str) else None for name in _TOLD)
    message = decode_base64(piece.data).decode("utf-8", "replace")
    return status_error(status)(message, status=status, type=type, param=param, code=code, request_id=request_id)
