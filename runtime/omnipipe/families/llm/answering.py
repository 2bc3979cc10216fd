"""One answer: tokens in, pieces out.

tokens ─► TextStream (whole characters, stop strings) ─► Speech (reasoning, content, calls) ─► pieces
"""

from collections.abc import Sequence

from omnipipe.engines.autoregressive.program import End, Finish, Progress, TokenLogprobs, Turn
from omnipipe.engines.autoregressive.text import TextStream
from omnipipe.engines.program import Emit
from omnipipe.families.llm.model import Model
from omnipipe.families.llm.questions import Question
from omnipipe.families.llm.reasoning import Reasoning, Thinking
from omnipipe.families.llm.speech import Speech
from omnipipe.families.text_pieces import TEXT_OUTPUT, FinishReason, TextPiece, TextUsage
from omnipipe.wire.value import Value

__all__ = ["Answer"]

_CALLED = "tool_calls"


class Answer:
    def __init__(self, model: Model, question: Question) -> None:
        self._model = model
        self._question = question
        dialect = question.dialect
        plain = dialect is None and question.thinking is Thinking.NEVER
        decode = model.vocabulary.decode if plain else model.vocabulary.decode_marked
        self._stream = TextStream(decode, question.stops)
        self._speech: Speech | None = None
        """None: all of it is content."""
        if not plain:
            parser = dialect.parser(question.tools) if dialect is not None else None
            call_id = dialect.call_id if dialect is not None else _no_call
            self._speech = Speech(Reasoning(question.thinking), parser, call_id)
        self._withheld = self._apart = False
        self._generated = 0
        self._reasoned = 0
        self._logprobs: list[TokenLogprobs] = []
        """Of tokens whose text is not out yet."""
        self._echo = question.echo
        self._scored = question.scored

    @property
    def holding(self) -> bool:
        """Text of the newest tokens is held back: it may be the beginning of a stop string, or of a call."""
        return self._stream.holding or self._withheld

    @property
    def apart(self) -> bool:
        """The newest tokens, with those that were held back before them, are no content: they are reasoning, or a call.
        At the end: of those that were still held back."""
        return self._apart

    def advance(self, progress: Progress) -> Turn:
        if progress.prompt_logprobs:
            return Turn([Emit(TEXT_OUTPUT, self._value({}, prompt=progress.prompt_logprobs))])
        self._generated += len(progress.tokens)
        self._logprobs += progress.logprobs
        text = self._stream.push(
            progress.tokens, may_stop=self._generated >= self._question.generation.min_tokens
        )  # fmt: skip
        if self._speech is None and not self._logprobs:  # nearly always
            emits = [Emit(TEXT_OUTPUT, self._opening() + text)] if text or self._echo else []
        else:
            emits = self._emits(self._told(text, len(progress.tokens)))
        if self._stream.stopped is not None:
            return Turn(emits, finish=Finish.STOP)
        if self._question.one_call and self._speech is not None and self._speech.calls:
            return Turn(emits, finish=_CALLED)
        return Turn(emits)

    def finish(self, end: End) -> Sequence[Emit]:
        text = self._stream.flush()
        if self._scored is not None and end.stop_logprobs is not None:
            self._logprobs.append(end.stop_logprobs)  # so that there is one for each token that is counted
        if self._speech is None:
            piece: TextPiece = {"content": text} if text else {}
        else:
            piece = self._only(_joined(self._speech.push(text), self._speech.finish()))
            self._apart = "content" not in piece
            if self._apart:
                self._logprobs.clear()
        value = self._value(piece, last=True)
        return [Emit(TEXT_OUTPUT, value, last=True, meta=self._meta(end))]

    def _told(self, text: str, tokens: int) -> TextPiece:
        if self._speech is None:
            return {"content": text} if text else {}
        speech = self._speech
        reasoned, apart = speech.reasoning, speech.apart
        piece = self._only(speech.push(text)) if text else {}
        if reasoned or speech.reasoning:
            self._reasoned += tokens
        self._withheld = "content" not in piece
        self._apart = self._withheld and (apart or speech.apart or "tool_calls" in piece)
        if self._apart:
            self._logprobs.clear()  # they are of the content alone
        return piece

    def _only(self, piece: TextPiece) -> TextPiece:
        """Of a forced call there is nothing but the call: what was cut before its name is no content."""
        if self._question.forced:
            piece.pop("content", None)
        return piece

    def _emits(self, piece: TextPiece) -> list[Emit]:
        if not piece and not self._echo:
            return []
        return [Emit(TEXT_OUTPUT, self._value(piece))]

    def _value(self, piece: TextPiece, *, last: bool = False, prompt: Sequence[TokenLogprobs] = ()) -> Value:
        """A str where there is content alone."""
        opening = self._opening()
        if opening:
            piece["content"] = opening + piece.get("content", "")
        likely = [] if self._scored is None else self._scored.pieces(prompt)
        if self._logprobs and ("content" in piece or last):
            likely += self._model.vocabulary.logprobs(self._logprobs, plain=self._speech is None)
            self._logprobs.clear()
        if likely:
            piece["logprobs"] = likely
        if not piece:
            return ""
        return piece["content"] if piece.keys() == {"content"} else dict(piece)

    def _opening(self) -> str:
        echo, self._echo = self._echo, ""
        return echo

    def _meta(self, end: End) -> dict[str, Value]:
        speech = self._speech
        usage: TextUsage = {
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "cached_tokens": end.cached_tokens,
        }
        if self._model.reasons:
            usage["reasoning_tokens"] = self._reasoned
        reason: FinishReason = "length" if end.reason == Finish.LENGTH else "stop"
        if speech is not None and speech.called and reason == "stop":
            reason = "tool_calls"
        stopped: str | int | None = self._stream.stopped
        if end.stop_token in self._question.client_stops:
            stopped = end.stop_token
        return {"finish_reason": reason, "stop_reason": stopped, "usage": dict(usage)}


def _no_call(name: str, index: int) -> str:
    raise TypeError("a model without a syntax for calls called a tool")


def _joined(one: TextPiece, other: TextPiece) -> TextPiece:
    """Two pieces in a row as one."""
    joined: TextPiece = {**one, **other}
    for key in ("content", "reasoning"):
        if key in one and key in other:
            joined[key] = one[key] + other[key]
    if "tool_calls" in one and "tool_calls" in other:
        joined["tool_calls"] = one["tool_calls"] + other["tool_calls"]
    return joined
