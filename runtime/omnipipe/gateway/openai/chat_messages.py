"""The messages of a chat completion request, as OpenAI defines them, parts included."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from omnipipe.gateway.openai import scalars

__all__ = [
    "AssistantMessage",
    "AudioPart",
    "ChatMessage",
    "ChatMessages",
    "ContentPart",
    "CustomToolCall",
    "DeveloperMessage",
    "FilePart",
    "FunctionMessage",
    "FunctionToolCall",
    "ImagePart",
    "InputAudioPart",
    "RefusalPart",
    "SystemMessage",
    "TextPart",
    "ToolMessage",
    "UserMessage",
    "VideoPart",
]


class CacheBreakpoint(scalars.Body, frozen=True):
    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class TextPart(scalars.Body, frozen=True, tag_field="type", tag="text"):
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(scalars.Body, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


class ImageURL(scalars.Body, frozen=True):
    url: str
    """`https:`, `http:` or `data:`; `file:` below the folders that the server's operator allows."""
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(scalars.Body, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageURL
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputAudio(scalars.Body, frozen=True):
    data: str
    """Base64."""
    format: Literal["wav", "mp3"]


class InputAudioPart(scalars.Body, frozen=True, tag_field="type", tag="input_audio"):
    input_audio: InputAudio
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class MediaURL(scalars.Body, frozen=True):
    url: str
    """`https:`, `http:` or `data:`; `file:` below the folders that the server's operator allows."""


class VideoPart(scalars.Body, frozen=True, tag_field="type", tag="video_url"):
    """Not OpenAI's; the shape that other servers of omni models settled on."""

    video_url: MediaURL


class AudioPart(scalars.Body, frozen=True, tag_field="type", tag="audio_url"):
    """Not OpenAI's either: audio by reference, as M* has it."""

    audio_url: MediaURL


class FileRef(scalars.Body, frozen=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(scalars.Body, frozen=True, tag_field="type", tag="file"):
    file: FileRef
    prompt_cache_breakpoint: CacheBreakpoint | None = None


ContentPart = TextPart | ImagePart | InputAudioPart | VideoPart | AudioPart | FilePart
_SOME = Meta(min_length=1, max_length=scalars.MAX_ITEMS)
_TextParts = Annotated[list[TextPart], _SOME]
_UserParts = Annotated[list[ContentPart], _SOME]
_AssistantParts = Annotated[list[TextPart | RefusalPart], _SOME]


class DeveloperMessage(scalars.Body, frozen=True, tag_field="role", tag="developer"):
    content: str | _TextParts
    name: str | None = None


class SystemMessage(scalars.Body, frozen=True, tag_field="role", tag="system"):
    content: str | _TextParts
    name: str | None = None


class UserMessage(scalars.Body, frozen=True, tag_field="role", tag="user"):
    content: str | _UserParts
    name: str | None = None


class AudioRef(scalars.Body, frozen=True):
    id: str


class FunctionCall(scalars.Body, frozen=True):
    name: scalars.Name
    arguments: str
    parsed_arguments: Any = None
    """What the SDKs' helpers made of `arguments`, sent back by clients that send a whole answer back."""


class FunctionToolCall(scalars.Body, frozen=True, tag_field="type", tag="function"):
    id: Annotated[str, Meta(min_length=1, max_length=256)]
    function: FunctionCall
    index: int | None = None
    """Of a streamed call; the SDKs leave it in what they add up, which clients send back."""


class CustomCall(scalars.Body, frozen=True):
    name: str
    input: str


class CustomToolCall(scalars.Body, frozen=True, tag_field="type", tag="custom"):
    id: str
    custom: CustomCall


class AssistantMessage(scalars.Body, frozen=True, tag_field="role", tag="assistant"):
    content: str | _AssistantParts | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    """Extension: of an earlier answer, for models whose template wants it back."""
    audio: AudioRef | None = None
    tool_calls: Annotated[list[FunctionToolCall | CustomToolCall], Meta(min_length=1, max_length=128)] | None = None
    function_call: FunctionCall | None = None
    annotations: Annotated[list[Any], Meta(max_length=0)] | None = None
    """Of web searches, which there are none of here; clients that send a whole answer back send it empty."""
    parsed: Any = None
    """What the SDKs' helpers made of `content`."""


class ToolMessage(scalars.Body, frozen=True, tag_field="role", tag="tool"):
    content: str | _TextParts
    tool_call_id: Annotated[str, Meta(max_length=256)]


class FunctionMessage(scalars.Body, frozen=True, tag_field="role", tag="function"):
    content: str | None
    name: scalars.Name


ChatMessage = DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage
ChatMessages = Annotated[list[ChatMessage], _SOME]
