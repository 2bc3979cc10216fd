"""The body of POST /v1/chat/completions: every field that OpenAI defines, and ours.

What a field may be is said here; which values a model honours is `fields`' business.
"""

from typing import Annotated, Literal

from msgspec import Meta

from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.chat_messages import ChatMessages, TextPart
from omnipipe.gateway.openai.response_format import ResponseFormat
from omnipipe.gateway.openai.tools import Function, FunctionName, Tool, ToolChoice

__all__ = [
    "AnswerOptions",
    "AudioParams",
    "CacheOptions",
    "ChatCompletionRequest",
    "StageSampling",
    "StreamOptions",
    "VoiceId",
]


class VoiceId(scalars.Body, frozen=True):
    id: str


class AudioParams(scalars.Body, frozen=True):
    voice: str | VoiceId | None = None
    """`default`, or left out: the model's own choice."""
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"] | None = None
    """Left out: `wav`, in a stream `pcm16`."""


class StreamOptions(scalars.Body, frozen=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Prediction(scalars.Body, frozen=True, tag_field="type", tag="content"):
    content: str | list[TextPart]


class CacheOptions(scalars.Body, frozen=True):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class ModerationMode(scalars.Body, frozen=True):
    mode: Literal["score", "block"]


class ModerationPolicy(scalars.Body, frozen=True):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(scalars.Body, frozen=True):
    model: str
    policy: ModerationPolicy | None = None


class Place(scalars.Body, frozen=True):
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(scalars.Body, frozen=True, tag_field="type", tag="approximate"):
    approximate: Place


class WebSearch(scalars.Body, frozen=True):
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None


class StageSampling(scalars.Body, frozen=True, kw_only=True):
    do_sample: bool | None = None
    temperature: scalars.Temperature | None = None
    top_p: scalars.TopP | None = None
    top_k: scalars.TopK | None = None
    min_p: scalars.MinP | None = None
    repetition_penalty: scalars.Repetition | None = None
    seed: scalars.Int64 | None = None
    max_new_tokens: scalars.MaxTokens | None = None


class AnswerOptions(scalars.Body, frozen=True, kw_only=True):
    """How an answer is made, whatever it is an answer to: what chats and native requests have in common."""

    temperature: scalars.Temperature | None = None
    top_p: scalars.TopP | None = None
    frequency_penalty: scalars.Penalty | None = None
    presence_penalty: scalars.Penalty | None = None
    logit_bias: scalars.Bias | None = None
    seed: scalars.Int64 | None = None
    stop: scalars.Stop | None = None
    max_tokens: scalars.MaxTokens | None = None
    max_completion_tokens: scalars.MaxTokens | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    top_k: scalars.TopK | None = None
    min_p: scalars.MinP | None = None
    repetition_penalty: scalars.Repetition | None = None
    min_tokens: scalars.MinTokens | None = None
    ignore_eos: bool | None = None
    stop_token_ids: scalars.StopTokens | None = None
    guided_json: scalars.GuidedJson | None = None
    guided_regex: scalars.GuidedRegex | None = None
    guided_choice: scalars.GuidedChoice | None = None
    guided_grammar: scalars.GuidedGrammar | None = None
    chat_template_kwargs: scalars.TemplateKwargs | None = None

    min_pixels: scalars.Pixels | None = None
    max_pixels: scalars.Pixels | None = None
    video_fps: scalars.FramesPerSecond | None = None
    video_max_frames: scalars.Frames | None = None
    video_min_pixels: scalars.Pixels | None = None
    video_max_pixels: scalars.Pixels | None = None
    video_total_pixels: scalars.Pixels | None = None
    use_audio_in_video: bool | None = None

    stage_sampling: dict[str, StageSampling] | None = None
    """Extension: sampling of single stages, by stage name."""
    thinker_do_sample: bool | None = None
    thinker_temperature: scalars.Temperature | None = None
    thinker_top_p: scalars.TopP | None = None
    thinker_top_k: scalars.TopK | None = None
    thinker_min_p: scalars.MinP | None = None
    thinker_repetition_penalty: scalars.Repetition | None = None
    thinker_max_new_tokens: scalars.MaxTokens | None = None
    thinker_seed: scalars.Int64 | None = None
    talker_do_sample: bool | None = None
    talker_temperature: scalars.Temperature | None = None
    talker_top_p: scalars.TopP | None = None
    talker_top_k: scalars.TopK | None = None
    talker_repetition_penalty: scalars.Repetition | None = None
    talker_max_new_tokens: scalars.MaxTokens | None = None
    talker_seed: scalars.Int64 | None = None

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None
    """Extension: record this request's events on every stage."""


class ChatCompletionRequest(AnswerOptions, frozen=True, kw_only=True):
    model: scalars.ModelName
    messages: ChatMessages
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    modalities: Annotated[list[Literal["text", "audio"]], Meta(min_length=1)] | None = None
    audio: AudioParams | None = None
    images: scalars.References | None = None
    audios: scalars.References | None = None
    videos: scalars.References | None = None

    n: scalars.Choices | None = None
    logprobs: bool | None = None
    top_logprobs: scalars.TopLogprobs | None = None
    prediction: Prediction | None = None
    tools: Annotated[list[Tool], Meta(min_length=1, max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Function], Meta(min_length=1, max_length=128)] | None = None
    function_call: Literal["none", "auto"] | FunctionName | None = None
    web_search_options: WebSearch | None = None
    moderation: Moderation | None = None

    store: bool | None = None
    metadata: scalars.Metadata | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    user: str | None = None
    safety_identifier: scalars.SafetyId | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
