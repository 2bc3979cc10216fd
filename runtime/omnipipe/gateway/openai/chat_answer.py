"""Chat completions as OpenAI's SDKs read them: whole, or as frames of an event stream."""

from collections.abc import Sequence
from functools import cached_property

import msgspec

from omnipipe.families.text_pieces import TextPiece
from omnipipe.gateway.openai.answer import DONE, TextWriter, encode
from omnipipe.gateway.openai.calls import Calls
from omnipipe.gateway.openai.chat_shapes import AnswerMessage, ChatChoice, ChatCompletion, Delta
from omnipipe.gateway.openai.logprobs import ChatLogprobs, TokenLogprob, token_logprobs
from omnipipe.gateway.openai.usage import Usage, total

__all__ = ["ChatAnswer", "ChatWriter"]


class ChatAnswer:
    heavy = False

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        choices_per_prompt: int = 1,
        include_usage: bool = False,
        logprobs: bool = False,
    ) -> None:
        self.created = created
        self.logprobs = logprobs
        """Whether they were asked for."""
        self._id = id
        self._model = model
        self._choices_per_prompt = choices_per_prompt
        self._usage_field = b',"usage":null' if include_usage else b""
        self._include_usage = include_usage

    @cached_property
    def _start(self) -> bytes:
        """A frame up to its choices."""
        return b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            encode(self._id), self.created, encode(self._model),
        )  # fmt: skip

    def head(self, index: int) -> bytes:
        """A frame up to its delta."""
        return b'%b{"index":%d,"delta":' % (self._start, index)

    def tail(self, logprobs: bytes = b"null", finish_reason: bytes = b"null") -> bytes:
        """A frame after its delta. `finish_reason` may have more fields of the choice behind it."""
        return b',"logprobs":%b,"finish_reason":%b}]%b}\n\n' % (logprobs, finish_reason, self._usage_field)

    def writer(self, index: int) -> "ChatWriter":
        return ChatWriter(self, index)

    def ending(self, choices: Sequence["ChatWriter"]) -> bytes:
        if not self._include_usage:
            return DONE
        return b'%b],"usage":%b}\n\n%b' % (self._start, encode(self._total(choices)), DONE)

    async def settle(self, choices: Sequence["ChatWriter"]) -> None:
        """Text is no work."""

    def whole(self, choices: Sequence["ChatWriter"]) -> bytes:
        parts = [choice.choice(index) for index, choice in enumerate(choices)]
        usage = self._total(choices)
        return encode(ChatCompletion(self._id, "chat.completion", self.created, self._model, parts, usage))

    def _total(self, choices: Sequence["ChatWriter"]) -> Usage | None:
        return total([choice.tally.usage for choice in choices], self._choices_per_prompt)


class ChatWriter(TextWriter):
    """Text alone."""

    __slots__ = ("_answer", "_calls", "_close", "_index", "_logprobs", "_reasoning", "_refusal")

    def __init__(self, answer: ChatAnswer, index: int) -> None:
        super().__init__()
        self._answer = answer
        self._index = index
        self._close = b"}"
        """What ends a delta of content."""
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: Calls | None = None
        self._logprobs: list[TokenLogprob] = []

    def opening(self) -> bytes:
        self._before = self._answer.head(self._index) + b'{"content":'
        self._after = self._close + self._answer.tail()
        return self._frame(b'{"role":"assistant","content":"","refusal":null}')

    def closing(self) -> bytes:
        reason = encode(self.tally.finish_reason)
        if self.tally.stop_reason is not None:
            reason += b',"stop_reason":' + encode(self.tally.stop_reason)
        return self._answer.head(self._index) + b"{}" + self._answer.tail(finish_reason=reason)

    def rich_frames(self, piece: TextPiece) -> bytes:
        """A frame for each kind of delta: clients tell them apart by which field is there."""
        parts: list[bytes] = []
        if reasoning := piece.get("reasoning"):
            parts.append(self._frame(b'{"reasoning_content":%b}' % encode(reasoning)))
        content, logprobs = piece.get("content"), b"null"
        if self._answer.logprobs and (likely := piece.get("logprobs")):
            logprobs = encode(ChatLogprobs(token_logprobs(likely)))
        if content:
            parts += (self._before, encode(content), self._close, self._answer.tail(logprobs))
        elif logprobs != b"null":
            parts += (self._answer.head(self._index), b"{}", self._answer.tail(logprobs))
        if refusal := piece.get("refusal"):
            parts.append(self._frame(b'{"refusal":%b}' % encode(refusal)))
        for call in piece.get("tool_calls", ()):  # a frame each: the SDKs add up wrongly when one has a call twice
            parts.append(self._frame(encode(Delta(tool_calls=[self._known_calls().add(call)]))))
        return b"".join(parts)

    def keep_rich(self, piece: TextPiece) -> None:
        if content := piece.get("content"):
            self._kept.append(content)
        if reasoning := piece.get("reasoning"):
            self._reasoning.append(reasoning)
        if refusal := piece.get("refusal"):
            self._refusal.append(refusal)
        for call in piece.get("tool_calls", ()):
            self._known_calls().add(call)
        if self._answer.logprobs:
            self._logprobs += token_logprobs(piece.get("logprobs", ()))

    def choice(self, index: int) -> ChatChoice:
        stop = self.tally.stop_reason
        return ChatChoice(
            index,
            self.message(),
            ChatLogprobs(self._logprobs) if self._answer.logprobs else None,
            self.tally.finish_reason,
            msgspec.UNSET if stop is None else stop,
        )

    def message(self) -> AnswerMessage:
        text, calls = self.text(), [] if self._calls is None else list(self._calls.all())
        silent = not text and (calls or self._refusal)
        return AnswerMessage(
            "assistant",
            None if silent else text,
            "".join(self._refusal) if self._refusal else None,
            "".join(self._reasoning) if self._reasoning else msgspec.UNSET,
            calls or msgspec.UNSET,
        )

    def _known_calls(self) -> Calls:
        if self._calls is None:
            self._calls = Calls()
        return self._calls

    def _frame(self, delta: bytes) -> bytes:
        return self._answer.head(self._index) + delta + self._answer.tail()
