"""Chat completions that are spoken: sound, with the text as its transcript."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.gateway.openai.answer import AUDIO, encode
from omnipipe.gateway.openai.chat_answer import ChatAnswer, ChatWriter
from omnipipe.gateway.openai.chat_shapes import AnswerMessage, AudioAnswer
from omnipipe.gateway.openai.sound import pcm16, sound_file

__all__ = ["AudioWriting", "SpokenAnswer"]


@dataclass(frozen=True, slots=True)
class AudioWriting:
    """How an answer carries its sound."""

    id: str
    format: str
    sample_rate_hz: int


class SpokenAnswer(ChatAnswer):
    heavy = True

    def __init__(self, audio: AudioWriting, **options: Any) -> None:
        """`options`: those of a ChatAnswer."""
        super().__init__(**options)
        self._audio = audio

    def writer(self, index: int) -> ChatWriter:
        return _SpeakingWriter(self, index, self._audio)

    async def settle(self, choices: Sequence[ChatWriter]) -> None:
        for choice in choices:
            assert isinstance(choice, _SpeakingWriter), "its choices are its own"
            await choice.encode()


class _SpeakingWriter(ChatWriter):
    """Sound, with the text as its transcript."""

    def __init__(self, answer: ChatAnswer, index: int, audio: AudioWriting) -> None:
        super().__init__(answer, index)
        self._audio = audio
        self._id = f"{audio.id}-{index}" if index else audio.id
        self._before_sound = b""
        self._after_sound = b""
        self._sound: list[bytes] = []
        self._file = b""
        """In base64."""
        self._close = b"}}"

    def opening(self) -> bytes:
        start = self._answer.head(self._index) + b'{"audio":{"id":' + encode(self._id)
        self._before = start + b',"transcript":'
        self._after = self._close + self._answer.tail()
        self._before_sound = start + b',"data":"'
        self._after_sound = b'"' + self._after
        return self._frame(b'{"role":"assistant","content":null,"refusal":null}')

    def frames(self, pieces: Sequence[Piece]) -> bytes:
        parts: list[bytes] = []
        for piece in pieces:
            if piece.output != AUDIO:
                parts.append(super().frames((piece,)))
            elif sound := self._sounding(piece):
                parts += (self._before_sound, base64.b64encode(sound), self._after_sound)
        return b"".join(parts)

    def closing(self) -> bytes:
        expiry = b'{"audio":{"id":%b,"expires_at":%d}}' % (encode(self._id), self._answer.created)
        return self._frame(expiry) + super().closing()

    def keep(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if piece.output != AUDIO:
                super().keep((piece,))
            elif sound := self._sounding(piece):
                self._sound.append(sound)

    async def encode(self) -> None:
        file = await sound_file(self._sound, self._audio.format, self._audio.sample_rate_hz)
        self._file = base64.b64encode(file)

    def message(self) -> AnswerMessage:
        audio = AudioAnswer(self._id, self._file.decode(), self._answer.created, self.text())
        return msgspec.structs.replace(super().message(), content=None, audio=audio)

    def _sounding(self, piece: Piece) -> bytes:
        sound = pcm16(piece.value)
        if sound:
            self.tally.audio_pieces += 1
        if piece.last:
            self.tally.end(piece.output, piece.meta)
        return sound
