"""Answers in Diffulex's shapes. Tokens' ids are there where the model's stages tell them; times are what the gateway
saw, from the first piece to the last."""

import time
from collections.abc import Sequence
from typing import TypedDict

import msgspec

from omnipipe.coordinator.flight import Piece
from omnipipe.errors import RequestError
from omnipipe.families.text_pieces import FinishReason, TextPiece
from omnipipe.gateway.errors import ErrorBody, told
from omnipipe.gateway.openai.answer import DONE, TextWriter, encode

__all__ = ["PromptAnswer", "PromptAppend", "PromptError", "PromptFinal", "PromptReply", "PromptWriter", "error_event"]


class _Times(TypedDict):
    engine_decode_time_s: float
    engine_decode_tokens: int | None
    engine_decode_tps: float | None


class _Timed(msgspec.Struct, frozen=True, kw_only=True):
    nfe: int | None = None
    """Forward passes; None: its stages do not count them."""
    engine_decode_time_s: float
    engine_decode_tokens: int | None
    engine_decode_tps: float | None


class PromptReply(_Timed, frozen=True, kw_only=True):
    id: str
    text: str
    token_ids: list[int] | None
    """None: the model does not tell them."""
    finish_reason: FinishReason
    full_text: str
    """With what comes after an end that was not the end; here always the text."""
    full_token_ids: list[int] | None


class PromptAppend(_Timed, frozen=True, kw_only=True, tag_field="event", tag="append"):
    id: str
    token_offset: int | None
    text: str
    token_ids: list[int] | None
    finished: bool


class PromptFinal(PromptReply, frozen=True, kw_only=True, tag_field="event", tag="final"):
    """The last event: the reply as it is in one go."""


class PromptError(msgspec.Struct, frozen=True, tag_field="event", tag="error"):
    id: str
    message: str
    error: ErrorBody
    """The same as everywhere else."""


def error_event(request_id: str, error: RequestError) -> bytes:
    return b"data: %b\n\n" % encode(PromptError(request_id, error.message, told(error)))


class PromptAnswer:
    heavy = False

    def __init__(self, request_id: str) -> None:
        self.id = request_id

    def writer(self, index: int) -> "PromptWriter":
        return PromptWriter(self.id)

    def ending(self, choices: Sequence["PromptWriter"]) -> bytes:
        return DONE

    async def settle(self, choices: Sequence["PromptWriter"]) -> None:
        """Text is no work."""

    def whole(self, choices: Sequence["PromptWriter"]) -> bytes:
        (choice,) = choices
        return encode(choice.reply(PromptReply))


class PromptWriter(TextWriter):
    """Every piece is an event that says where it is, so nothing is prepared."""

    def __init__(self, request_id: str) -> None:
        super().__init__()
        self._id = request_id
        self._tokens: list[int] = []
        self._began = 0.0
        self._ended = 0.0

    def opening(self) -> bytes:
        return b""

    def frames(self, pieces: Sequence[Piece]) -> bytes:
        said, known = len(self._kept), len(self._tokens)
        self.keep(pieces)
        text, tokens = "".join(self._kept[said:]), self._tokens[known:]
        if not text and not tokens:
            return b""
        event = PromptAppend(
            id=self._id,
            token_offset=known if self._tokens else None,
            text=text,
            token_ids=tokens if self._tokens else None,
            finished=False,
            **self._times(),
        )
        return b"data: %b\n\n" % encode(event)

    def keep(self, pieces: Sequence[Piece]) -> None:
        self._ended = time.perf_counter()
        self._began = self._began or self._ended
        super().keep(pieces)

    def closing(self) -> bytes:
        return b"data: %b\n\n" % encode(self.reply(PromptFinal))

    def reply(self, kind: type[PromptReply]) -> PromptReply:
        text, tokens = self.text(), self._tokens or None
        return kind(
            id=self._id,
            text=text,
            token_ids=tokens,
            finish_reason=self.tally.finish_reason,
            full_text=text,
            full_token_ids=tokens,
            **self._times(),
        )

    def rich_frames(self, piece: TextPiece) -> bytes:
        raise AssertionError("its frames are made of what it keeps")

    def keep_rich(self, piece: TextPiece) -> None:
        for name in ("reasoning", "refusal", "tool_calls"):
            if piece.get(name):
                raise TypeError(f"a completion gave {name}")
        if content := piece.get("content"):
            self._kept.append(content)
        self._tokens += [likely["id"] for likely in piece.get("logprobs", ())]

    def _times(self) -> _Times:
        usage = self.tally.usage
        count = usage.completion_tokens if usage else len(self._tokens) or None
        seconds = self._ended - self._began
        speed = count / seconds if count and seconds else None
        return {"engine_decode_time_s": seconds, "engine_decode_tokens": count, "engine_decode_tps": speed}
