"""Chat completions as OpenAI's SDKs type them: the structs that whole answers are encoded from, and that frames, which
are written by hand, are described and tested by."""

from typing import Literal

import msgspec

from omnipipe.families.text_pieces import FinishReason
from omnipipe.gateway.openai.calls import ToolCall, ToolCallDelta
from omnipipe.gateway.openai.logprobs import ChatLogprobs
from omnipipe.gateway.openai.usage import Usage

__all__ = ["AnswerMessage", "AudioAnswer", "ChatChoice", "ChatCompletion", "ChatCompletionChunk", "Delta"]


class AudioAnswer(msgspec.Struct, frozen=True):
    id: str
    data: str
    """Base64 in the format asked for."""
    expires_at: int
    """When it was made: answers are not kept, so no later request can refer to it."""
    transcript: str


class AnswerMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    """Extension: what the model thought before it answered; only of models that do."""
    tool_calls: list[ToolCall] | msgspec.UnsetType = msgspec.UNSET
    audio: AudioAnswer | msgspec.UnsetType = msgspec.UNSET


class ChatChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason
    stop_reason: str | int | msgspec.UnsetType = msgspec.UNSET
    """Extension: the stop string or the id of the stop token that ended it."""


class ChatCompletion(msgspec.Struct, frozen=True):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage | None


class AudioDelta(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    transcript: str | msgspec.UnsetType = msgspec.UNSET
    data: str | msgspec.UnsetType = msgspec.UNSET
    expires_at: int | msgspec.UnsetType = msgspec.UNSET


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    role: Literal["assistant"] | msgspec.UnsetType = msgspec.UNSET
    content: str | msgspec.UnsetType | None = msgspec.UNSET
    refusal: str | msgspec.UnsetType | None = msgspec.UNSET
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCallDelta] | msgspec.UnsetType = msgspec.UNSET
    audio: AudioDelta | msgspec.UnsetType = msgspec.UNSET


class ChunkChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    index: int
    delta: Delta
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason | None
    stop_reason: str | int | msgspec.UnsetType = msgspec.UNSET


class ChatCompletionChunk(msgspec.Struct, frozen=True):
    """One frame of a stream."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET
