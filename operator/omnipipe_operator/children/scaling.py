"""What keeps a stage at its size, under names that no rollout changes: OmniStage, HorizontalPodAutoscaler and
PodDisruptionBudgets."""

from typing import Final

from omnipipe.spec.cluster_fields import Autoscaling
from omnipipe.spec.manifest import API_VERSION
from omnipipe_operator.children import names
from omnipipe_operator.children.labels import Component, selector
from omnipipe_operator.children.meta import FIELD_MANAGER, metadata
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object

__all__ = ["autoscaler", "disruption_budget", "held_replicas", "omni_stage"]

_TARGET_CPU: Final = 80


def omni_stage(owner: Owner, stage: str, replicas: int | None) -> Object:
    """None: the field is others' to set. The CRD's default is 1."""
    spec: Object = {"pipeline": owner.name, "stage": stage}
    if replicas is not None:
        spec["replicas"] = replicas
    head = metadata(owner, names.stage(owner.name, stage), Component.STAGE, stage=stage)
    return {"apiVersion": API_VERSION, "kind": "OmniStage", "metadata": head, "spec": spec}


def held_replicas(live: Object) -> int | None:
    """`spec.replicas` of an OmniStage, if we own the field. A manifest that gives it no longer must go on applying it
    as it stands: server-side apply sets a field that its one owner drops back to the default."""
    for entry in live["metadata"].get("managedFields") or ():
        applied = entry.get("operation") == "Apply" and not entry.get("subresource")
        if applied and entry.get("manager") == FIELD_MANAGER and "f:replicas" in entry["fieldsV1"].get("f:spec", {}):
            return int(live["spec"]["replicas"])
    return None


def autoscaler(owner: Owner, stage: str, spec: Autoscaling) -> Object:
    target = {"apiVersion": API_VERSION, "kind": "OmniStage", "name": names.stage(owner.name, stage)}
    body: Object = {
        "scaleTargetRef": target,
        "minReplicas": spec.min_replicas,
        "maxReplicas": spec.max_replicas,
        "metrics": list(spec.metrics) or [_cpu(spec.target_cpu_utilization_percentage or _TARGET_CPU)],
    }
    if spec.behavior:
        body["behavior"] = spec.behavior
    head = metadata(owner, names.stage(owner.name, stage), Component.STAGE, stage=stage)
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": head, "spec": body}


def disruption_budget(owner: Owner, component: Component, stage: str, max_unavailable: int) -> Object:
    """A pod that does not work anyway may always go."""
    name = names.stage(owner.name, stage) if component is Component.STAGE else names.gateway(owner.name)
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, name, component, stage=stage),
        "spec": {
            "maxUnavailable": max_unavailable,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(owner.name, component, stage=stage)},
        },
    }


def _cpu(percentage: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percentage}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
