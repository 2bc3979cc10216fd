"""A scripted pipeline that speaks: what it says follows from what it is asked, a sample's value for each part."""

import io
from collections.abc import Mapping

import av
import numpy as np
from msgspec import to_builtins

from omnipipe.coordinator.fake import Script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.families.requests import Capability, Entry, MediaKind, SpeechRequest, TextRequest
from omnipipe.gateway.openai.fields import ANSWER_FIELDS
from omnipipe.wire.value import Value

__all__ = ["PIECE", "RATE", "SpokenRequests", "pcm_of", "seconds_of", "spoken_script"]

RATE = 24_000
PIECE = RATE // 4
"""Samples of each word."""


class SpokenRequests:
    """A family that converses, aloud if wanted, takes pictures, and speaks any text."""

    capabilities: frozenset[Capability] = frozenset({"chat", "speech"})
    options = ANSWER_FIELDS.options
    media: frozenset[MediaKind] = frozenset({"image"})
    voices = frozenset({"alloy", "cello"})
    audio_formats = frozenset({"wav", "pcm16", "mp3", "flac", "opus", "aac"})
    sample_rate_hz = RATE
    speech_options = frozenset({"instructions"})
    speech_chars = 30

    def entry(self, request: TextRequest) -> Entry:
        said = request.messages[-1].parts
        texts = [part.text or f"<{part.type} of {len(part.data)}>" for part in said]
        asked = to_builtins(request, builtin_types=(bytes,)) | {"outputs": sorted(request.outputs)}
        return Entry({"text": " ".join(texts), "asked": asked}, frozenset({part.type for part in said}))

    def entry_speech(self, request: SpeechRequest) -> Entry:
        return Entry({"text": request.input, "asked": to_builtins(request)}, frozenset({"text"}))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        return None


def pcm_of(text: str) -> bytes:
    """What a text sounds like: a tone a word, each as loud as the word is long."""
    at = np.arange(PIECE) / RATE
    return b"".join(
        (np.sin(2 * np.pi * 440 * at) * min(len(word), 20) * 1000).astype("<i2").tobytes() for word in text.split()
    )


def spoken_script(request: OmniRequest) -> Script:
    text = request.value["text"]
    words = text.split()
    usage = {"prompt_tokens": len(words), "completion_tokens": len(words)}
    pieces: list[Piece] = []
    if "text" in request.outputs:
        pieces += [Piece("text", f"{word} ", False, None) for word in words]
        pieces.append(Piece("text", None, True, {"finish_reason": "stop", "usage": usage}))
    if "audio" in request.outputs:
        pieces += [Piece("audio", pcm_of(word), False, None) for word in words]
        end: dict[str, Value] = {"sample_rate_hz": RATE, "channels": 1}
        pieces.append(Piece("audio", None, True, end if "text" in request.outputs else end | {"usage": usage}))
    return pieces


def seconds_of(data: bytes) -> float:
    """How long a sound file is, by what comes out of it."""
    seconds = 0.0
    with av.open(io.BytesIO(data), "r") as file:
        for frame in file.decode(audio=0):
            assert isinstance(frame, av.AudioFrame)
            seconds += frame.samples / frame.sample_rate
    return seconds
