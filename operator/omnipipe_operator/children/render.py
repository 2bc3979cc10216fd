"""From a pipeline to the objects it owns on a cluster: those of a cohort, and those that outlive cohorts.

Pure and quick: every reconcile renders everything, and compares.
"""

from collections.abc import Mapping

from omnipipe.spec.manifest import PipelineSpec
from omnipipe.spec.reader import ValidatedPipeline
from omnipipe_operator.children.cohort import Cohort, plan_config_map
from omnipipe_operator.children.labels import Component
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.children.models import weights_of
from omnipipe_operator.children.monitors import POD_MONITOR, pod_monitors
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.children.policies import fetch_policy, gateway_policy, stage_policy
from omnipipe_operator.children.scaling import autoscaler, disruption_budget, omni_stage
from omnipipe_operator.children.services import HTTP_ROUTE, client_service, http_route, ingress, relay_service
from omnipipe_operator.children.workloads import gateway_deployment, stage_deployment
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["cohort_objects", "standing_objects"]


def cohort_objects(
    pipeline: ValidatedPipeline,
    owner: Owner,
    cohort: Cohort,
    settings: OperatorSettings,
    *,
    replicas: Mapping[str, int],
    gateway_replicas: int,
) -> list[Object]:
    """In the order in which they should come to be: pods last, when all that they need is there."""
    stages = [stage.name for stage in cohort.plan.stages]
    objects = [plan_config_map(owner, cohort)]
    objects += [relay_service(owner, stage, cohort.revision) for stage in stages]
    policy = pipeline.pipeline.spec.network_policy
    if policy.enabled:
        fetches = weights_of(pipeline.pipeline.spec.model, owner).fetched_by == "pod"
        objects += [stage_policy(owner, cohort.plan, stage, fetches=fetches) for stage in stages]
        objects.append(gateway_policy(owner, cohort.plan, policy, settings))
    objects += [stage_deployment(pipeline, owner, cohort, settings, stage, replicas[stage]) for stage in stages]
    objects.append(gateway_deployment(pipeline, owner, cohort, settings, gateway_replicas))
    return objects


def standing_objects(
    pipeline: ValidatedPipeline,
    owner: Owner,
    *,
    serving: str,
    kinds: frozenset[str],
    held: Mapping[str, int] | None = None,
) -> list[Object]:
    """What the pipeline has once, whatever cohorts there are. `serving`: the revision that clients get. `kinds`: those
    that the cluster has beyond Kubernetes' own, as `apiVersion/Kind`. `held`: see `held_replicas`."""
    spec = pipeline.pipeline.spec
    objects = _model_objects(spec, owner)
    objects += _stage_objects(pipeline, owner, held or {})
    if spec.disruption_budget.enabled:
        objects.append(disruption_budget(owner, Component.GATEWAY, "", spec.disruption_budget.max_unavailable))
    if spec.monitoring.enabled and POD_MONITOR in kinds:
        objects += pod_monitors(owner, spec.monitoring)
    objects.append(client_service(owner, spec.gateway, serving))
    if spec.gateway.ingress is not None:
        objects.append(ingress(owner, spec.gateway.ingress))
    if spec.gateway.http_route is not None and HTTP_ROUTE in kinds:
        objects.append(http_route(owner, spec.gateway.http_route, spec.gateway.service.port))
    return objects


def _stage_objects(pipeline: ValidatedPipeline, owner: Owner, held: Mapping[str, int]) -> list[Object]:
    spec = pipeline.pipeline.spec
    given = {stage.name: stage for stage in spec.stages}
    names_of_all = given if spec.edges is not None else [stage.name for stage in pipeline.family.stages]
    objects = []
    for name in names_of_all:
        stage = given.get(name)
        replicas = stage.replicas if stage is not None else None
        objects.append(omni_stage(owner, name, held.get(name) if replicas is None else replicas))
        if spec.disruption_budget.enabled:
            objects.append(disruption_budget(owner, Component.STAGE, name, spec.disruption_budget.max_unavailable))
        if stage is not None and stage.autoscaling is not None:
            objects.append(autoscaler(owner, name, stage.autoscaling))
    return objects


def _model_objects(spec: PipelineSpec, owner: Owner) -> list[Object]:
    """The volume to fetch the model into, and the way out for the pod that does. (The Job itself is `fetch_job`.)"""
    weights = weights_of(spec.model, owner)
    if weights.fetched_by != "job":
        return []
    objects = [fetch_policy(owner)] if spec.network_policy.enabled else []
    cache = spec.model.cache
    if cache.type == "SharedClaim":
        body: Object = {
            "accessModes": [cache.access_mode],
            "resources": {"requests": {"storage": str(cache.size)}},
        }
        if cache.storage_class_name is not None:
            body["storageClassName"] = cache.storage_class_name
        head = metadata(owner, weights.claim, Component.MODEL)
        objects.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": head, "spec": body})
    return objects
