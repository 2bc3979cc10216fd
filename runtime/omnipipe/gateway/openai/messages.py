"""The messages of a chat, from OpenAI's shapes to the families' neutral ones.

Media that is in the request is decoded here; media elsewhere stays a URL: the gateway fetches nothing. Whether a model
takes a kind of part is the family's to say; what no family can be told yet is refused here, by its path.
"""

import binascii
import re
from collections.abc import Sequence
from typing import Literal

from omnipipe.errors import RequestError
from omnipipe.families.requests import Message, Part, ToolCall
from omnipipe.gateway.openai.chat_messages import (
    AssistantMessage,
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

__all__ = ["neutral_messages"]

_DATA_URL = re.compile(r"data:(?P<kind>[a-z]+)/(?P<format>[A-Za-z0-9.+-]{1,64})(?:;[^,;]{1,64})*;base64,")


def neutral_messages(messages: Sequence[ChatMessage], *, tools: bool) -> tuple[Message, ...]:
    """`tools`: whether the model can be told of calls and their results at all."""
    found = tuple([_message(message, index, tools) for index, message in enumerate(messages)])
    if tools:
        check_history(found)
    return found


def _message(message: ChatMessage, index: int, tools: bool) -> Message:
    if type(message) is UserMessage and type(message.content) is str:  # most of them, at a third of the cost
        return Message("user", (Part("text", message.content),), message.name)
    path = f"messages[{index}]"
    match message:
        case UserMessage():
            return Message("user", _content(message.content, path), message.name)
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


def _content(content: "str | Sequence[ContentPart | RefusalPart]", path: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Part("text", text=content),)
    return tuple(_part(part, f"{path}.content[{index}]") for index, part in enumerate(content))


def _part(part: ContentPart | RefusalPart, path: str) -> Part:
    if not isinstance(part, RefusalPart | VideoPart) and part.prompt_cache_breakpoint is not None:
        raise lacking(f"{path}.prompt_cache_breakpoint", "explicit prompt cache breakpoints")
    match part:
        case TextPart():
            return Part("text", text=part.text)
        case RefusalPart():
            return Part("text", text=part.refusal)
        case ImagePart():
            if part.image_url.detail not in (None, "auto"):
                raise lacking(f"{path}.image_url.detail", "a choice of image detail; leave it out or set it to 'auto'")
            return _media("image", part.image_url.url, f"{path}.image_url.url")
        case VideoPart():
            return _media("video", part.video_url.url, f"{path}.video_url.url")
        case InputAudioPart():
            data = _base64(part.input_audio.data, f"{path}.input_audio.data")
            return Part("audio", data=data, format=part.input_audio.format)
        case FilePart():
            raise lacking(path, "file parts")


def _media(kind: Literal["image", "video"], url: str, path: str) -> Part:
    if url.startswith(("https://", "http://")):
        return Part(kind, url=url)
    found = _DATA_URL.match(url)
    if found is None:
        raise invalid(f"'{path}' must be an https:, http: or base64 data: URL.", path)
    if found["kind"] != kind:
        raise invalid(f"'{path}' holds {found['kind']}/{found['format']}, which is no {kind}.", path)
    return Part(kind, data=_base64(url[found.end() :], path), format=found["format"].lower())


def _base64(text: str, path: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid(f"'{path}' is not valid base64.", path) from error


def _without_tools(path: str, what: str) -> RequestError:
    message = f"'{path}' is not supported: this model cannot be told of {what}."
    return invalid(message, path, "unsupported_parameter")
