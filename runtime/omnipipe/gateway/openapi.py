"""The OpenAPI document: what the framework knows of its routes, and the hot paths, which it does not know, beside it.

Their schemas come from the very structs that decode the bodies, so the document and the validation cannot differ.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from omnipipe.gateway.edge import OPEN_PATHS
from omnipipe.gateway.errors import ErrorEnvelope
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.chat_shapes import ChatCompletion, ChatCompletionChunk
from omnipipe.gateway.openai.completion_answer import Completion, CompletionChunk
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.embedding import EmbeddingList
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.tokens import DetokenizeBody, DetokenizeResponse, TokenizeBody, TokenizeResponse

__all__ = ["describe"]

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class _Hot:
    """A path that the framework does not know."""

    operation_id: str
    summary: str
    tag: str
    body: type
    answer: type
    chunk: type | None
    """None: never a stream."""
    example: Json


_HOT = {
    "/v1/chat/completions": _Hot(
        "createChatCompletion",
        "Answer a conversation",
        "chat",
        ChatCompletionRequest,
        ChatCompletion,
        ChatCompletionChunk,
        {"messages": [{"role": "user", "content": "Say this is a test."}]},
    ),
    "/v1/completions": _Hot(
        "createCompletion",
        "Continue a text",
        "completions",
        CompletionRequest,
        Completion,
        CompletionChunk,
        {"prompt": "Say this is a test."},
    ),
    "/v1/embeddings": _Hot(
        "createEmbedding",
        "Make vectors of texts",
        "embeddings",
        EmbeddingRequest,
        EmbeddingList,
        None,
        {"input": ["Say this is a test."]},
    ),
    "/tokenize": _Hot(
        "tokenize",
        "Show a text or a chat as the model's tokens",
        "tokens",
        TokenizeBody,
        TokenizeResponse,
        None,
        {"prompt": "Say this is a test."},
    ),
    "/detokenize": _Hot(
        "detokenize",
        "Show the text that tokens stand for",
        "tokens",
        DetokenizeBody,
        DetokenizeResponse,
        None,
        {"tokens": [1, 2, 3]},
    ),
}


def describe(app: FastAPI, *, version: str, model: str, needs_key: bool) -> Json:
    """`model`: one that is served here, for the examples."""
    document = get_openapi(
        title="Omnipipe",
        version=version,
        routes=app.routes,
        description="Any-to-any models as pipelines of stages, in the shapes of the OpenAI API.",
    )
    types = [ErrorEnvelope, *(kind for hot in _HOT.values() for kind in (hot.body, hot.answer, hot.chunk) if kind)]
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    own = {name: schema for name, schema in document["components"]["schemas"].items() if name not in _FRAMEWORK_ERRORS}
    document["components"]["schemas"] = own | schemas
    for path, hot in _HOT.items():
        document["paths"][path] = {"post": _operation(hot, model)}
    for path, item in document["paths"].items():
        for operation in item.values():
            _add_errors(operation)
            if needs_key and path not in OPEN_PATHS:
                operation["security"] = [{"apiKey": []}]
    if needs_key:
        document["components"]["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
    return document


_FRAMEWORK_ERRORS = frozenset({"HTTPValidationError", "ValidationError"})
"""The framework's own error shapes, which are never sent here."""


def _operation(hot: _Hot, model: str) -> Json:
    whole = {"model": model, **hot.example}
    examples: Json = {"whole": {"value": whole}}
    content: Json = {_JSON: {"schema": _ref(hot.answer)}}
    description = "The answer."
    if hot.chunk is not None:
        streamed = {**whole, "stream": True, "stream_options": {"include_usage": True}}
        examples["streamed"] = {"value": streamed}
        content["text/event-stream"] = {"schema": _event(hot.chunk)}
        description = "The answer; with `stream`, as server-sent events that end with `data: [DONE]`."
    return {
        "tags": [hot.tag],
        "summary": hot.summary,
        "operationId": hot.operation_id,
        "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(hot.body), "examples": examples}}},
        "responses": {"200": {"description": description, "content": content}},
    }


def _event(chunk: type) -> Json:
    """Each event: a frame of the answer, an error that ends it, or the end."""
    payload = {"anyOf": [_ref(chunk), _ref(ErrorEnvelope)]}
    frame = {"type": "string", "contentMediaType": _JSON, "contentSchema": payload}
    return {
        "type": "object",
        "properties": {"data": {"anyOf": [{"const": "[DONE]"}, frame]}},
        "required": ["data"],
    }


def _add_errors(operation: Json) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status, text in (("4XX", "What was wrong with the request."), ("5XX", "What went wrong here.")):
        responses[status] = {"description": text, "content": {_JSON: {"schema": _ref(ErrorEnvelope)}}}


def _ref(kind: type) -> Json:
    return {"$ref": _REF.format(name=kind.__name__)}
