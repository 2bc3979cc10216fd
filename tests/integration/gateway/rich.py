"""A scripted pipeline that can be asked for everything: what it answers follows from what it was asked."""

import json
from collections.abc import Mapping

import numpy as np
from msgspec import to_builtins

from omnipipe.coordinator.fake import Script
from omnipipe.coordinator.flight import OmniRequest, Piece
from omnipipe.families.requests import (
    Capability,
    DetokenizeRequest,
    EmbedRequest,
    Entry,
    MediaKind,
    TextRequest,
    TokenizeRequest,
)
from omnipipe.gateway.openai.fields import CHAT_FIELDS, COMPLETION_FIELDS
from omnipipe.wire.value import Tensor, Value

__all__ = ["OUTPUTS", "RichRequests", "rich_script"]

OUTPUTS = ("text", "embedding")

CALL_WEATHER = '{"city": "Bern"}'
PERSON = {"name": "Ada", "age": 36}
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "cached_tokens": 4, "reasoning_tokens": 2}


class RichRequests:
    capabilities: frozenset[Capability] = frozenset({"chat", "completion", "embed", "tokenize"})
    options = CHAT_FIELDS.options | COMPLETION_FIELDS.options | {"n", "echo"}
    media: frozenset[MediaKind] = frozenset()
    voices: frozenset[str] = frozenset()
    audio_formats: frozenset[str] = frozenset()
    sample_rate_hz = 0

    def entry(self, request: TextRequest) -> Entry:
        return _entry(request)

    def entry_embed(self, request: EmbedRequest) -> Entry:
        return _entry(request)

    def entry_tokenize(self, request: TokenizeRequest) -> Entry:
        return _entry(request)

    def entry_detokenize(self, request: DetokenizeRequest) -> Entry:
        return _entry(request)

    def check_stage_params(self, stage: str, params: Mapping[str, Value]) -> None:
        return None


def _entry(request: TextRequest | EmbedRequest | TokenizeRequest | DetokenizeRequest) -> Entry:
    return Entry({"asked": type(request).__name__, **to_builtins(request, builtin_types=(bytes,))}, frozenset({"text"}))


def rich_script(request: OmniRequest) -> Script:
    asked: Mapping[str, Value] = request.value
    match asked["asked"]:
        case "EmbedRequest":
            return _vectors(asked)
        case "TokenizeRequest":
            tokens = list((asked["prompt"] or "chat").encode())
            told: Value = {"tokens": tokens, "count": len(tokens), "max_model_len": 512}
            if asked["options"].get("return_token_strs"):
                told["token_strs"] = [chr(token) for token in tokens]
            return [Piece("text", told, True, {"finish_reason": "stop"})]
        case "DetokenizeRequest":
            return [Piece("text", bytes(token % 128 for token in asked["tokens"]).decode(), True, {})]
        case _:
            return _text(asked)


def _text(asked: Mapping[str, Value]) -> Script:
    options = asked["options"]
    values: list[Value] = []
    reason = "stop"
    answered = any(message["role"] == "tool" for message in asked["messages"])
    if options.get("reasoning_effort"):
        values += [{"reasoning": "Hm, "}, {"reasoning": "well."}]
    if options.get("tools") and not answered:
        reason = "tool_calls"
        for index in range(1 if options.get("parallel_tool_calls") is False else 2):
            first, second = CALL_WEATHER[:6], CALL_WEATHER[6:]
            values.append({"tool_calls": [{"index": index, "id": f"call_{index}", "name": "weather"}]})
            values += [{"tool_calls": [{"index": index, "arguments": part}]} for part in (first, second)]
    elif options.get("response_format", {}).get("type") == "json_schema":
        text = json.dumps(PERSON)
        values += [text[:7], text[7:]]
    elif (
        options.get("logprobs") is not None and options["logprobs"] is not False
    ):  # 0 is of a completion, and means yes
        values += [{"content": text, "logprobs": [_likely(text)]} for text in ("Hé", "llo")]
    else:
        values += ["Hello ", {"content": "there"}]
    return [
        *(Piece("text", value, False, None) for value in values),
        Piece("text", None, True, {"finish_reason": reason, "usage": USAGE}),
    ]


def _likely(text: str) -> Value:
    token = {"token": text, "bytes": list(text.encode()), "logprob": -0.25, "id": 1}
    return {**token, "top": [token, {**token, "token": "x", "bytes": [120], "logprob": -2.0}]}


def _vectors(asked: Mapping[str, Value]) -> Script:
    size = asked["dimensions"] or 3
    found = [
        Piece("embedding", Tensor.from_numpy(np.full(size, index + 0.5, np.float32)), False, None)
        for index in range(len(asked["inputs"]))
    ]
    found[-1].last, found[-1].meta = True, {"usage": {"prompt_tokens": 2 * len(found)}}
    return [found]
