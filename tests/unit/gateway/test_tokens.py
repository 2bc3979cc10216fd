"""Tokenize and detokenize, and what a model cannot be asked for at all."""

import json
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.pipelines import LIMITS, EverythingRequests, SamplingRequests, served
from tests.unit.gateway.test_orders import chat, completion, refused

from omnipipe.coordinator.flight import Piece
from omnipipe.families.requests import Capability, DetokenizeRequest, Message, Part, TokenizeRequest
from omnipipe.gateway.openai.embedding import embedding_order
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.order import WholeOrder
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.openai.tokens import DetokenizeBody, TokenizeBody, detokenize_order, tokenize_order
from omnipipe.gateway.served import Served

USER = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "f"}}


def tokenize(target: Served, **fields: Any) -> WholeOrder:
    return tokenize_order(BodyParser(TokenizeBody)(msgspec.json.encode(fields)), target, "req", 0, LIMITS)


def detokenize(target: Served, **fields: Any) -> WholeOrder:
    return detokenize_order(BodyParser(DetokenizeBody)(msgspec.json.encode(fields)), target, "req", 0, LIMITS)


def embed(target: Served, **fields: Any) -> WholeOrder:
    body = {"model": "echo", "input": "x", **fields}
    return embedding_order(BodyParser(EmbeddingRequest)(msgspec.json.encode(body)), target, "req", 0, LIMITS)


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({"prompt": "a"}, TokenizeRequest("a")),
        ({"prompt": ""}, TokenizeRequest("")),
        (
            {"prompt": "a", "add_special_tokens": False, "return_token_strs": True},
            TokenizeRequest("a", (), {"add_special_tokens": False, "return_token_strs": True}),
        ),
        (
            {
                "messages": [USER],
                "add_generation_prompt": False,
                "tools": [TOOL],
                "chat_template_kwargs": {"enable_thinking": True},
            },
            TokenizeRequest(
                None,
                (Message("user", (Part("text", "hello"),)),),
                {"add_generation_prompt": False, "tools": [TOOL], "chat_template_kwargs": {"enable_thinking": True}},
            ),
        ),
    ],
)
def test_a_text_or_a_chat_reaches_the_family(fields: dict[str, Any], request_: TokenizeRequest) -> None:
    family = EverythingRequests()
    assert tokenize(served(requests=family), **fields).request.outputs == {"text"}
    assert family.heard == [request_]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "messages": [USER]}, "prompt"),
        ({"prompt": "a", "add_generation_prompt": True}, "add_generation_prompt"),
        ({"prompt": "a", "tools": [TOOL]}, "tools"),
        ({"messages": [USER], "tools": [TOOL, TOOL]}, "tools[1].function.name"),
        ({"messages": [USER], "chat_template_kwargs": {"a": 2**64}}, "chat_template_kwargs.a"),
        ({"messages": [USER], "chat_template": "x"}, "chat_template"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_tokenize_cannot_be_asked_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(tokenize, served(requests=EverythingRequests()), **fields).param == param


async def test_the_answers_have_vllms_shapes() -> None:
    told = {"tokens": [1, 2], "count": 2, "max_model_len": 512, "token_strs": ["a", "b"]}
    answer = tokenize(served(requests=EverythingRequests()), prompt="ab").answer
    answer.keep([Piece("text", told, True, {})])
    assert json.loads(await answer.body()) == told
    answer.keep([Piece("text", {"tokens": [], "count": 0}, True, {})])
    assert json.loads(await answer.body()) == {"count": 0, "max_model_len": None, "tokens": [], "token_strs": None}

    family = EverythingRequests()
    answer = detokenize(served(requests=family), tokens=[1, 2]).answer
    assert family.heard == [DetokenizeRequest((1, 2))]
    answer.keep([Piece("text", "a", False, None), Piece("text", {"content": "b"}, True, {})])
    assert json.loads(await answer.body()) == {"prompt": "ab"}


@pytest.mark.parametrize("value", ["x", {"tokens": "x", "count": 1}, {"tokens": []}])
def test_tokens_that_are_none_are_a_stages_mistake(value: Any) -> None:
    with pytest.raises(TypeError, match="a text output gave"):
        tokenize(served(requests=EverythingRequests()), prompt="ab").answer.keep([Piece("text", value, True, {})])


def able(*capabilities: Capability) -> Served:
    class Able(EverythingRequests):
        pass

    Able.capabilities = frozenset(capabilities)
    return served("m", requests=Able())


@pytest.mark.parametrize(
    ("ask", "capabilities", "message"),
    [
        (chat, ["embed"],
         "The model `m` is not a chat model and thus not supported in the /v1/chat/completions endpoint. "
         "Did you mean to use /v1/embeddings?"),
        (completion, ["chat"],
         "The model `m` is not a completion model and thus not supported in the /v1/completions endpoint. "
         "Did you mean to use /v1/chat/completions?"),
        (embed, ["chat", "completion", "tokenize"],
         "The model `m` is not an embedding model and thus not supported in the /v1/embeddings endpoint. "
         "Did you mean to use /v1/chat/completions or /v1/completions?"),
        (tokenize, [],
         "The model `m` is not a model that shows its tokens and thus not supported in the /tokenize endpoint."),
    ],
)  # fmt: skip
def test_a_model_is_not_asked_for_what_it_is_not_for(ask: Any, capabilities: list[Capability], message: str) -> None:
    error = refused(ask, able(*capabilities))
    assert (error.param, error.message, error.code) == ("model", message, "model_not_supported")


def test_tools_are_not_shown_to_a_model_that_takes_none() -> None:
    class Plain(EverythingRequests):
        options = SamplingRequests.options

    assert refused(tokenize, served(requests=Plain()), messages=[USER], tools=[TOOL]).param == "tools"
