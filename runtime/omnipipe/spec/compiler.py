"""Manifest + family + addresses -> Plan. The local supervisor and the operator differ in the addresses alone."""

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from omnipipe.spec.errors import Finding, ManifestError, dotted
from omnipipe.spec.family import Family, StageType
from omnipipe.spec.graph import Graph, GraphEdge, GraphStage
from omnipipe.spec.manifest import Pipeline, StageSpec
from omnipipe.spec.media import MediaSpec
from omnipipe.spec.params import normal_param
from omnipipe.spec.plan import (
    DraftPlan,
    EnginePlan,
    GatewayPlan,
    MediaPlan,
    ParamValue,
    Plan,
    PlanEdge,
    PlanOutput,
    PlanStage,
    TransportPlan,
)
from omnipipe.spec.resolve import resolve

__all__ = ["AddressBook", "compile_plan", "revision_of"]

_REVISION_FORMAT = 1
"""Bump to change every pipeline's revision, which rolls every cohort: only when equal input came to mean another
thing. New fields go into the hash only when they are not at their default."""


_ALWAYS_HASHED = ("kind", "placement", "max_batch", "max_wait_ms")
"""Of an engine, at their defaults too, as the first revisions had them."""


class AddressBook(Protocol):
    def __call__(self, stage: str, replica: int, /) -> str:
        """Where the replica listens. One `dns+tcp://service:port` for all replicas is fine: equal answers count
        once."""


def compile_plan(manifest: Pipeline, family: Family, addresses: AddressBook, *, curve: bool = False) -> Plan:
    """`manifest` has been through `reader`; a graph that does not hold together raises ManifestError all the same."""
    graph, problems = resolve(manifest.spec, family)
    if problems:
        raise ManifestError([Finding(dotted(p.path), None, p.message) for p in problems])
    specs = {stage.name: stage for stage in manifest.spec.stages}
    stages = []
    for stage in graph.stages:
        spec = specs.get(stage.name) or StageSpec(name=stage.name)
        stages.append(_stage(stage, spec, tuple(addresses(stage.name, n) for n in range(spec.replicas or 1))))
    return Plan(
        pipeline=manifest.name,
        namespace=manifest.metadata.namespace,
        revision=revision_of(manifest, family, graph),
        family=family.name,
        source=manifest.spec.model.source,
        stages=tuple(stages),
        edges=tuple(map(_edge, graph.edges)),
        outputs=tuple(PlanOutput(name=o.name, stage=o.stage, port=o.port, type=o.type) for o in graph.outputs),
        gateway=_gateway(manifest),
        transport=_transport(manifest, curve),
    )


def revision_of(manifest: Pipeline, family: Family, graph: Graph) -> str:
    """Eight characters that differ when two cohorts must not be mixed: model, graph, params, engine options. Replicas,
    limits, deadlines, names and addresses may change under a running cohort."""
    specs = {stage.name: stage for stage in manifest.spec.stages}
    content = {
        "format": _REVISION_FORMAT,
        "family": family.name,
        "source": manifest.spec.model.source,
        "stages": {stage.name: _identity(stage, specs.get(stage.name)) for stage in graph.stages},
        "edges": sorted(_edge(edge).model_dump_json() for edge in graph.edges),
        "outputs": sorted([o.name, o.stage, o.port, o.type] for o in graph.outputs),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _identity(stage: GraphStage, spec: StageSpec | None) -> dict[str, object]:
    given = {} if spec is None else spec.params
    return {
        "type": stage.type.name,
        "program": stage.type.program,
        "engine": _engine_identity(_engine(stage.type, spec)),
        "params": {name: value for name, value in _params(stage.type, given).items() if name in given},
        "needs_input": sorted(stage.type.needs_input),
    }


def _engine_identity(engine: EnginePlan) -> dict[str, object]:
    given = engine.model_dump(mode="json", exclude_defaults=True)
    return {name: getattr(engine, name) for name in _ALWAYS_HASHED} | given


def _stage(stage: GraphStage, spec: StageSpec, addresses: tuple[str, ...]) -> PlanStage:
    return PlanStage(
        name=stage.name,
        type=stage.type.name,
        program=stage.type.program,
        params=_params(stage.type, spec.params),
        engine=_engine(stage.type, spec),
        addresses=tuple(dict.fromkeys(addresses)),
        max_running=spec.max_running,
        needs_input=stage.type.needs_input,
    )


def _params(kind: StageType, given: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
    return {name: normal_param(param, given.get(name, param.default)) for name, param in kind.params.items()}


def _engine(kind: StageType, spec: StageSpec | None) -> EnginePlan:
    base = EnginePlan(
        kind=kind.engine, placement=kind.placement, max_batch=kind.max_batch, max_wait_ms=kind.max_wait_ms
    )
    if spec is None:
        return base
    given = spec.engine.model_dump(exclude_none=True)
    if spec.draft is not None:
        given["draft"] = DraftPlan(source=spec.draft.source, tokens=spec.draft.tokens)
    return base.model_copy(update=given)


def _edge(edge: GraphEdge) -> PlanEdge:
    windows = {"window_chunks": edge.window_chunks, "window_bytes": edge.window_bytes}
    plan = PlanEdge(
        source=edge.source, target=edge.target, port=edge.port, input=edge.input, kind=edge.kind, type=edge.type
    )
    return plan.model_copy(update={name: size for name, size in windows.items() if size is not None})


def _gateway(manifest: Pipeline) -> GatewayPlan:
    spec = manifest.spec.gateway
    return GatewayPlan(
        served_names=spec.served_model_names or (manifest.name,),
        max_in_flight=spec.max_in_flight,
        max_queued=spec.max_queued,
        queue_timeout_s=spec.queue_timeout_seconds,
        request_timeout_s=spec.request_timeout_seconds,
        max_retries=spec.max_retries,
        media=_media(spec.media),
    )


def _media(spec: MediaSpec) -> MediaPlan:
    return MediaPlan(
        allowed_hosts=spec.allowed_hosts,
        allowed_networks=spec.allowed_networks,
        allowed_folders=spec.allowed_folders,
        max_items=spec.max_items,
        max_bytes=spec.max_bytes,
        max_total_bytes=spec.max_total_bytes,
        max_pixels=spec.max_pixels,
        max_seconds=spec.max_seconds,
        fetch_timeout_s=spec.fetch_timeout_seconds,
    )


def _transport(manifest: Pipeline, curve: bool) -> TransportPlan:
    spec = manifest.spec.transport
    return TransportPlan(
        heartbeat_s=spec.heartbeat_seconds,
        dead_after_s=spec.dead_after_seconds,
        stalled_after_s=spec.stalled_after_seconds,
        inline_limit_bytes=spec.inline_limit_bytes,
        shm_bytes=spec.shared_memory_bytes,
        max_message_bytes=spec.max_message_bytes,
        curve=curve,
    )
