"""POST /tokenize and /detokenize: what a text or a chat is to the model, and back. vLLM's shapes."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from omnipipe.coordinator.flight import Piece
from omnipipe.families.requests import DetokenizeRequest, TokenizeRequest, TokenizeRequests
from omnipipe.families.text_pieces import TEXT_OUTPUT, read_piece, read_tokens
from omnipipe.gateway.openai import scalars
from omnipipe.gateway.openai.answer import Tally, encode
from omnipipe.gateway.openai.capability import require
from omnipipe.gateway.openai.chat_messages import ChatMessages
from omnipipe.gateway.openai.messages import neutral_messages
from omnipipe.gateway.openai.order import Limits, WholeOrder, entry, submissions
from omnipipe.gateway.openai.plain import check_plain
from omnipipe.gateway.openai.refusals import invalid, missing, unsupported
from omnipipe.gateway.openai.tools import Tool, check_tools
from omnipipe.gateway.served import Served
from omnipipe.wire.value import Value

__all__ = [
    "DetokenizeBody",
    "DetokenizeResponse",
    "TokenizeBody",
    "TokenizeResponse",
    "detokenize_order",
    "tokenize_order",
]

_OPTIONS = ("add_special_tokens", "add_generation_prompt", "return_token_strs", "tools", "chat_template_kwargs")
_OF_CHATS = ("add_generation_prompt", "tools", "chat_template_kwargs")


class TokenizeBody(scalars.Body, frozen=True, kw_only=True):
    model: scalars.ModelName | None = None
    """May be left out where one model is served."""
    prompt: str | None = None
    messages: ChatMessages | None = None
    """In place of `prompt`: as the model's chat template renders them."""
    add_special_tokens: bool | None = None
    """Left out: of a text yes, of a chat no, for its template has them."""
    return_token_strs: bool | None = None
    add_generation_prompt: bool | None = None
    tools: Annotated[list[Tool], Meta(min_length=1, max_length=128)] | None = None
    chat_template_kwargs: scalars.TemplateKwargs | None = None

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None


class TokenizeResponse(msgspec.Struct, frozen=True):
    count: int
    max_model_len: int | None
    """How many tokens the model takes at most, prompt and answer together."""
    tokens: list[int]
    token_strs: list[str] | None


class DetokenizeBody(scalars.Body, frozen=True, kw_only=True):
    model: scalars.ModelName | None = None
    tokens: Annotated[list[scalars.Token], Meta(max_length=scalars.MAX_TOKENS)]

    request_id: scalars.RequestId | None = None
    timeout: scalars.Timeout | None = None
    stage_params: scalars.StageParams | None = None
    events: bool | None = None


class DetokenizeResponse(msgspec.Struct, frozen=True):
    prompt: str


def tokenize_order(body: TokenizeBody, served: Served, request_id: str, now_s: int, limits: Limits) -> WholeOrder:
    require("tokenize", served)
    if body.prompt is None and body.messages is None:
        raise missing("prompt", "unless there are 'messages'")
    if body.prompt is not None and body.messages is not None:
        raise invalid("Give either 'prompt' or 'messages', not both.", "prompt")
    options = {name: value for name in _OPTIONS if (value := _builtin(getattr(body, name))) is not None}
    tools = "tools" in served.requests.options
    if body.messages is None:
        for name in _OF_CHATS:
            if name in options:
                raise invalid(f"'{name}' is only allowed with 'messages'.", name)
    if body.tools is not None and not tools:
        raise unsupported(served.name, "tools", "Leave it out.")
    check_tools(body.tools, None, None)
    check_plain(body.chat_template_kwargs, "chat_template_kwargs")
    messages = neutral_messages(body.messages or (), tools=tools)
    family = cast(TokenizeRequests, served.requests)
    made = entry(family.entry_tokenize, TokenizeRequest(body.prompt, messages, options))
    (request,) = submissions(body, served, request_id, [(made, frozenset({TEXT_OUTPUT}))], limits)
    return WholeOrder(served, request, _TokensAnswer())


def detokenize_order(body: DetokenizeBody, served: Served, request_id: str, now_s: int, limits: Limits) -> WholeOrder:
    require("tokenize", served)
    family = cast(TokenizeRequests, served.requests)
    made = entry(family.entry_detokenize, DetokenizeRequest(tuple(body.tokens)))
    (request,) = submissions(body, served, request_id, [(made, frozenset({TEXT_OUTPUT}))], limits)
    return WholeOrder(served, request, _PromptAnswer())


class _TokensAnswer:
    def __init__(self) -> None:
        self.tally = Tally()
        self._body = b""

    def keep(self, pieces: Sequence[Piece]) -> None:
        (piece,) = [piece for piece in pieces if piece.value is not None]
        told = read_tokens(piece.value)
        self._body = encode(
            TokenizeResponse(told["count"], told.get("max_model_len"), told["tokens"], told.get("token_strs"))
        )

    async def body(self) -> bytes:
        return self._body


class _PromptAnswer:
    def __init__(self) -> None:
        self.tally = Tally()
        self._parts: list[str] = []

    def keep(self, pieces: Sequence[Piece]) -> None:
        self._parts += [read_piece(piece.value).get("content", "") for piece in pieces]

    async def body(self) -> bytes:
        return encode(DetokenizeResponse("".join(self._parts)))


def _builtin(value: Any) -> Value:
    return value if value is None or isinstance(value, bool) else msgspec.to_builtins(value)
