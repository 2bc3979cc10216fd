"""The messages of a chat, from OpenAI's shapes to the families' neutral ones.

Media stays as it came, a URL or base64 decoded; `gateway.media` brings it before the family sees it. What the
model does not take, and what no family can be told yet, is refused here, by its path.
"""

import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal

from msgspec.structs import replace

from omnipipe.errors import RequestError
from omnipipe.families.requests import MediaKind, Message, Part, ToolCall
from omnipipe.gateway.openai.chat_messages import (
    AssistantMessage,
    AudioPart,
    ChatMessage,
    ContentPart,
    CustomToolCall,
    DeveloperMessage,
    FilePart,
    FunctionMessage,
    FunctionToolCall,
    ImagePart,
    InputAudioPart,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    VideoPart,
)
from omnipipe.gateway.openai.history import check_history
from omnipipe.gateway.openai.refusals import invalid, lacking, missing

__all__ = ["neutral_messages", "referred", "with_media"]


_TEXTS: Final[Mapping[type, Literal["user", "system", "developer"]]] = {
    UserMessage: "user",
    SystemMessage: "system",
    DeveloperMessage: "developer",
}
"""The roles whose messages are nearly always one text."""

_URL = re.compile(r"(?:https?|file|data):", re.IGNORECASE)


def neutral_messages(
    messages: Sequence[ChatMessage], *, tools: bool, media: Collection[MediaKind] = ()
) -> tuple[Message, ...]:
    """`tools`: whether the model can be told of calls and their results at all; `media`: the kinds that it takes."""
    found = tuple([_message(message, index, tools, media) for index, message in enumerate(messages)])
    if tools:
        check_history(found)
    return found


def with_media(messages: tuple[Message, ...], parts: Sequence[Part]) -> tuple[Message, ...]:
    """`parts`, which came beside the messages, at the beginning of the last user message."""
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role == "user":
            joined = replace(message, parts=(*parts, *message.parts))
            return (*messages[:index], joined, *messages[index + 1 :])
    raise invalid(f"'{parts[0].path}' needs a message of the role 'user' to go with.", "messages")


def referred(kind: MediaKind, reference: str, path: str) -> Part:
    """Media by URL or as bare base64."""
    if _URL.match(reference):
        return _by_url(kind, reference, path)
    return Part(kind, data=_base64(reference, path, "a URL (https:, http:, file: or data:) or base64"), path=path)


def _message(message: ChatMessage, index: int, tools: bool, media: Collection[MediaKind]) -> Message:
    role = _TEXTS.get(type(message))
    if role is not None and type(message.content) is str:  # most of them, at a third of the cost
        return Message(role, (Part("text", message.content),), message.name)  # type: ignore[union-attr]  # of all three
    path = f"messages[{index}]"
    match message:
        case UserMessage():
            return Message("user", _content(message.content, path, media), message.name)
        case SystemMessage():
            return Message("system", _content(message.content, path), message.name)
        case DeveloperMessage():
            return Message("developer", _content(message.content, path), message.name)
        case AssistantMessage():
            return _assistant(message, path, tools)
        case ToolMessage():
            if not tools:
                raise _without_tools(f"{path}.role", "the results of tools")
            return Message("tool", _content(message.content, path), tool_call_id=message.tool_call_id)
        case FunctionMessage():
            raise lacking(f"{path}.role", "messages of the role 'function'; use the role 'tool'")


def _assistant(message: AssistantMessage, path: str, tools: bool) -> Message:
    if message.tool_calls is not None and not tools:
        raise _without_tools(f"{path}.tool_calls", "calls of tools")
    if message.function_call is not None:
        raise lacking(f"{path}.function_call", "function calls; use 'tool_calls'")
    if message.audio is not None:
        raise invalid(
            "Earlier audio answers are not kept. Send the transcript as the message's 'content' instead.",
            f"{path}.audio",
            "unsupported_parameter",
        )
    parts = () if message.content is None else _content(message.content, path)
    if message.refusal is not None:
        parts = (*parts, Part("text", text=message.refusal))
    if not parts and not message.tool_calls:
        raise missing(f"{path}.content", "unless there are 'tool_calls'")
    calls = [_call(call, f"{path}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or ())]
    return Message("assistant", parts, message.name, tuple(calls), reasoning=message.reasoning_content)


def _call(call: FunctionToolCall | CustomToolCall, path: str) -> ToolCall:
    if isinstance(call, CustomToolCall):
        raise lacking(f"{path}.type", "custom tools; use a tool of type 'function'")
    return ToolCall(call.id, call.function.name, call.function.arguments)


def _content(
    content: "str | Sequence[ContentPart | RefusalPart]", path: str, media: Collection[MediaKind] = ()
) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Part("text", text=content),)
    return tuple(_part(part, f"{path}.content[{index}]", media) for index, part in enumerate(content))


def _part(part: ContentPart | RefusalPart, path: str, media: Collection[MediaKind]) -> Part:
    if not isinstance(part, RefusalPart | VideoPart | AudioPart) and part.prompt_cache_breakpoint is not None:
        raise lacking(f"{path}.prompt_cache_breakpoint", "explicit prompt cache breakpoints")
    match part:
        case TextPart():
            return Part("text", text=part.text)
        case RefusalPart():
            return Part("text", text=part.refusal)
        case ImagePart():
            _check_taken("image", media, path)
            if part.image_url.detail not in (None, "auto"):
                raise lacking(f"{path}.image_url.detail", "a choice of image detail; leave it out or set it to 'auto'")
            return _by_url("image", part.image_url.url, f"{path}.image_url.url")
        case VideoPart():
            _check_taken("video", media, path)
            return _by_url("video", part.video_url.url, f"{path}.video_url.url")
        case AudioPart():
            _check_taken("audio", media, path)
            return _by_url("audio", part.audio_url.url, f"{path}.audio_url.url")
        case InputAudioPart():
            _check_taken("audio", media, path)
            where = f"{path}.input_audio.data"
            data = _base64(part.input_audio.data, where)
            return Part("audio", data=data, format=part.input_audio.format, path=where)
        case FilePart():
            raise lacking(path, "file parts")


def _check_taken(kind: MediaKind, media: Collection[MediaKind], path: str) -> None:
    if kind not in media:
        takes = " and ".join(sorted(media)) or "text alone"
        raise invalid(
            f"'{path}' is not supported: this model takes {takes}, not {kind}.", path, "unsupported_parameter"
        )


def _by_url(kind: MediaKind, url: str, path: str) -> Part:
    if not _URL.match(url):
        raise invalid(f"'{path}' must be an https:, http:, file: or data: URL.", path)
    return Part(kind, url=url, path=path)


def _base64(text: str, path: str, wanted: str = "valid base64") -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid(f"'{path}' is not {wanted}.", path) from error


def _without_tools(path: str, what: str) -> RequestError:
    message = f"'{path}' is not supported: this model cannot be told of {what}."
    return invalid(message, path, "unsupported_parameter")
