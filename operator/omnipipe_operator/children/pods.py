"""A pod template around our containers: what every pod of a pipeline has, whichever its component.

The result satisfies the `restricted` Pod Security Standard as long as the manifest's podTemplate does not undo it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from omnipipe.spec.pods import PodFields, PodTemplate
from omnipipe_operator.children.containers import FETCH, GATEWAY, STAGE, TEMPORARY_VOLUME
from omnipipe_operator.children.labels import Component, all_labels, selector
from omnipipe_operator.children.merge import merged
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["GROUP_READS", "PodParts", "pod_template"]

GROUP_READS: Final = 0o440
"""Mode of files with secrets: for the pod's own group alone."""
_USER: Final = 65532
"""The images' own user, `nonroot` by custom."""
_OURS: Final = frozenset({STAGE, GATEWAY, FETCH})
_TOPOLOGY: Final = {"Hosts": "kubernetes.io/hostname", "Zones": "topology.kubernetes.io/zone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PodParts:
    """What differs between the components' pods."""

    component: Component
    fields: PodFields
    templates: tuple[PodTemplate, ...]
    containers: list[Object]
    init_containers: list[Object]
    volumes: list[Object]
    annotations: Mapping[str, str]
    grace_period_s: int
    stage: str = ""
    revision: str = ""
    takes_sidecars: bool = True
    """Whether a podTemplate may bring further containers: a Job with one that does not end never ends."""


def pod_template(owner: Owner, parts: PodParts, settings: OperatorSettings) -> Object:
    """Whatever the manifest says, the labels that selectors go by are ours."""
    template: Object = {
        "metadata": {"labels": dict(parts.fields.labels), "annotations": dict(parts.fields.annotations)},
        "spec": _pod_spec(owner, parts, settings),
    }
    for patch in parts.templates:
        template = merged(template, _fitting(patch.to_object(), template, parts))
    own = all_labels(owner.name, parts.component, stage=parts.stage, revision=parts.revision)
    metadata = template["metadata"]
    annotations = {**metadata.get("annotations", {}), **parts.annotations}
    return {
        "metadata": {"labels": {**metadata.get("labels", {}), **own}, "annotations": annotations},
        "spec": template["spec"],
    }


def _pod_spec(owner: Owner, parts: PodParts, settings: OperatorSettings) -> Object:
    fields = parts.fields
    policy = fields.image_pull_policy or settings.image_pull_policy
    pulled: Object = {} if policy is None else {"imagePullPolicy": policy}
    spec: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # or each pod gets variables for every Service of the namespace
        "terminationGracePeriodSeconds": parts.grace_period_s,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{**container, **pulled} for container in parts.containers],
        "volumes": [*parts.volumes, {"name": TEMPORARY_VOLUME, "emptyDir": {}}],
    }
    if parts.init_containers:
        spec["initContainers"] = [{**container, **pulled} for container in parts.init_containers]
    spec |= _placement(owner, parts)
    secrets = dict.fromkeys((*settings.image_pull_secrets, *fields.image_pull_secrets))
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    return spec


def _placement(owner: Owner, parts: PodParts) -> Object:
    fields = parts.fields
    found: Object = {
        name: value
        for name, value in (
            ("priorityClassName", fields.priority_class_name),
            ("runtimeClassName", fields.runtime_class_name),
            ("serviceAccountName", fields.service_account_name),
        )
        if value is not None
    }
    if fields.node_selector:
        found["nodeSelector"] = dict(fields.node_selector)
    if fields.tolerations:
        found["tolerations"] = [one.model_dump(by_alias=True, exclude_none=True) for one in fields.tolerations]
    key = _TOPOLOGY.get(fields.topology_spread or "Hosts")
    if key is not None and parts.revision:
        own = selector(owner.name, parts.component, stage=parts.stage, revision=parts.revision)
        found["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": own},
            }
        ]
    return found


def _fitting(patch: Object, template: Object, parts: PodParts) -> Object:
    """The part of a podTemplate that is meant for this pod: `spec.pod`'s is for all, and speaks of containers called
    `stage`, `gateway` and `fetch` that not all of them have."""
    spec: Mapping[str, Any] = patch.get("spec", {})
    result = dict(spec)
    for kind in ("containers", "initContainers"):
        if isinstance(spec.get(kind), list):
            there = {container["name"] for container in template["spec"].get(kind, ())}
            result[kind] = list(_kept_containers(spec[kind], there, parts.takes_sidecars))
            if not result[kind]:
                del result[kind]
    return {**patch, "spec": result}


def _kept_containers(given: Iterable[Any], there: set[str], takes_others: bool) -> Iterable[Any]:
    for container in given:
        name = container.get("name") if isinstance(container, Mapping) else None
        if name in there or (takes_others and name not in _OURS):
            yield container
