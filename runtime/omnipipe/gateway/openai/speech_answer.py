"""The four ways in which speech is answered: a file in one go, a file as it is made, OpenAI's events, and events with a
chunk of sound each as sglang-omni has them. Nothing here waits or sends."""

import base64
from typing import Literal, Protocol

import msgspec

from omnipipe.families.text_pieces import FinishReason
from omnipipe.gateway.exchange import EVENTS, StreamKind
from omnipipe.gateway.openai.answer import DONE, Tally, encode
from omnipipe.gateway.openai.sound import content_type
from omnipipe.media.wav import wav_header

__all__ = [
    "ChunkEvents",
    "FileStream",
    "SpeechChunk",
    "SpeechDelta",
    "SpeechDone",
    "SpeechEvents",
    "SpeechFraming",
    "SpeechUsage",
    "sound_headers",
    "told_headers",
]

Headers = tuple[tuple[bytes, bytes], ...]


class SpeechUsage(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDelta(msgspec.Struct, frozen=True, tag_field="type", tag="speech.audio.delta"):
    audio: str
    """Base64. The deltas of a stream, decoded and joined, are the file."""


class SpeechDone(msgspec.Struct, frozen=True, tag_field="type", tag="speech.audio.done"):
    usage: SpeechUsage | None
    """None: the stages do not count."""
    finish_reason: FinishReason
    """Extension: `length` when the model stopped before it had said everything."""


class ChunkAudio(msgspec.Struct, frozen=True):
    data: str
    """Base64."""
    format: str
    mime_type: str
    sample_rate: int


class SpeechChunk(msgspec.Struct, frozen=True):
    id: str
    object: Literal["audio.speech.chunk"]
    index: int
    audio: ChunkAudio | None
    """None in the last one."""
    finish_reason: FinishReason | None
    usage: SpeechUsage | None


class SpeechFraming(Protocol):
    """What surrounds the sound of a stream."""

    kind: StreamKind

    def frames(self, sound: bytes) -> bytes: ...

    def ending(self, tally: Tally) -> bytes: ...


class FileStream:
    """The file itself."""

    def __init__(self, format: str, sample_rate_hz: int) -> None:
        self.kind = StreamKind(content_type(format).encode(), None, sound_headers(format, sample_rate_hz))

    def frames(self, sound: bytes) -> bytes:
        return sound

    def ending(self, tally: Tally) -> bytes:
        return b""


class SpeechEvents:
    """OpenAI's."""

    kind = EVENTS

    def frames(self, sound: bytes) -> bytes:
        if not sound:
            return b""
        return b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % base64.b64encode(sound)

    def ending(self, tally: Tally) -> bytes:
        return b"data: %b\n\n" % encode(SpeechDone(_usage(tally), tally.finish_reason))


class ChunkEvents:
    """sglang-omni's. Each chunk of a WAV is a file of its own, ready to be played; with the other formats the chunks
    are one file, for their frames do not end where chunks do."""

    kind = EVENTS

    def __init__(self, id: str, format: str, sample_rate_hz: int) -> None:
        self._id = id
        self._format = format
        self._rate = sample_rate_hz
        self._index = 0

    def frames(self, sound: bytes) -> bytes:
        if not sound:
            return b""
        data = wav_header(len(sound), self._rate) + sound if self._format == "wav" else sound
        name = "pcm" if self._format == "pcm16" else self._format
        mime = content_type(self._format)
        return self._chunk(ChunkAudio(base64.b64encode(data).decode(), name, mime, self._rate), None, None)

    def ending(self, tally: Tally) -> bytes:
        return self._chunk(None, tally.finish_reason, _usage(tally)) + DONE

    def _chunk(self, audio: ChunkAudio | None, reason: FinishReason | None, usage: SpeechUsage | None) -> bytes:
        index, self._index = self._index, self._index + 1
        return b"data: %b\n\n" % encode(SpeechChunk(self._id, "audio.speech.chunk", index, audio, reason, usage))


def sound_headers(format: str, sample_rate_hz: int) -> Headers:
    """What bare samples do not say of themselves."""
    if format != "pcm16":
        return ()
    return ((b"x-sample-rate", b"%d" % sample_rate_hz), (b"x-channels", b"1"), (b"x-bit-depth", b"16"))


def told_headers(tally: Tally) -> Headers:
    """How it went, for an answer whose body has no room for it."""
    headers = [(b"x-finish-reason", tally.finish_reason.encode())]
    if tally.usage is not None:
        headers.append((b"x-prompt-tokens", b"%d" % tally.usage.prompt_tokens))
        headers.append((b"x-completion-tokens", b"%d" % tally.usage.completion_tokens))
    return tuple(headers)


def _usage(tally: Tally) -> SpeechUsage | None:
    usage = tally.usage
    if usage is None:
        return None
    return SpeechUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
