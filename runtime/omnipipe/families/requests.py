"""How a client's request becomes what a pipeline is asked.

The gateway parses HTTP into one of the neutral request types below; the family's `Requests` turns it into the entry
stages' value, or refuses what it cannot do, naming the field. Field names in errors are the client's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from omnipipe.wire.value import Value

__all__ = [
    "AudioOptions",
    "Capability",
    "DetokenizeRequest",
    "EmbedRequest",
    "EmbedRequests",
    "Entry",
    "Message",
    "Part",
    "Requests",
    "TextRequest",
    "TokenizeRequest",
    "TokenizeRequests",
    "ToolCall",
]

Capability = Literal["chat", "completion", "embed", "tokenize"]
"""What a family can be asked for. `embed` and `tokenize` have protocols of their own below."""


@dataclass(frozen=True, slots=True)
class Part:
    """One content part of a message."""

    type: Literal["text", "image", "audio", "video"]
    text: str = ""
    url: str = ""
    """Media by reference; the gateway does not fetch."""
    data: bytes = b""
    format: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant made earlier in the conversation."""

    id: str
    name: str
    arguments: str
    """JSON text, as the client sent it back."""


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["developer", "system", "user", "assistant", "tool"]
    parts: tuple[Part, ...]
    """None only where the assistant called tools and said nothing."""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """Of the assistant."""
    tool_call_id: str | None = None
    """Of a tool's message: the call that it answers."""
    reasoning: str | None = None
    """Of the assistant: the `reasoning_content` of its earlier answer, where the client sends it back."""


@dataclass(frozen=True, slots=True)
class AudioOptions:
    voice: str
    format: str


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A chat or a completion, protocol taken off. Only what the client really set is in `options`, under the client's
    own field name (`temperature`, `max_tokens`, `stop`, ...), already type- and range-checked as OpenAI defines it."""

    kind: Literal["chat", "completion"]
    messages: tuple[Message, ...]
    """A completion has one user message, its prompt."""
    outputs: frozenset[str]
    """Modalities asked for."""
    audio: AudioOptions | None = None
    options: dict[str, Value] = field(default_factory=dict)
    tokens: tuple[int, ...] | None = None
    """A completion's prompt as token ids; then there are no messages."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts or token ids to make vectors of, one each."""

    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    """Of the answer's vectors; None: as many as the model gives."""


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """A text, or a chat as the model's template renders it. Nothing is generated."""

    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    """Instead of `prompt`."""
    options: dict[str, Value] = field(default_factory=dict)
    """What the client set of: `add_special_tokens`, `add_generation_prompt`, `return_token_strs`, `tools`,
    `chat_template_kwargs`."""


@dataclass(frozen=True, slots=True)
class DetokenizeRequest:
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the coordinator submits."""

    value: Value
    """Goes to every entry stage of the walk, under the input name `request`."""
    inputs: frozenset[str]
    """Modalities that the request brings: `text`, `image`, ..."""


class Requests(Protocol):
    """A family's translation. Torch-free and quick: it runs on the gateway's event loop."""

    capabilities: frozenset[Capability]
    options: frozenset[str]
    """The fields of `TextRequest.options` that this family honours. The gateway refuses the others by name, with 400,
    unless the value means the default behaviour anyway (`temperature: 1`, `n: 1`, ...). Three say more than that: with
    `n` the gateway submits a request several times, with `tools` messages may hold calls and their results, and with
    `echo` the stages begin a completion with its prompt, which otherwise the gateway does for texts."""
    voices: frozenset[str]
    audio_formats: frozenset[str]
    sample_rate_hz: int
    """Of the audio output; 0 without one."""

    def entry(self, request: TextRequest) -> Entry:
        """Raises RequestError (invalid, unprocessable) naming the field."""

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        """Raises RequestError INVALID, param `stage_params.<stage>.<key>`, for what stages of this type would refuse,
        so that the client hears of it before anything runs. `stage` is the stage's type (`PlanStage.type`)."""


class EmbedRequests(Protocol):
    """Of families with the capability `embed`."""

    def entry_embed(self, request: EmbedRequest) -> Entry:
        """Raises RequestError naming the field (`input`, `dimensions`)."""


class TokenizeRequests(Protocol):
    """Of families with the capability `tokenize`."""

    def entry_tokenize(self, request: TokenizeRequest) -> Entry: ...

    def entry_detokenize(self, request: DetokenizeRequest) -> Entry: ...
