"""The OpenAPI document: what the framework knows of its routes, and the hot paths, which it does not know, beside it.

Their schemas come from the very structs that decode the bodies, so the document and the validation cannot differ.
"""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from omnipipe.gateway.bare_routes import BARE, Answering, Asking, Framed, struct_types
from omnipipe.gateway.edge import OPEN_PATHS
from omnipipe.gateway.errors import ErrorEnvelope

__all__ = ["describe"]

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_BYTES: Json = {"type": "string", "format": "binary"}


def describe(app: FastAPI, *, version: str, model: str, needs_key: bool) -> Json:
    """`model`: one that is served here, for the examples."""
    document = get_openapi(
        title="Omnipipe",
        version=version,
        routes=app.routes,
        description="Any-to-any models as pipelines of stages, in the shapes of the OpenAI API.",
    )
    _, schemas = msgspec.json.schema_components([ErrorEnvelope, *struct_types()], ref_template=_REF)
    own = {name: schema for name, schema in document["components"]["schemas"].items() if name not in _FRAMEWORK_ERRORS}
    document["components"]["schemas"] = own | schemas
    for path, route in BARE.items():
        document["paths"][path] = {
            "post": {
                "tags": [route.tag],
                "summary": route.summary,
                "operationId": route.operation_id,
                "requestBody": {"required": True, "content": {kind: _asked(ask, model) for kind, ask in route.asks}},
                "responses": {"200": _answered(route.description, route.answers)},
            }
        }
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


def _asked(ask: Asking, model: str) -> Json:
    schema = ask.body if isinstance(ask.body, dict) else _ref(ask.body)
    whole = {"model": model, **ask.example}
    examples: Json = {"whole": {"value": whole}}
    if ask.streamed:
        examples["streamed"] = {"value": {**whole, **ask.streamed}}
    return {"schema": schema, "examples": examples}


def _answered(description: str, answers: tuple[Answering, ...]) -> Json:
    content: Json = {}
    for answer in answers:
        schema = _framed(answer.body) if isinstance(answer.body, Framed) else _any_of(answer.body) or _BYTES
        content[answer.content_type] = {"schema": schema}
    return {"description": description, "content": content}


def _framed(stream: Framed) -> Json:
    """Each frame of a stream: a part of the answer, an error that ends it, or the end."""
    if not stream.events:
        return _any_of(stream.frames)
    payload = _any_of((*stream.frames, ErrorEnvelope))
    frame: Json = {"type": "string", "contentMediaType": _JSON, "contentSchema": payload}
    data = {"anyOf": [{"const": "[DONE]"}, frame]} if stream.done else frame
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _add_errors(operation: Json) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    for status, text in (("4XX", "What was wrong with the request."), ("5XX", "What went wrong here.")):
        responses[status] = {"description": text, "content": {_JSON: {"schema": _ref(ErrorEnvelope)}}}


def _any_of(kinds: tuple[type, ...]) -> Json:
    refs = [_ref(kind) for kind in kinds]
    return {"anyOf": refs} if len(refs) > 1 else refs[0] if refs else {}


def _ref(kind: type) -> Json:
    return {"$ref": _REF.format(name=kind.__name__)}
