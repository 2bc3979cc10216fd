"""What families that speak text put into the pieces of an answer, and how the gateway reads it.

A plain `str` is content, the cheap path. A dict is a `TextPiece`. The last piece's meta is a `TextMeta`. A stage that
gives anything else has a bug: `read_piece` and `read_meta` say so, rather than let it reach a client.
"""

from collections.abc import Mapping
from typing import Final, Literal, NotRequired, TypedDict, cast

from omnipipe.wire.value import Value

__all__ = [
    "EMBEDDING_OUTPUT",
    "TEXT_OUTPUT",
    "CallPiece",
    "FinishReason",
    "LogprobPiece",
    "TextMeta",
    "TextPiece",
    "TextUsage",
    "TokensPiece",
    "TopPiece",
    "read_meta",
    "read_piece",
    "read_tokens",
]

TEXT_OUTPUT: Final = "text"
"""The output of chat, completions, tokenize and detokenize."""
EMBEDDING_OUTPUT: Final = "embedding"
"""The output of families that embed: one piece per input, in order, each a float32 Tensor `[dimensions]`; the last has
the usage (`prompt_tokens`) in its meta."""

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
_REASONS: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})


class TopPiece(TypedDict):
    token: str
    bytes: list[int] | None
    logprob: float
    id: int


class LogprobPiece(TopPiece):
    """A token of the content, with the likeliest at its place."""

    top: list[TopPiece]
    first: NotRequired[bool]
    """Of an echoed prompt: there is nothing before it, so that its `logprob` (0) and `top` say nothing."""
    unseen: NotRequired[bool]
    """The text does not show it: a special token that ended it, or that the tokenizer put before it."""


class CallPiece(TypedDict, total=False):
    """A delta of a tool call. `id` and `name` come once, with the first delta of the call; `arguments` add up."""

    index: int
    """Always there."""
    id: str
    name: str
    arguments: str


class TextPiece(TypedDict, total=False):
    """Deltas. A piece may carry several, and need not carry any."""

    content: str
    reasoning: str
    refusal: str
    tool_calls: list[CallPiece]
    logprobs: list[LogprobPiece]
    """Of content tokens alone, an echoed prompt's among them. They may come with a later piece than the first of their
    text."""


class TextUsage(TypedDict, total=False):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """Of the prompt's: not computed, for they were in the prefix cache."""
    reasoning_tokens: int
    """Of the completion's; only of models that reason."""


class TextMeta(TypedDict, total=False):
    """With the last piece."""

    finish_reason: FinishReason
    stop_reason: str | int | None
    """The stop string, or the id of the client's stop token, that ended it; None: it ended by itself."""
    usage: TextUsage


class TokensPiece(TypedDict, total=False):
    """The one piece of a tokenize answer. A detokenize answer is one piece of content."""

    tokens: list[int]
    count: int
    max_model_len: int
    token_strs: list[str]
    """When asked for with `return_token_strs`."""


_PIECE: Final[Mapping[str, type]] = {
    "content": str, "reasoning": str, "refusal": str, "tool_calls": list, "logprobs": list,
}  # fmt: skip


def read_piece(value: Value) -> TextPiece:
    """Raises TypeError when it is not what a text output may give."""
    if type(value) is str:
        return {"content": value}
    if value is None:
        return {}
    if type(value) is not dict:
        raise TypeError(f"a text output gave {type(value).__name__}")
    for key, item in value.items():
        if type(item) is not _PIECE.get(key):
            raise TypeError(f"a text output gave {key!r} as {type(item).__name__}")
    for call in value.get("tool_calls", ()):
        _check_call(call)
    return cast(TextPiece, value)


def _check_call(call: Value) -> None:
    if type(call) is not dict or type(call.get("index")) is not int:
        raise TypeError("a text output gave a tool call without an index")
    for key in ("id", "name", "arguments"):
        if type(call.get(key, "")) is not str:
            raise TypeError(f"a text output gave a tool call's {key} as {type(call[key]).__name__}")


def read_tokens(value: Value) -> TokensPiece:
    """Raises TypeError when it is not the answer to a tokenize request."""
    if type(value) is not dict or type(value.get("tokens")) is not list or type(value.get("count")) is not int:
        raise TypeError("a text output gave something other than tokens")
    return cast(TokensPiece, value)


def read_meta(meta: Mapping[str, Value] | None) -> TextMeta:
    """Raises TypeError when the end of a text output is not told as it must be."""
    if meta is None:
        return {}
    reason = meta.get("finish_reason", "stop")
    if reason not in _REASONS:
        raise TypeError(f"a text output ended with the finish_reason {reason!r}")
    for key, count in (meta.get("usage") or {}).items():
        if type(count) is not int:
            raise TypeError(f"a text output counted {key!r} as {type(count).__name__}")
    return cast(TextMeta, meta)
