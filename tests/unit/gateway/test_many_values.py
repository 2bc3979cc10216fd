"""Requests of very many small values, which would keep the gateway from everybody else while it reads them."""

from typing import Any

import msgspec
import pytest

from omnipipe.errors import RequestError
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.openai.scalars import MAX_ITEMS, MAX_TOKENS
from omnipipe.gateway.openai.tokens import DetokenizeBody, TokenizeBody

USER = {"role": "user", "content": "hello"}
PART = {"type": "text", "text": "a"}


def many(path: str, count: int) -> dict[str, Any]:
    """A body with so many values at `path`."""
    match path:
        case "messages":
            return {"messages": [USER] * count}
        case "messages[0].content":
            return {"messages": [{"role": "user", "content": [PART] * count}]}
        case "prompt[0]":
            return {"prompt": [[5] * count]}
        case _:
            return {path: [5] * count}


@pytest.mark.parametrize(
    ("shape", "path", "most"),
    [
        (ChatCompletionRequest, "messages", MAX_ITEMS),
        (ChatCompletionRequest, "messages[0].content", MAX_ITEMS),
        (TokenizeBody, "messages", MAX_ITEMS),
        (DetokenizeBody, "tokens", MAX_TOKENS),
        (CompletionRequest, "prompt", MAX_TOKENS),
        (CompletionRequest, "prompt[0]", MAX_TOKENS),
        (EmbeddingRequest, "input", MAX_TOKENS),
        (PromptBody, "prompt", MAX_TOKENS),
    ],
)
def test_one_value_too_many_is_refused_by_name_and_limit(shape: type[Any], path: str, most: int) -> None:
    parse = BodyParser(shape)

    parse(msgspec.json.encode({"model": "echo", **many(path, most)}))
    with pytest.raises(RequestError) as caught:
        parse(msgspec.json.encode({"model": "echo", **many(path, most + 1)}))

    assert caught.value.param == path
    assert str(most) in caught.value.message
