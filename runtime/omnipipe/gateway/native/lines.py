"""Answers in M*'s shapes: one JSON object a line for each piece, or one document of all of them. Payloads are base64
whatever they are; the end of the stream is the end of the answer, and an error is a line too."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.errors import RequestError
from omnipipe.families.text_pieces import TextPiece, read_piece
from omnipipe.gateway.errors import STATUS
from omnipipe.gateway.exchange import StreamKind
from omnipipe.gateway.openai.answer import AUDIO, TEXT, Tally, encode
from omnipipe.gateway.openai.sound import pcm16
from omnipipe.wire.value import Tensor, Value

__all__ = ["LINES", "GenerateLine", "GenerateResult", "LinesAnswer", "LinesWriter"]


class Payload(msgspec.Struct, frozen=True):
    data: str
    """Base64: of text UTF-8, of audio 16 bit little-endian samples without a header, of others their own format."""
    metadata: dict[str, Any]
    """Of audio `sample_rate` and `num_channels`."""


class GenerateLine(msgspec.Struct, frozen=True):
    """One line of a stream. With the modality `error` it is the last, and `data` says what went wrong."""

    modality: str
    data: str
    metadata: dict[str, Any]


class GenerateResult(msgspec.Struct, frozen=True):
    request_id: str
    outputs: dict[str, list[Payload]]


def _error_line(error: RequestError) -> bytes:
    row = STATUS[error.kind]
    told = {"status": row.status, "type": row.type, "param": error.param, "code": error.code or row.code}
    return _line("error", error.message.encode(), told)


LINES: Final = StreamKind(b"application/x-ndjson; charset=utf-8", _error_line)
"""With its character set: without one some HTTP libraries hand the lines on as bytes, and M*'s client drops them."""


class LinesAnswer:
    heavy = False

    def __init__(self, request_id: str, sample_rate_hz: int) -> None:
        self._request_id = request_id
        self._sample_rate_hz = sample_rate_hz

    def writer(self, index: int) -> "LinesWriter":
        return LinesWriter(self._sample_rate_hz)

    def ending(self, choices: Sequence["LinesWriter"]) -> bytes:
        return b""

    async def settle(self, choices: Sequence["LinesWriter"]) -> None:
        """Nothing is encoded but as base64."""

    def whole(self, choices: Sequence["LinesWriter"]) -> bytes:
        (choice,) = choices
        return encode(GenerateResult(self._request_id, choice.outputs()))


class LinesWriter:
    def __init__(self, sample_rate_hz: int) -> None:
        self.tally = Tally()
        self._sound: Mapping[str, Value] = {"sample_rate": sample_rate_hz, "num_channels": 1}
        self._kept: dict[str, list[bytes]] = {}
        self._metadata: dict[str, dict[str, Value]] = {}

    def opening(self) -> bytes:
        return b""

    def closing(self) -> bytes:
        return b""

    def frames(self, pieces: Sequence[Piece]) -> bytes:
        lines: list[bytes] = []
        for piece in pieces:
            data, metadata = self._read(piece)
            if data or metadata.keys() - self._sound.keys():
                lines.append(_line(piece.output, data, metadata))
        return b"".join(lines)

    def keep(self, pieces: Sequence[Piece]) -> None:
        """Bytes of one modality are one payload: a text cut into tokens is nobody's wish where it comes in one go."""
        for piece in pieces:
            data, metadata = self._read(piece)
            self._kept.setdefault(piece.output, []).append(data)
            known = self._metadata.setdefault(piece.output, {})
            for name, value in metadata.items():
                joined = isinstance(value, str) and name in known
                known[name] = known[name] + value if joined else value

    def outputs(self) -> dict[str, list[Payload]]:
        return {
            name: [Payload(base64.b64encode(b"".join(parts)).decode(), self._metadata[name])]
            for name, parts in self._kept.items()
        }

    def _read(self, piece: Piece) -> tuple[bytes, Mapping[str, Value]]:
        tally = self.tally
        if piece.last:
            tally.end(piece.output, piece.meta)
        if piece.output == TEXT:
            told = read_piece(piece.value)
            tally.text_pieces += 1 if told else 0
            return (told.get("content", "") + told.get("refusal", "")).encode(), _beside(told)
        if piece.output == AUDIO:
            sound = pcm16(piece.value)
            tally.audio_pieces += 1 if sound else 0
            return sound, self._sound
        return _payload(piece.value)


def _beside(told: TextPiece) -> Mapping[str, Value]:
    """What belongs to a text and is none of it."""
    reasoning = told.get("reasoning")
    return {"reasoning": reasoning} if reasoning else {}


def _payload(value: Value) -> tuple[bytes, Mapping[str, Value]]:
    """Of outputs that are neither text nor audio: files as they are, arrays with what is needed to read them."""
    match value:
        case None:
            return b"", {}
        case bytes() | bytearray() | memoryview():
            return bytes(value), {}
        case Tensor():
            return bytes(value.data), {"dtype": value.dtype, "shape": list(value.shape)}
        case _:
            return encode(value), {}


def _line(modality: str, data: bytes, metadata: Mapping[str, Value]) -> bytes:
    return encode(GenerateLine(modality, base64.b64encode(data).decode(), dict(metadata))) + b"\n"
