"""Legacy completions as OpenAI's SDKs read them: whole, or as frames of an event stream; both have the same shape."""

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import msgspec

from omnipipe.families.text_pieces import FinishReason, LogprobPiece, TextPiece
from omnipipe.gateway.openai.answer import DONE, TextWriter, encode
from omnipipe.gateway.openai.logprobs import LegacyLogprobs, LegacyWriter, mean_logprob
from omnipipe.gateway.openai.usage import Usage, total

__all__ = ["Completion", "CompletionAnswer", "CompletionChunk", "CompletionWriter"]


class CompletionChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    text: str
    index: int
    logprobs: LegacyLogprobs | None
    finish_reason: FinishReason
    stop_reason: str | int | msgspec.UnsetType = msgspec.UNSET
    """Extension: the stop string or the id of the stop token that ended it."""


class Completion(msgspec.Struct, frozen=True):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None


class CompletionChunkChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    text: str
    index: int
    logprobs: LegacyLogprobs | None
    finish_reason: FinishReason | None
    stop_reason: str | int | msgspec.UnsetType = msgspec.UNSET


class CompletionChunk(msgspec.Struct, frozen=True):
    """One frame of a stream. Frames are written by hand below; this is their shape for readers and tests."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChunkChoice]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET


class CompletionAnswer:
    heavy = False

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        echoes: Sequence[str],
        choices_per_prompt: int = 1,
        best: int | None = None,
        include_usage: bool = False,
        logprobs: bool = False,
    ) -> None:
        """`echoes`: what each choice begins with, its prompt when that is to be echoed. `best`: of so many choices of
        each prompt the answer consists; the likeliest, when more were made. `logprobs`: whether they are shown."""
        self.logprobs = logprobs
        self._best = choices_per_prompt if best is None else best
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

    def tail(self, index: int, logprobs: bytes = b"null", finish_reason: bytes = b"null") -> bytes:
        """A frame after its text. `finish_reason` may have more fields of the choice behind it."""
        return b',"index":%d,"logprobs":%b,"finish_reason":%b}]%b}\n\n' % (
            index, logprobs, finish_reason, self._usage_field,
        )  # fmt: skip

    def writer(self, index: int) -> "CompletionWriter":
        return CompletionWriter(self, index, self._echoes[index])

    def ending(self, choices: Sequence["CompletionWriter"]) -> bytes:
        if not self._include_usage:
            return DONE
        return b'%b],"usage":%b}\n\n%b' % (self._start, encode(self._total(choices)), DONE)

    async def settle(self, choices: Sequence["CompletionWriter"]) -> None:
        """Text is no work."""

    def whole(self, choices: Sequence["CompletionWriter"]) -> bytes:
        parts = [choice.choice(index) for index, choice in enumerate(self._chosen(choices))]
        usage = self._total(choices)
        return encode(Completion(self._id, "text_completion", self._created, self._model, parts, usage))

    def _chosen(self, choices: Sequence["CompletionWriter"]) -> Sequence["CompletionWriter"]:
        made = self._choices_per_prompt
        if self._best == made:
            return choices
        groups = [choices[first : first + made] for first in range(0, len(choices), made)]
        return [one for group in groups for one in sorted(group, key=_unlikelihood)[: self._best]]

    def _total(self, choices: Sequence["CompletionWriter"]) -> Usage | None:
        return total([choice.tally.usage for choice in choices], self._choices_per_prompt)


class CompletionWriter(TextWriter):
    __slots__ = ("_answer", "_echo", "_index", "_legacy", "_likely")

    def __init__(self, answer: CompletionAnswer, index: int, echo: str) -> None:
        super().__init__()
        self._legacy = LegacyWriter(len(echo))
        self._echo = echo
        self._answer = answer
        self._index = index
        self._likely: list[LogprobPiece] = []

    def opening(self) -> bytes:
        self._before = self._answer.head()
        self._after = self._answer.tail(self._index)
        return self._before + encode(self._echo) + self._after if self._echo else b""

    def closing(self) -> bytes:
        reason = encode(self.tally.finish_reason)
        if self.tally.stop_reason is not None:
            reason += b',"stop_reason":' + encode(self.tally.stop_reason)
        return self._answer.head() + b'""' + self._answer.tail(self._index, finish_reason=reason)

    def rich_frames(self, piece: TextPiece) -> bytes:
        _check_is_completion(piece)
        content, logprobs = piece.get("content", ""), b"null"
        if self._answer.logprobs and (likely := piece.get("logprobs")):
            logprobs = encode(self._legacy.shape(likely))
        elif not content:
            return b""
        return b"".join((self._before, encode(content), self._answer.tail(self._index, logprobs)))

    def keep_rich(self, piece: TextPiece) -> None:
        _check_is_completion(piece)
        if content := piece.get("content"):
            self._kept.append(content)
        self._likely += piece.get("logprobs", ())

    def choice(self, index: int) -> CompletionChoice:
        stop = self.tally.stop_reason
        return CompletionChoice(
            self._echo + self.text(),
            index,
            self._legacy.shape(self._likely) if self._answer.logprobs else None,
            self.tally.finish_reason,
            msgspec.UNSET if stop is None else stop,
        )

    def mean_logprob(self) -> float:
        return mean_logprob(self._likely)


def _unlikelihood(choice: CompletionWriter) -> float:
    return -choice.mean_logprob()


def _check_is_completion(piece: TextPiece) -> None:
    """A completion is text and nothing but: what else a stage gives would be lost."""
    for name in ("reasoning", "refusal", "tool_calls"):
        if piece.get(name):
            raise TypeError(f"a completion gave {name}")
