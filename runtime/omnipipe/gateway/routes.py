"""The routes that may take their time: models, health and probes, metrics, the API's own description."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal

import yaml
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from omnipipe.coordinator.flight import Health
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.errors import STATUS
from omnipipe.gateway.retirement import retire
from omnipipe.gateway.served import Leaving, ModelTable, Served
from omnipipe.observe.metrics import CONTENT_TYPE

__all__ = ["Scrape", "make_router"]

Scrape = Callable[[], Awaitable[bytes]]
"""The text exposition of everything this gateway speaks for."""

Document = Callable[[], dict[str, Any]]


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class ModelDeleted(BaseModel):
    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class StageReport(BaseModel):
    name: str
    replicas: int
    routable: int
    """Up, accepting and not stalled."""
    queued: int
    running: int


class PipelineReport(BaseModel):
    pipeline: str
    models: list[str]
    revision: str
    ready: bool
    draining: bool
    in_flight: int
    queued: int
    stages: list[StageReport]


class Problem(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class HealthReport(BaseModel):
    status: Literal["healthy", "unhealthy", "draining"]
    """The words that clients of other servers of omni models look for."""
    pipelines: list[PipelineReport]


class UnhealthyReport(HealthReport):
    """Also the error envelope that every answer of its status has."""

    error: Problem


class Alive(BaseModel):
    status: Literal["live", "ready"]


def make_router(
    models: ModelTable, leaving: Leaving, scrape: Scrape, document: Document, *, started_s: int, grace_s: float
) -> APIRouter:
    """`started_s`: when this gateway began to serve its models, in seconds since 1970. `grace_s`: how long the requests
    of a model that is deleted may take to finish."""
    router = APIRouter()
    _add_models(router, models, started_s)
    _add_deletion(router, models, grace_s)
    _add_health(router, models, leaving)
    _add_documents(router, scrape, document)
    _add_heads(router)
    return router


def _add_heads(router: APIRouter) -> None:
    """HTTP wants HEAD wherever there is GET, and what watches servers from afar asks with it."""
    for route in list(router.routes):
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            router.add_api_route(
                route.path, route.endpoint, methods=["HEAD"], include_in_schema=False,
                response_class=route.response_class,
            )  # fmt: skip


def _add_models(router: APIRouter, models: ModelTable, started_s: int) -> None:
    def described(name: str) -> Model:
        return Model(id=name, created=started_s, owned_by="omnipipe")

    @router.get("/v1/models", operation_id="listModels", tags=["models"])
    async def list_models() -> ModelList:
        """The models that this server answers for."""
        return ModelList(data=[described(name) for name, _ in models.names()])

    @router.get("/v1/models/{model:path}", operation_id="retrieveModel", tags=["models"])
    async def retrieve_model(model: str) -> Model:
        """One model by its name."""
        models.find(model)
        return described(model)


def _add_deletion(router: APIRouter, models: ModelTable, grace_s: float) -> None:
    @router.delete("/v1/models/{model:path}", operation_id="deleteModel", tags=["models"])
    async def delete_model(model: str) -> ModelDeleted:
        """Stop serving a pipeline, under all its names. Answers when its running requests have finished."""
        await retire(models.find(model), models, grace_s)
        return ModelDeleted(id=model)


def _add_health(router: APIRouter, models: ModelTable, leaving: Leaving) -> None:
    def reports() -> list[tuple[Served, Health]]:
        """Of what is served. A model that is deleted does not count against the others."""
        found = [(served, served.coordinator.health()) for served in models.pipelines]
        return [(served, replace(health, draining=health.draining or leaving.begun)) for served, health in found]

    def departing() -> list[PipelineReport]:
        return [_report(served, replace(served.coordinator.health(), draining=True)) for served in models.withdrawn]

    @router.get(
        "/health", operation_id="health", tags=["health"],
        responses={503: {"model": UnhealthyReport, "description": "Not ready, or draining"}},
    )  # fmt: skip
    async def health(response: Response) -> HealthReport | UnhealthyReport:
        """Every pipeline and stage in detail."""
        found = reports()
        pipelines = [_report(served, health) for served, health in found]
        everything = pipelines + departing()
        if pipelines and all(report.ready for report in pipelines):
            return HealthReport(status="healthy", pipelines=everything)
        draining = any(report.draining for report in everything)
        row = STATUS[ErrorKind.UNAVAILABLE]
        response.status_code = row.status
        response.headers["retry-after"] = "1"
        return UnhealthyReport(
            status="draining" if draining else "unhealthy",
            pipelines=everything,
            error=Problem(message=_unready(found), type=row.type, param=None, code=row.code),
        )

    @router.get("/livez", operation_id="livez", tags=["health"])
    async def livez() -> Alive:
        """The process answers. Says nothing of the stages: restarting the gateway would not help them."""
        return Alive(status="live")

    @router.get("/readyz", operation_id="readyz", tags=["health"])
    async def readyz() -> Alive:
        """Every stage of every pipeline can take a request; 503 otherwise, while draining, and when all are deleted."""
        found = reports()
        if not found or not all(health.ready and not health.draining for _, health in found):
            raise RequestError(ErrorKind.UNAVAILABLE, _unready(found))
        return Alive(status="ready")


def _add_documents(router: APIRouter, scrape: Scrape, document: Document) -> None:
    @router.get(
        "/metrics", operation_id="metrics", tags=["health"], response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )  # fmt: skip
    async def metrics() -> Response:
        """Prometheus text exposition."""
        return Response(await scrape(), headers={"content-type": CONTENT_TYPE})

    @router.get("/openapi.json", operation_id="openapiJson", tags=["description"])
    async def openapi_json(request: Request) -> dict[str, Any]:
        """This description."""
        return document()

    @router.get(
        "/openapi.yaml", operation_id="openapiYaml", tags=["description"], response_class=Response,
        responses={200: {"content": {"application/yaml": {"schema": {"type": "object"}}}}},
    )  # fmt: skip
    async def openapi_yaml() -> Response:
        """This description."""
        text = yaml.safe_dump(document(), sort_keys=False, allow_unicode=True)
        return Response(text, media_type="application/yaml")


def _report(served: Served, health: Health) -> PipelineReport:
    return PipelineReport(
        pipeline=served.plan.pipeline,
        models=list(served.plan.gateway.served_names),
        revision=served.plan.revision,
        ready=health.ready and not health.draining,
        draining=health.draining,
        in_flight=health.in_flight,
        queued=health.queued,
        stages=[
            StageReport(
                name=stage.name,
                replicas=stage.replicas,
                routable=stage.routable,
                queued=stage.queued,
                running=stage.running,
            )
            for stage in health.stages
        ],
    )


def _unready(reports: list[tuple[Served, Health]]) -> str:
    """Why not, in one sentence for each pipeline that is not."""
    if not reports:
        return "Not ready: every model that was served here has been deleted."
    reasons = []
    for served, health in reports:
        if health.draining:
            reasons.append(f"{served.plan.pipeline} is draining")
        elif not health.ready:
            waiting = [stage.name for stage in health.stages if not stage.routable]
            what = f"no replica of {', '.join(waiting)} can take a request" if waiting else "it is not ready"
            reasons.append(f"{served.plan.pipeline}: {what}")
    return f"Not ready: {'; '.join(reasons)}."
