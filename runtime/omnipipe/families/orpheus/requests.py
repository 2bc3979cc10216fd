"""A client's request as the speaker takes it: a text, a voice, how to sample."""

from collections.abc import Mapping

import msgspec

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.families.orpheus.asked import read_asked
from omnipipe.families.orpheus.graph import VOICES
from omnipipe.families.requests import Capability, Entry, MediaKind, SpeechRequest, TextRequest
from omnipipe.wire.value import Value

__all__ = ["OrpheusRequests"]


class OrpheusRequests:
    """`families.requests.Requests` and `SpeechRequests` of a family that speaks and does nothing else."""

    capabilities: frozenset[Capability] = frozenset({"speech"})
    options: frozenset[str] = frozenset()
    media: frozenset[MediaKind] = frozenset()
    voices: frozenset[str] = frozenset(VOICES)
    audio_formats: frozenset[str] = frozenset({"wav", "pcm16", "mp3", "flac", "opus", "aac"})
    sample_rate_hz: int = 24_000
    speech_options: frozenset[str] = frozenset(
        {"temperature", "top_p", "top_k", "repetition_penalty", "seed", "max_new_tokens"}
    )
    speech_chars: int = 300
    """About twenty seconds: it was trained on sentences, and wanders off in longer texts."""

    def entry(self, request: TextRequest) -> Entry:
        """Nobody asks: `chat` and `completion` are not among the capabilities."""
        raise RequestError(ErrorKind.UNPROCESSABLE, "this pipeline only speaks: ask /v1/audio/speech")

    def entry_speech(self, request: SpeechRequest) -> Entry:
        asked = read_asked({"text": request.input, "voice": request.voice or VOICES[0], **request.options})
        return Entry(msgspec.to_builtins(asked), frozenset({"text"}))

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        for name in params:
            path = f"stage_params.{stage}.{name}"
            raise RequestError(ErrorKind.INVALID, f"'{path}' is not known: the {stage} takes none", param=path)
