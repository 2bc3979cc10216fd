"""The gateway as an ASGI application over coordinators that somebody else runs. `serve` runs it with its own."""

import sys
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route

from omnipipe import __version__
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.access_log import AccessLog
from omnipipe.gateway.edge import BareRoute, Edge
from omnipipe.gateway.errors import INTERNAL_MESSAGE, STATUS, envelope, error_headers, from_status
from omnipipe.gateway.exchange import ASGIApp
from omnipipe.gateway.hot import HotRoute
from omnipipe.gateway.keys import KeyRing
from omnipipe.gateway.native.generate import GenerateRoute
from omnipipe.gateway.openai.chat import chat_order
from omnipipe.gateway.openai.chat_request import ChatCompletionRequest
from omnipipe.gateway.openai.completion import completion_order
from omnipipe.gateway.openai.completion_request import CompletionRequest
from omnipipe.gateway.openai.embedding import embedding_order
from omnipipe.gateway.openai.embedding_request import EmbeddingRequest
from omnipipe.gateway.openai.speech import speech_order
from omnipipe.gateway.openai.speech_request import SpeechBody
from omnipipe.gateway.openai.tokens import DetokenizeBody, TokenizeBody, detokenize_order, tokenize_order
from omnipipe.gateway.openapi import describe
from omnipipe.gateway.routes import Scrape, make_router
from omnipipe.gateway.served import Leaving, ModelTable, Served
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.gateway.speaking import SpeechRoute
from omnipipe.gateway.whole import WholeRoute
from omnipipe.observe.metrics import GatewayMetrics, PipelineLabels, Registry

__all__ = ["create_app"]


def create_app(
    pipelines: Sequence[Served],
    settings: GatewaySettings,
    *,
    registry: Registry | None = None,
    scrape: Scrape | None = None,
    access_log: AccessLog | None = None,
    leaving: Leaving | None = None,
) -> ASGIApp:
    """An application that answers for `pipelines`. Of `settings` it takes what is about requests, not processes.

    `registry` gets the gateway's metrics and is what `/metrics` shows, unless `scrape` shows something else. Whoever
    gives an `access_log` flushes it at the end. `leaving`: what the process's own end is told to.
    """
    registry = registry or Registry()
    owners = {one.name: PipelineLabels(one.plan.namespace, one.plan.pipeline, one.plan.revision) for one in pipelines}
    metrics = GatewayMetrics(registry, owners)
    models = ModelTable(pipelines)
    keys = KeyRing.load(settings.api_keys, settings.api_keys_file)

    @cache
    def document() -> dict[str, Any]:
        return describe(framework, version=__version__, model=pipelines[0].name, needs_key=bool(keys))

    async def render() -> bytes:
        return registry.render()

    router = make_router(
        models,
        leaving or Leaving(),
        scrape or render,
        document,
        started_s=int(time.time()),
        grace_s=settings.grace_s,
    )
    framework = _framework(router)
    hot: list[BareRoute] = [
        HotRoute("/v1/chat/completions", ChatCompletionRequest, chat_order, models, settings, metrics),
        HotRoute("/v1/completions", CompletionRequest, completion_order, models, settings, metrics),
        WholeRoute("/v1/embeddings", EmbeddingRequest, embedding_order, models, settings, metrics),
        SpeechRoute("/v1/audio/speech", SpeechBody, speech_order, models, settings, metrics),
        GenerateRoute(models, settings, metrics),
        WholeRoute("/tokenize", TokenizeBody, tokenize_order, models, settings, metrics),
        WholeRoute("/detokenize", DetokenizeBody, detokenize_order, models, settings, metrics),
    ]
    if access_log is None and settings.access_log:
        access_log = AccessLog(sys.stdout.buffer)
    edge: ASGIApp = Edge(
        framework,
        {route.path: route for route in hot},
        keys,
        metrics,
        access_log,
        trust_request_id=settings.trust_request_id,
    )
    return _with_cors(edge, settings.cors_origins) if settings.cors_origins else edge


def _framework(router: APIRouter) -> FastAPI:
    """FastAPI with every way it has of answering an error turned into ours. Its documentation pages are off: they load
    scripts from elsewhere."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(router)

    @app.exception_handler(RequestError)
    async def on_request_error(request: Request, error: RequestError) -> Response:
        headers = {name.decode(): value.decode() for name, value in error_headers(error)}
        return _json(STATUS[error.kind].status, envelope(error), headers)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail)
        if error.status_code == 404:
            detail = f"Unknown request URL: {request.method} {request.url.path}."
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers = {"allow": ", ".join(sorted(_methods(router, request)))}
        return _json(error.status_code, from_status(error.status_code, detail), headers)

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:]))
        wrong = RequestError(ErrorKind.INVALID, f"Invalid value for '{where}': {first['msg']}.", param=where)
        return _json(400, envelope(wrong), {})

    @app.exception_handler(Exception)
    async def on_exception(request: Request, error: Exception) -> Response:
        return _json(500, envelope(RequestError(ErrorKind.INTERNAL, INTERNAL_MESSAGE)), {})  # the edge logs it

    return app


def _methods(router: APIRouter, request: Request) -> set[str]:
    """What can be done at the path: the framework itself names the methods of one of its routes alone."""
    routes = [route for route in router.routes if isinstance(route, Route)]
    return {
        method
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


def _json(status: int, body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, "application/json")


def _with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Without credentials: keys travel in a header that the page itself sets."""
    return CORSMiddleware(
        app,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["x-request-id", "retry-after", "x-sample-rate", "x-channels", "x-bit-depth", "x-finish-reason"],
    )
