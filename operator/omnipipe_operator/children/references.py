"""Objects that a manifest names and others make: without them its pods do not start."""

from collections.abc import Iterator

from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.pods import PodFields
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe.spec.sources import parse_source
from omnipipe_operator.observed import Ref

__all__ = ["references"]


def references(pipeline: ValidatedPipeline) -> tuple[Ref, ...]:
    """Sorted. Not those that a podTemplate names, which is opaque, and not pull secrets and certificates, for which
    Kubernetes itself does not wait."""
    return tuple(sorted(set(_found(pipeline.pipeline.spec))))


def _found(spec: PipelineSpec) -> Iterator[Ref]:
    for key in (spec.model.token_secret, spec.gateway.api_keys_secret):
        if key is not None:
            yield Ref("v1", "Secret", key.name)
    if spec.model.source is not None:
        source = parse_source(spec.model.source)
        if source.scheme == "pvc":
            yield Ref("v1", "PersistentVolumeClaim", source.location.partition("/")[0])
        elif source.scheme == "hf" and spec.model.cache.claim_name is not None:
            yield Ref("v1", "PersistentVolumeClaim", spec.model.cache.claim_name)
    for fields in (spec.pod, spec.gateway.pod, *(stage.pod for stage in spec.stages)):
        yield from _of_pod(fields)


def _of_pod(fields: PodFields) -> Iterator[Ref]:
    for variable in fields.env:
        if variable.secret_key_ref is not None:
            yield Ref("v1", "Secret", variable.secret_key_ref.name)
        if variable.config_map_key_ref is not None:
            yield Ref("v1", "ConfigMap", variable.config_map_key_ref.name)
