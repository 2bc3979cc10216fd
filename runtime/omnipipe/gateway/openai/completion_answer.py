"""Legacy completions as OpenAI's SDKs read them: whole, or as frames of an event stream; both have the same shape."""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import msgspec

from omnipipe.gateway.openai.answer import DONE, FinishReason, TextWriter, encode
from omnipipe.gateway.openai.usage import Usage, total

__all__ = ["Completion", "CompletionAnswer", "CompletionChunk", "CompletionWriter"]


class CompletionChoice(msgspec.Struct, frozen=True):
    text: str
    index: int
    logprobs: None
    finish_reason: FinishReason


class Completion(msgspec.Struct, frozen=True):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None


class CompletionChunkChoice(msgspec.Struct, frozen=True):
    text: str
    index: int
    logprobs: None
    finish_reason: FinishReason | None


class CompletionChunk(msgspec.Struct, frozen=True):
    """One frame of a stream. Frames are written by hand below; this is their shape for readers and tests."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChunkChoice]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET


class CompletionAnswer:
    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        echoes: Sequence[str],
        choices_per_prompt: int = 1,
        include_usage: bool = False,
    ) -> None:
        """`echoes`: what each choice begins with, its prompt when that is to be echoed."""
        self._id = id
        self._created = created
        self._model = model
        self._echoes = echoes
        self._choices_per_prompt = choices_per_prompt
        self._usage_field = b',"usage":null' if include_usage else b""
        self._include_usage = include_usage

    @cached_property
    def _start(self) -> bytes:
        """A frame up to its choices."""
        return b'data: {"id":%b,"object":"text_completion","created":%d,"model":%b,"choices":[' % (
            encode(self._id), self._created, encode(self._model),
        )  # fmt: skip

    def head(self) -> bytes:
        """A frame up to its text."""
        return self._start + b'{"text":'

    def tail(self, index: int, finish_reason: bytes = b"null") -> bytes:
        """A frame after its text."""
        return b',"index":%d,"logprobs":null,"finish_reason":%b}]%b}\n\n' % (index, finish_reason, self._usage_field)

    def writer(self, index: int) -> "CompletionWriter":
        return CompletionWriter(self, index, self._echoes[index])

    def ending(self, choices: Sequence["CompletionWriter"]) -> bytes:
        if not self._include_usage:
            return DONE
        return b'%b],"usage":%b}\n\n%b' % (self._start, encode(self._total(choices)), DONE)

    def whole(self, choices: Sequence["CompletionWriter"]) -> bytes:
        parts = [
            CompletionChoice(choice.echo + choice.text(), index, None, choice.tally.finish_reason)
            for index, choice in enumerate(choices)
        ]
        usage = self._total(choices)
        return encode(Completion(self._id, "text_completion", self._created, self._model, parts, usage))

    def _total(self, choices: Sequence["CompletionWriter"]) -> Usage | None:
        return total([choice.tally.usage for choice in choices], self._choices_per_prompt)


class CompletionWriter(TextWriter):
    def __init__(self, answer: CompletionAnswer, index: int, echo: str) -> None:
        super().__init__()
        self.echo = echo
        self._answer = answer
        self._index = index

    def opening(self) -> bytes:
        self._before = self._answer.head()
        self._after = self._answer.tail(self._index)
        return self._before + encode(self.echo) + self._after if self.echo else b""

    def closing(self) -> bytes:
        return self._answer.head() + b'""' + self._answer.tail(self._index, encode(self.tally.finish_reason))
