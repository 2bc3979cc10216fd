"""Rules between the fields that have their effect on a cluster. `cluster_cel` says those that CEL can say."""

from collections.abc import Iterator, Sequence
from typing import Final

from omnipipe.spec.cluster_fields import Autoscaling, Cache, HttpRoute, NetworkPolicy
from omnipipe.spec.errors import PathKey, Problem
from omnipipe.spec.manifest import ModelSpec, PipelineSpec, StageSpec
from omnipipe.spec.opaque import METRIC_TYPES
from omnipipe.spec.pod_rules import check_pod
from omnipipe.spec.suggest import listed, shown

__all__ = ["FETCHED", "check_cluster"]

FETCHED: Final = ("hf", "s3", "oci")
"""Source schemes whose weights come over the network, and are kept somewhere."""

_SPEC: PathKey = ("spec",)


def check_cluster(spec: PipelineSpec) -> list[Problem]:
    return [
        *_check_model(spec.model),
        *check_pod(spec.pod, (*_SPEC, "pod")),
        *(problem for index, stage in enumerate(spec.stages) for problem in _check_stage(stage, spec, index)),
        *check_pod(spec.gateway.pod, (*_SPEC, "gateway", "pod")),
        *_check_route(spec.gateway.http_route),
        *_check_network(spec.network_policy),
    ]


def _check_stage(stage: StageSpec, spec: PipelineSpec, index: int) -> Iterator[Problem]:
    path: PathKey = ("spec", "stages", index)
    if stage.autoscaling is not None:
        if stage.replicas is not None:
            yield Problem((*path, "autoscaling"), "excludes replicas; remove one of the two")
        yield from _check_autoscaling(stage.autoscaling, (*path, "autoscaling"))
    yield from check_pod(stage.pod, (*path, "pod"), spec.pod)


def _check_autoscaling(autoscaling: Autoscaling, path: PathKey) -> Iterator[Problem]:
    least, most = autoscaling.min_replicas, autoscaling.max_replicas
    if least > most:
        yield Problem((*path, "minReplicas"), f"must be at most maxReplicas ({most}), got {least}")
    if autoscaling.metrics and autoscaling.target_cpu_utilization_percentage is not None:
        yield Problem((*path, "metrics"), "excludes targetCPUUtilizationPercentage; remove one of the two")
    for index, metric in enumerate(autoscaling.metrics):
        if metric.get("type") not in METRIC_TYPES:
            got = f", got {shown(metric['type'])}" if "type" in metric else ""
            yield Problem((*path, "metrics", index, "type"), f"must be one of {listed(METRIC_TYPES)}{got}")


def _check_model(model: ModelSpec) -> Iterator[Problem]:
    path = (*_SPEC, "model")
    scheme = (model.source or "").partition("://")[0]
    if "cache" in model.model_fields_set and scheme not in FETCHED:
        known = listed(f"{name}://" for name in FETCHED)
        yield Problem((*path, "cache"), f"belongs to a source that is fetched ({known}); remove it")
    if model.token_secret is not None and scheme != "hf":
        yield Problem((*path, "tokenSecret"), "belongs to a source that is fetched with a token (hf://); remove it")
    yield from _check_cache(model.cache, (*path, "cache"))


def _check_cache(cache: Cache, path: PathKey) -> Iterator[Problem]:
    given = cache.model_fields_set
    for name, field, kind in _OF_TYPES:
        if name in given and cache.type != kind:
            yield Problem((*path, field), f"belongs to a cache of type {kind}; this one is of type {cache.type}")
    if cache.type == "ExistingClaim" and cache.claim_name is None:
        yield Problem((*path, "claimName"), "is required with type ExistingClaim")
    if cache.type == "SharedClaim" and cache.size is None:
        yield Problem((*path, "size"), "is required with type SharedClaim")


_OF_TYPES: Final = (
    ("size_limit", "sizeLimit", "EmptyDir"),
    ("claim_name", "claimName", "ExistingClaim"),
    ("size", "size", "SharedClaim"),
    ("storage_class_name", "storageClassName", "SharedClaim"),
    ("access_mode", "accessMode", "SharedClaim"),
)


def _check_route(route: HttpRoute | None) -> Iterator[Problem]:
    if route is None:
        return
    path = (*_SPEC, "gateway", "httpRoute")
    for name, field in (("parentRefs", route.parent_refs), ("hostnames", route.hostnames)):
        for index in _repeated(field):
            yield Problem((*path, name, index), "is there twice")


def _check_network(policy: NetworkPolicy) -> Iterator[Problem]:
    for index, client in enumerate(policy.client_selectors):
        if not client.namespace_labels and not client.pod_labels:
            path = (*_SPEC, "networkPolicy", "clientSelectors", index)
            yield Problem(path, "must have namespaceLabels or podLabels")


def _repeated(values: Sequence[object]) -> Iterator[int]:
    return (index for index, value in enumerate(values) if value in values[:index])
