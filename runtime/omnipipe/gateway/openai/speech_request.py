"""The body of POST /v1/audio/speech: OpenAI's fields, those that other servers of speech models take, and ours."""

from typing import Annotated, Final, Literal

from msgspec import Meta

from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.chat_request import VoiceId

__all__ = ["MAX_INPUT_CHARS", "MAX_WHOLE_CHARS", "SpeechBody", "SpeechOptions"]

MAX_INPUT_CHARS: Final = 32_768
"""Half an hour of speech. OpenAI stops at 4096; here longer texts are cut between sentences anyway."""
MAX_WHOLE_CHARS: Final = 4096
"""Where the answer is kept until it is whole: five minutes are 14 MB."""


class SpeechOptions(scalars.Body, frozen=True, kw_only=True):
    """How a text is spoken, beside its voice. Which of these have an effect is by model."""

    instructions: Annotated[str, Meta(max_length=4096)] | None = None
    language: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """Extension: what the input is written in, by name."""
    temperature: scalars.Temperature | None = None
    top_p: scalars.TopP | None = None
    top_k: scalars.TopK | None = None
    repetition_penalty: scalars.Repetition | None = None
    seed: scalars.Int64 | None = None
    max_new_tokens: scalars.MaxTokens | None = None


class SpeechBody(SpeechOptions, frozen=True, kw_only=True):
    model: scalars.ModelName | None = None
    """May be left out where one model is served."""
    input: Annotated[str, Meta(min_length=1, max_length=MAX_INPUT_CHARS)]
    voice: str | VoiceId | None = None
    """`default`, or left out: the model's own choice."""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: Literal["sse", "audio"] | None = None
    stream: bool | None = None
    """Extension, as in sglang-omni: true for events with a chunk of audio each, false for an answer in one go."""

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None
