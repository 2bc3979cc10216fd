"""The Deployments of a cohort, and the Job that fetches a model for all its pods."""

from typing import Final

from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.pod_merge import gateway_pod, gateway_templates, stage_pod, stage_templates
from omnipipe.spec.pods import PodFields
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe_operator.children import labels, names
from omnipipe_operator.children.cohort import Cohort
from omnipipe_operator.children.containers import (
    API_KEYS_VOLUME,
    CURVE_VOLUME,
    PLAN_VOLUME,
    SHARED_MEMORY_VOLUME,
    fetch_container,
    gateway_container,
    stage_container,
)
from omnipipe_operator.children.curve import CLIENT_FILES
from omnipipe_operator.children.hashing import gateway_part, json_hash, stage_part
from omnipipe_operator.children.labels import Component
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.models import Weights, drafts_of, weights_of
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.children.pods import GROUP_READS, PodParts, pod_template
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["fetch_job", "gateway_deployment", "stage_deployment"]

_SHARED_MEMORY: Final = "64Mi"
"""What container runtimes give a /dev/shm by themselves."""
_HISTORY: Final = 2
"""Old ReplicaSets that are kept, for `kubectl rollout history`: what was is in the manifest's own history."""
_SURGE: Final = {"maxSurge": "25%", "maxUnavailable": 0}
"""Rounded up: one at a time for up to four replicas."""
_NO_SPARE: Final = {"maxSurge": 0, "maxUnavailable": 1}
_FETCH_ATTEMPTS: Final = 6
_FETCH_GRACE_S: Final = 30


def stage_deployment(
    pipeline: ValidatedPipeline, owner: Owner, cohort: Cohort, settings: OperatorSettings, stage: str, replicas: int
) -> Object:
    spec = pipeline.pipeline.spec
    fields = stage_pod(spec, stage)
    image = fields.image or cohort.images.stage
    weights = weights_of(spec.model, owner)
    grace_s = fields.termination_grace_period_seconds or settings.termination_grace_s
    shared_memory: Object = {"medium": "Memory", "sizeLimit": fields.shared_memory or _SHARED_MEMORY}
    parts = PodParts(
        component=Component.STAGE,
        stage=stage,
        revision=cohort.revision,
        fields=fields,
        templates=stage_templates(spec, stage),
        containers=[stage_container(stage, image, fields, weights, grace_s)],
        init_containers=_fetch(spec, image, fields, weights, drafts_of(spec, stage))
        if weights.fetched_by == "pod"
        else [],
        volumes=[
            *_volumes(owner, cohort),
            {"name": SHARED_MEMORY_VOLUME, "emptyDir": shared_memory},
            *weights.volumes,
        ],
        annotations=_annotations(cohort, stage_part(cohort.plan, stage)),
        grace_period_s=grace_s,
    )
    rolling = _NO_SPARE if spec.rollout.strategy == "Recreate" else _SURGE
    name = names.stage_workload(owner.name, stage, cohort.revision)
    return _deployment(owner, parts, settings, name, replicas, rolling, spec)


def gateway_deployment(
    pipeline: ValidatedPipeline, owner: Owner, cohort: Cohort, settings: OperatorSettings, replicas: int
) -> Object:
    """A gateway dials and is not dialled: it gets no server's key."""
    spec = pipeline.pipeline.spec
    fields = gateway_pod(spec)
    grace_s = fields.termination_grace_period_seconds or settings.termination_grace_s
    api_keys = spec.gateway.api_keys_secret
    volumes = _volumes(owner, cohort, files=CLIENT_FILES)
    if api_keys is not None:
        items = [{"key": api_keys.key, "path": "keys"}]
        secret = {"secretName": api_keys.name, "defaultMode": GROUP_READS, "items": items}
        volumes.append({"name": API_KEYS_VOLUME, "secret": secret})
    image = fields.image or cohort.images.gateway
    parts = PodParts(
        component=Component.GATEWAY,
        revision=cohort.revision,
        fields=fields,
        templates=gateway_templates(spec),
        containers=[gateway_container(image, fields, grace_s, api_keys=api_keys is not None)],
        init_containers=[],
        volumes=volumes,
        annotations=_annotations(cohort, gateway_part(cohort.plan)),
        grace_period_s=grace_s,
    )
    name = names.gateway_workload(owner.name, cohort.revision)
    return _deployment(owner, parts, settings, name, replicas, _SURGE, spec)


def fetch_job(pipeline: ValidatedPipeline, owner: Owner, cohort: Cohort, settings: OperatorSettings) -> Object | None:
    """None when the model needs no such Job. Its name is the model's: fetching it once is enough."""
    spec = pipeline.pipeline.spec
    weights = weights_of(spec.model, owner)
    if weights.fetched_by != "job":
        return None
    drafts = drafts_of(spec)
    fields = spec.pod.model_copy(update={"runtime_class_name": None})
    image = fields.image or cohort.images.stage
    parts = PodParts(
        component=Component.FETCH,
        fields=fields,
        templates=() if spec.pod.pod_template is None else (spec.pod.pod_template,),
        containers=_fetch(spec, image, fields, weights, drafts),
        init_containers=[],
        volumes=[weights.writable_volume],
        annotations={},
        grace_period_s=_FETCH_GRACE_S,
        takes_sidecars=False,
    )
    template = pod_template(owner, parts, settings)
    template["spec"]["restartPolicy"] = "Never"  # so that a failed pod stays, with what it wrote last
    job_spec: Object = {"backoffLimit": _FETCH_ATTEMPTS, "template": template}
    name = names.fetch_job(owner.name, json_hash([weights.source, weights.claim, *drafts]))
    head = metadata(owner, name, Component.FETCH)
    head["annotations"] = {labels.TEMPLATE: json_hash(job_spec, 16)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": head, "spec": job_spec}


def _deployment(
    owner: Owner,
    parts: PodParts,
    settings: OperatorSettings,
    name: str,
    replicas: int,
    rolling: Object,
    spec: PipelineSpec,
) -> Object:
    own = {"stage": parts.stage, "revision": parts.revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, name, parts.component, **own),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": _HISTORY,
            "progressDeadlineSeconds": spec.rollout.progress_deadline_seconds,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": dict(rolling)},
            "selector": {"matchLabels": labels.selector(owner.name, parts.component, **own)},
            "template": pod_template(owner, parts, settings),
        },
    }


def _fetch(
    spec: PipelineSpec, image: str, fields: PodFields, weights: Weights, drafts: tuple[str, ...]
) -> list[Object]:
    secret = spec.model.token_secret
    token: Object | None = None
    if secret is not None:
        token = {"secretKeyRef": {"name": secret.name, "key": secret.key}}
    return [fetch_container([str(weights.source), *drafts], image, fields, weights, token)]


def _volumes(owner: Owner, cohort: Cohort, *, files: tuple[str, ...] = ()) -> list[Object]:
    """`files`: of the keys, these alone."""
    secret: Object = {"secretName": cohort.curve_secret, "defaultMode": GROUP_READS}
    if files:
        secret["items"] = [{"key": file, "path": file} for file in files]
    return [
        {"name": PLAN_VOLUME, "configMap": {"name": names.plan(owner.name, cohort.revision)}},
        {"name": CURVE_VOLUME, "secret": secret},
    ]


def _annotations(cohort: Cohort, plan_hash: str) -> dict[str, str]:
    restart = {labels.RESTART: cohort.restart} if cohort.restart else {}
    return {labels.PLAN_HASH: plan_hash, **restart}
