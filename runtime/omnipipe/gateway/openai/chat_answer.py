"""Chat completions as OpenAI's SDKs read them: whole, or as frames of an event stream."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.gateway.openai.answer import AUDIO, DONE, FinishReason, TextWriter, encode
from omnipipe.gateway.openai.sound import pcm16, wav
from omnipipe.gateway.openai.usage import Usage, total

__all__ = ["AudioWriting", "ChatAnswer", "ChatCompletion", "ChatCompletionChunk", "ChatWriter"]


class AudioAnswer(msgspec.Struct, frozen=True):
    id: str
    data: str
    """Base64 in the format asked for."""
    expires_at: int
    """When it was made: answers are not kept, so no later request can refer to it."""
    transcript: str


class AnswerMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    audio: AudioAnswer | None = None


class ChatChoice(msgspec.Struct, frozen=True):
    index: int
    message: AnswerMessage
    logprobs: None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, frozen=True):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage | None


class AudioDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    transcript: str | msgspec.UnsetType = msgspec.UNSET
    data: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: int | msgspec.UnsetType = msgspec.UNSET


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    role: Literal["assistant"] | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType | None = msgspec.UNSET
    refusal: msgspec.UnsetType | None = msgspec.UNSET
    audio: AudioDelta | msgspec.UnsetType = msgspec.UNSET


class ChunkChoice(msgspec.Struct, frozen=True):
    index: int
    delta: Delta
    logprobs: None
    finish_reason: FinishReason | None


class ChatCompletionChunk(msgspec.Struct, frozen=True):
    """One frame of a stream. Frames are written by hand below; this is their shape for readers and tests."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class AudioWriting:
    """How an answer carries its sound."""

    id: str
    format: str
    sample_rate_hz: int


class ChatAnswer:
    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        choices_per_prompt: int = 1,
        include_usage: bool = False,
        audio: AudioWriting | None = None,
    ) -> None:
        self.created = created
        self._audio = audio
        self._id = id
        self._model = model
        self._choices_per_prompt = choices_per_prompt
        self._usage_field = b',"usage":null' if include_usage else b""
        self._include_usage = include_usage

    @cached_property
    def _start(self) -> bytes:
        """A frame up to its choices."""
        return b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            encode(self._id), self.created, encode(self._model),
        )  # fmt: skip

    def head(self, index: int) -> bytes:
        """A frame up to its delta."""
        return b'%b{"index":%d,"delta":' % (self._start, index)

    def tail(self, finish_reason: bytes = b"null") -> bytes:
        """A frame after its delta."""
        return b',"logprobs":null,"finish_reason":%b}]%b}\n\n' % (finish_reason, self._usage_field)

    def writer(self, index: int) -> "ChatWriter":
        return ChatWriter(self, index) if self._audio is None else _SpeakingWriter(self, index, self._audio)

    def ending(self, choices: Sequence["ChatWriter"]) -> bytes:
        if not self._include_usage:
            return DONE
        return b'%b],"usage":%b}\n\n%b' % (self._start, encode(self._total(choices)), DONE)

    def whole(self, choices: Sequence["ChatWriter"]) -> bytes:
        parts = [
            ChatChoice(index, choice.message(), None, choice.tally.finish_reason)
            for index, choice in enumerate(choices)
        ]
        usage = self._total(choices)
        return encode(ChatCompletion(self._id, "chat.completion", self.created, self._model, parts, usage))

    def _total(self, choices: Sequence["ChatWriter"]) -> Usage | None:
        return total([choice.tally.usage for choice in choices], self._choices_per_prompt)


class ChatWriter(TextWriter):
    """Text alone."""

    def __init__(self, answer: ChatAnswer, index: int) -> None:
        super().__init__()
        self._answer = answer
        self._index = index

    def opening(self) -> bytes:
        self._before = self._answer.head(self._index) + b'{"content":'
        self._after = b"}" + self._answer.tail()
        return self._frame(b'{"role":"assistant","content":"","refusal":null}')

    def closing(self) -> bytes:
        return self._answer.head(self._index) + b"{}" + self._answer.tail(encode(self.tally.finish_reason))

    def message(self) -> AnswerMessage:
        return AnswerMessage("assistant", self.text(), None)

    def _frame(self, delta: bytes) -> bytes:
        return self._answer.head(self._index) + delta + self._answer.tail()


class _SpeakingWriter(ChatWriter):
    """Sound, with the text as its transcript."""

    def __init__(self, answer: ChatAnswer, index: int, audio: AudioWriting) -> None:
        super().__init__(answer, index)
        self._audio = audio
        self._id = f"{audio.id}-{index}" if index else audio.id
        self._before_sound = b""
        self._after_sound = b""
        self._sound: list[bytes] = []

    def opening(self) -> bytes:
        start = self._answer.head(self._index) + b'{"audio":{"id":' + encode(self._id)
        self._before = start + b',"transcript":'
        self._after = b"}}" + self._answer.tail()
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

    def message(self) -> AnswerMessage:
        sound = b"".join(self._sound)
        if self._audio.format == "wav":
            sound = wav(sound, self._audio.sample_rate_hz)
        data = base64.b64encode(sound).decode()
        return AnswerMessage("assistant", None, None, AudioAnswer(self._id, data, self._answer.created, self.text()))

    def _sounding(self, piece: Piece) -> bytes:
        sound = pcm16(piece.value)
        if sound:
            self.tally.audio_pieces += 1
        if piece.last:
            self.tally.end(piece.output, piece.meta)
        return sound
