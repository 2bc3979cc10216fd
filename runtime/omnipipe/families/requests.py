"""How a client's request becomes what a pipeline is asked.

The gateway parses HTTP into one of the neutral request types below; the family's `Requests` turns it into the entry
stages' value, or refuses what it cannot do, naming the field. Field names in errors are the client's own.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from omnipipe.wire.value import Value

__all__ = [
    "AudioOptions",
    "Capability",
    "DetokenizeRequest",
    "EmbedRequest",
    "EmbedRequests",
    "Entry",
    "MediaKind",
    "Message",
    "Part",
    "Requests",
    "SpeechRequest",
    "SpeechRequests",
    "TextRequest",
    "TokenizeRequest",
    "TokenizeRequests",
    "ToolCall",
]

Capability = Literal["chat", "completion", "embed", "speech", "tokenize"]
"""What a family can be asked for. `embed`, `speech` and `tokenize` have protocols of their own below."""

MediaKind = Literal["image", "audio", "video"]


class _Neutral(msgspec.Struct, frozen=True, gc=False):
    """The common options of these types. Made for every request: a frozen dataclass takes ten times as long to make.
    What they hold is plain data, so that there is no cycle for a collector to find. A changed copy:
    `msgspec.structs.replace`."""


class Part(_Neutral, frozen=True):
    """One content part of a message."""

    type: Literal["text", "image", "audio", "video"]
    text: str = ""
    url: str = ""
    """Media by reference. Families never see one: the gateway has fetched it before, or refused it."""
    data: bytes = b""
    """Media, encoded as the client sent it; nothing has looked inside it yet."""
    format: str = ""
    """What the client says that `data` is (`wav`, `png`, ...), which need not be true; empty: it did not say."""
    path: str = ""
    """What the client calls this part, for errors: `messages[0].content[1].image_url.url`. Of media only."""


class ToolCall(_Neutral, frozen=True):
    """A call that the assistant made earlier in the conversation."""

    id: str
    name: str
    arguments: str
    """JSON text, as the client sent it back."""


class Message(_Neutral, frozen=True):
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


class AudioOptions(_Neutral, frozen=True):
    voice: str
    format: str


class TextRequest(_Neutral, frozen=True):
    """A chat or a completion, protocol taken off. Only what the client really set is in `options`, under the client's
    own field name (`temperature`, `max_tokens`, `stop`, ...), already type- and range-checked as OpenAI defines it."""

    kind: Literal["chat", "completion"]
    messages: tuple[Message, ...]
    """A completion has one user message, its prompt."""
    outputs: frozenset[str]
    """Modalities asked for."""
    audio: AudioOptions | None = None
    """None with `audio` among `outputs`: in the family's own voice."""
    options: dict[str, Value] = msgspec.field(default_factory=dict)
    """Beside OpenAI's fields the extensions: those of single stages (`thinker_temperature`, `talker_top_k`, ...,
    `stage_sampling`: a stage's name -> its sampling fields) and those of media (`video_fps`, `max_pixels`, ...)."""
    tokens: tuple[int, ...] | None = None
    """A completion's prompt as token ids; then there are no messages."""
    media_limits: dict[str, float] = msgspec.field(default_factory=dict)
    """What media may be at most, by the names of `media.limits.MediaLimits`, where the manifest says other than that
    does: for the stage that decodes it."""


class EmbedRequest(_Neutral, frozen=True):
    """Texts or token ids to make vectors of, one each."""

    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    """Of the answer's vectors; None: as many as the model gives."""


class SpeechRequest(_Neutral, frozen=True):
    """A text to be spoken as it stands. A long one comes in several requests, cut between sentences."""

    input: str
    """Never blank."""
    voice: str | None
    """One of the family's voices; None: its own choice."""
    options: dict[str, Value] = msgspec.field(default_factory=dict)
    """What the client set of `SpeechRequests.speech_options`, under its own field name, checked as a chat's are."""


class TokenizeRequest(_Neutral, frozen=True):
    """A text, or a chat as the model's template renders it. Nothing is generated."""

    prompt: str | None = None
    messages: tuple[Message, ...] = ()
    """Instead of `prompt`."""
    options: dict[str, Value] = msgspec.field(default_factory=dict)
    """What the client set of: `add_special_tokens`, `add_generation_prompt`, `return_token_strs`, `tools`,
    `chat_template_kwargs`."""


class DetokenizeRequest(_Neutral, frozen=True):
    tokens: tuple[int, ...]


class Entry(_Neutral, frozen=True):
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
    media: frozenset[MediaKind]
    """The kinds of media that messages may hold. The gateway refuses the others by their part's path."""
    voices: frozenset[str]
    audio_formats: frozenset[str]
    """Those of the audio output that clients may ask for (`wav`, `pcm16`, `mp3`, `flac`, `opus`, `aac`), as far as the
    gateway can make them."""
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


class SpeechRequests(Protocol):
    """Of families with the capability `speech`. Voices, formats and sample rate are those of `Requests`."""

    speech_options: frozenset[str]
    """The fields of /v1/audio/speech that this family honours, of: `instructions`, `language`, `temperature`, `top_p`,
    `top_k`, `repetition_penalty`, `seed`, `max_new_tokens`. The gateway refuses the others by name."""
    speech_chars: int
    """How many characters are spoken well in one go; the gateway cuts longer texts between sentences."""

    def entry_speech(self, request: SpeechRequest) -> Entry:
        """Raises RequestError naming the field (`input`, `voice`, `instructions`, ...)."""


class TokenizeRequests(Protocol):
    """Of families with the capability `tokenize`."""

    def entry_tokenize(self, request: TokenizeRequest) -> Entry: ...

    def entry_detokenize(self, request: DetokenizeRequest) -> Entry: ...
