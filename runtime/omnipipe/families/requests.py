"""How a client's request becomes what a pipeline is asked.

The gateway parses HTTP into one of the neutral request types below; the family's `Requests` turns it into the entry
stages' value, or refuses what it cannot do, naming the field. Field names in errors are the client's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from omnipipe.wire.value import Value

__all__ = ["AudioOptions", "Entry", "Message", "Part", "Requests", "TextRequest"]


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
class Message:
    role: Literal["developer", "system", "user", "assistant", "tool"]
    parts: tuple[Part, ...]
    name: str | None = None


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


@dataclass(frozen=True, slots=True)
class Entry:
    """What the coordinator submits."""

    value: Value
    """Goes to every entry stage of the walk, under the input name `request`."""
    inputs: frozenset[str]
    """Modalities that the request brings: `text`, `image`, ..."""


class Requests(Protocol):
    """A family's translation. Torch-free and quick: it runs on the gateway's event loop."""

    options: frozenset[str]
    """The fields of `TextRequest.options` that this family honours. The gateway refuses the others by name, with 400,
    unless the value means the default behaviour anyway (`temperature: 1`, `n: 1`, ...)."""
    voices: frozenset[str]
    audio_formats: frozenset[str]
    sample_rate_hz: int
    """Of the audio output; 0 without one."""

    def entry(self, request: TextRequest) -> Entry:
        """Raises RequestError (invalid, unprocessable) naming the field."""

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        """Raises RequestError INVALID, param `stage_params.<stage>.<key>`, for what stages of this type would refuse,
        so that the client hears of it before anything runs. `stage` is the stage's type (`PlanStage.type`)."""
