"""Rules between fields that no single field can see: the source against the family, deadlines against each other, a
stage's params against its type. Pure; the graph's own rules are in `graph_rules`."""

from collections.abc import Iterator
from typing import Final

from pydantic.alias_generators import to_camel

from omnipipe.spec.errors import PathKey, Problem
from omnipipe.spec.family import Family, StageType
from omnipipe.spec.manifest import DraftSpec, EngineSpec, GatewaySpec, ModelSpec, PipelineSpec, TransportSpec
from omnipipe.spec.params import param_problem
from omnipipe.spec.plan import EngineKind, ParamValue
from omnipipe.spec.sources import parse_source
from omnipipe.spec.suggest import listed, meant

__all__ = ["check_draft", "check_engine", "check_fields", "check_model", "check_params"]

_OF_OTHERS: Final = {
    EngineKind.BATCH: (
        "step_tokens",
        "kv_bytes",
        "block_tokens",
        "prefix_cache",
        "dtype",
        "max_context",
        "fused_layers",
        "gpu_kernels",
    ),
    EngineKind.AUTOREGRESSIVE: ("max_cost", "max_wait_ms"),
}
"""Options of an engine that an engine of this kind does not have."""


def check_fields(spec: PipelineSpec) -> list[Problem]:
    """What can be said without the family."""
    return [*_check_gateway(spec.gateway), *_check_transport(spec.transport)]


def check_model(model: ModelSpec, family: Family) -> list[Problem]:
    path = ("spec", "model", "source")
    if model.source is None:
        if not family.needs_source:
            return []
        return [Problem(path, f"is required: the {family.name} family loads weights from {_schemes(family)}")]
    if not family.needs_source:
        return [Problem(path, f"the {family.name} family has no weights to load; remove this field")]
    return _check_source(model.source, family, path)


def check_params(params: dict[str, ParamValue], stage: StageType, path: PathKey) -> list[Problem]:
    problems = []
    for name, value in params.items():
        param = stage.params.get(name)
        if param is None:
            hint = meant(name, stage.params) or "; it has none"
            message: str | None = f'stage type "{stage.name}" has no option "{name}"{hint}'
        else:
            message = param_problem(param, value)
        if message is not None:
            problems.append(Problem((*path, "params", name), message))
    return problems


def check_engine(engine: EngineSpec, stage: StageType, path: PathKey) -> list[Problem]:
    """No option of another kind of engine: it would be without effect."""
    return [
        Problem(
            (*path, "engine", to_camel(name)), f'has no effect: stage type "{stage.name}" has the {stage.engine} engine'
        )
        for name in _OF_OTHERS[stage.engine]
        if getattr(engine, name) is not None
    ]


def check_draft(draft: DraftSpec | None, stage: StageType, family: Family, path: PathKey) -> list[Problem]:
    if draft is None:
        return []
    if stage.engine is not EngineKind.AUTOREGRESSIVE:
        message = f'has no effect: stage type "{stage.name}" has the {stage.engine} engine'
        return [Problem((*path, "draft"), message)]
    return _check_source(draft.source, family, (*path, "draft", "source"))


def _check_source(url: str, family: Family, path: PathKey) -> list[Problem]:
    try:
        source = parse_source(url)
    except ValueError as error:
        return [Problem(path, str(error))]
    if source.scheme not in family.sources:
        return [Problem(path, f"the {family.name} family loads from {_schemes(family)}, not {source.scheme}://")]
    return []


def _schemes(family: Family) -> str:
    return listed(f"{scheme}://" for scheme in family.sources)


def _check_gateway(gateway: GatewaySpec) -> Iterator[Problem]:
    path = ("spec", "gateway")
    names = gateway.served_model_names or ()
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem((*path, "servedModelNames", index), f'"{name}" is given twice')
    both = {"queue_timeout_seconds", "request_timeout_seconds"} <= gateway.model_fields_set
    if both and gateway.queue_timeout_seconds >= gateway.request_timeout_seconds:
        yield Problem(
            (*path, "queueTimeoutSeconds"),
            f"must be less than requestTimeoutSeconds ({gateway.request_timeout_seconds:g}), "
            f"got {gateway.queue_timeout_seconds:g}",
        )


def _check_transport(transport: TransportSpec) -> Iterator[Problem]:
    path = ("spec", "transport")
    heartbeat, dead = transport.heartbeat_seconds, transport.dead_after_seconds
    if dead < 2 * heartbeat:
        yield Problem(
            (*path, "deadAfterSeconds"),
            f"must be at least twice heartbeatSeconds ({heartbeat:g}), or one late heartbeat is a death; got {dead:g}",
        )
    if transport.stalled_after_seconds <= dead:
        yield Problem(
            (*path, "stalledAfterSeconds"),
            f"must be more than deadAfterSeconds ({dead:g}), got {transport.stalled_after_seconds:g}",
        )
    if transport.max_message_bytes <= transport.inline_limit_bytes:
        yield Problem(
            (*path, "maxMessageBytes"),
            f"must be more than inlineLimitBytes ({transport.inline_limit_bytes}), got {transport.max_message_bytes}",
        )
