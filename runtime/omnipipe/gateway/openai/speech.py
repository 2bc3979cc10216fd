"""POST /v1/audio/speech: from the body to an order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from omnipipe.coordinator.flight import OmniRequest
from omnipipe.families.requests import SpeechRequest, SpeechRequests
from omnipipe.gateway.openai.answer import AUDIO
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.fields import SPEECH_FIELDS
from omnipipe.gateway.openai.order import Limits, entry, submissions
from omnipipe.gateway.openai.refusals import invalid
from omnipipe.gateway.openai.sentences import spoken_parts
from omnipipe.gateway.openai.sound import can_encode
from omnipipe.gateway.openai.speech_answer import ChunkEvents, FileStream, SpeechEvents, SpeechFraming
from omnipipe.gateway.openai.speech_request import MAX_WHOLE_CHARS, SpeechBody
from omnipipe.gateway.openai.voices import checked_voice, voice_name
from omnipipe.gateway.served import Served
from omnipipe.media.encode import available_formats
from omnipipe.wire.value import Value

__all__ = ["SpeechOrder", "speech_order", "speech_parts"]


@dataclass(frozen=True, slots=True)
class SpeechOrder:
    """One text to be spoken, understood and found right."""

    served: Served
    requests: Sequence[OmniRequest]
    """The parts of the text, in order."""
    format: str
    """As the families call it."""
    speed: float
    framing: SpeechFraming | None
    """None: the answer goes out in one go."""
    self_contained: bool
    """Each chunk of a WAV gets a header of its own."""


def speech_order(body: SpeechBody, served: Served, request_id: str, now_s: int, limits: Limits) -> SpeechOrder:
    require("speech", served)
    family = cast(SpeechRequests, served.requests)
    options = SPEECH_FIELDS.collect(body, served.name, family.speech_options)
    if AUDIO not in served.outputs:
        raise invalid(f"The model `{served.name}` does not answer with audio.", "model")
    if not body.input.strip():
        raise invalid("'input' is blank: there is nothing to be said.", "input")
    if body.stream is False and body.stream_format == "sse":
        raise invalid("'stream_format' cannot be 'sse' when 'stream' is false.", "stream_format")
    if body.stream is False and len(body.input) > MAX_WHOLE_CHARS:
        raise invalid(f"'input' has more than {MAX_WHOLE_CHARS} characters, which only a stream may.", "input")
    chunked = bool(body.stream) and body.stream_format is None
    format = _format(body, served, "wav" if chunked else "mp3")
    if body.speed not in (None, 1.0) and not can_encode():
        raise invalid("'speed' other than 1 needs a codec library, which this server was installed without.", "speed")
    voice = checked_voice(voice_name(body.voice, "voice"), served, "voice")
    entries = [
        (entry(family.entry_speech, part), frozenset({AUDIO}))
        for part in speech_parts(body.input, voice, options, family)
    ]
    requests = submissions(body, served, request_id, entries, limits)
    rate = served.requests.sample_rate_hz
    framing: SpeechFraming | None
    if body.stream_format == "sse":
        framing = SpeechEvents()
    elif chunked:
        framing = ChunkEvents(f"speech-{request_id}", format, rate)
    else:
        framing = None if body.stream is False else FileStream(format, rate)
    return SpeechOrder(served, requests, format, body.speed or 1.0, framing, chunked)


def speech_parts(
    text: str, voice: str | None, options: dict[str, Value], family: SpeechRequests
) -> Sequence[SpeechRequest]:
    return [SpeechRequest(part, voice, options) for part in spoken_parts(text, family.speech_chars)]


def _format(body: SpeechBody, served: Served, default: str) -> str:
    chosen = "pcm16" if body.response_format == "pcm" else body.response_format or default
    able = served.requests.audio_formats & available_formats()
    if chosen not in able:
        shown = sorted("pcm" if name == "pcm16" else name for name in able)
        wrong = "Invalid value for" if body.response_format else "Missing a value for"
        raise invalid(f"{wrong} 'response_format': the formats here are {', '.join(shown)}.", "response_format")
    return chosen
