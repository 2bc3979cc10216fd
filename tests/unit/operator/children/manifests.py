"""Pipelines to render: one with nothing said, one that says everything, and what lies between."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from omnipipe.families.echo.graph import FAMILY
from omnipipe.spec.family import Family
from omnipipe.spec.reader import ValidatedPipeline, read_object
from omnipipe.spec.sources import SCHEMES
from omnipipe_operator.children import Cohort, Owner, cohort_objects, fetch_job, make_cohort, standing_objects
from omnipipe_operator.observed import Object
from omnipipe_operator.settings import OperatorSettings

__all__ = ["ALL_KINDS", "ALL_OPTIONS", "OWNER", "SETTINGS", "SHARED", "Rendered", "cohort_of", "job_of", "render",
           "validated"]  # fmt: skip

SETTINGS = OperatorSettings(gateway_image="example.com/gateway:1", stage_image="example.com/stage:1")
OWNER = Owner("assistant", "serving", "11111111-2222-3333-4444-555555555555")
ALL_KINDS = frozenset({"monitoring.coreos.com/v1/PodMonitor", "gateway.networking.k8s.io/v1/HTTPRoute"})
_WEIGHTY = dataclasses.replace(FAMILY, name="weighty", needs_source=True, sources=tuple(SCHEMES))
"""The echo family's graph, with weights to load."""

ALL_OPTIONS: Mapping[str, Any] = {
    "model": {
        "family": "weighty",
        "source": "hf://owner/model@main",
        "tokenSecret": {"name": "hub", "key": "token"},
        "cache": {"type": "SharedClaim", "size": "200Gi", "storageClassName": "fast", "accessMode": "ReadWriteMany"},
    },
    "pod": {
        "image": "example.com/own-stage@sha256:" + "0" * 64,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSecrets": ["registry"],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "serving",
        "runtimeClassName": "nvidia",
        "serviceAccountName": "pipelines",
        "env": [
            {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"},
            {"name": "FROM_SECRET", "secretKeyRef": {"name": "settings", "key": "one"}},
            {"name": "FROM_MAP", "configMapKeyRef": {"name": "settings-map", "key": "two"}},
        ],
        "topologySpread": "Zones",
        "terminationGracePeriodSeconds": 90,
        "sharedMemory": "4Gi",
        "labels": {"team": "speech"},
        "annotations": {"example.com/note": "all"},
        "podTemplate": {
            "metadata": {"labels": {"tier": "models"}},
            "spec": {"dnsConfig": {"options": [{"name": "ndots", "value": "2"}]}, "schedulerName": "own"},
        },
    },
    "stages": [
        {
            "name": "compose",
            "autoscaling": {"minReplicas": 2, "maxReplicas": 8, "targetCPUUtilizationPercentage": 60},
        },
        {
            "name": "synth",
            "replicas": 3,
            "pod": {
                "resources": {"limits": {"nvidia.com/gpu": 1}},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
                "podTemplate": {
                    "spec": {
                        "containers": [
                            {"name": "stage", "livenessProbe": {"periodSeconds": 30}},
                            {
                                "name": "sidecar",
                                "image": "example.com/sidecar:1",
                                "securityContext": {
                                    "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]},
                                },
                            },
                        ]
                    }
                },
            },
        },
    ],
    "gateway": {
        "replicas": 2,
        "apiKeysSecret": {"name": "clients", "key": "keys.txt"},
        "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.com/internal": "true"}},
        "ingress": {
            "host": "models.example.com",
            "className": "nginx",
            "tlsSecretName": "certificate",
            "annotations": {"example.com/timeout": "600"},
        },
        "httpRoute": {
            "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
            "hostnames": ["models.example.com"],
        },
        "pod": {"resources": {"requests": {"cpu": "250m"}}, "image": "example.com/own-gateway:2"},
    },
    "rollout": {"strategy": "Recreate", "progressDeadlineSeconds": 1800},
    "networkPolicy": {"clientSelectors": [{"namespaceLabels": {"team": "apps"}, "podLabels": {"role": "client"}}]},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"},
    "disruptionBudget": {"maxUnavailable": 2},
}


SHARED: Mapping[str, Any] = {
    "model": {"family": "weighty", "source": "hf://owner/model", "cache": {"type": "SharedClaim", "size": "9Gi"}}
}


@dataclasses.dataclass(frozen=True)
class Rendered:
    pipeline: ValidatedPipeline
    cohort: Cohort
    objects: list[Object]

    def one(self, kind: str, name: str) -> Object:
        """`name`: without the pipeline's, and with `REV` for the revision."""
        full = "-".join(part for part in (OWNER.name, name.replace("REV", self.cohort.revision)) if part)
        [found] = [o for o in self.objects if o["kind"] == kind and o["metadata"]["name"] == full]
        return found

    def names(self, kind: str) -> list[str]:
        found = [o["metadata"]["name"] for o in self.objects if o["kind"] == kind]
        return [name.replace(self.cohort.revision, "REV").removeprefix(f"{OWNER.name}-") for name in found]

    def pod(self, name: str) -> Object:
        """Spec of the pods of a Deployment."""
        spec: Object = self.one("Deployment", name)["spec"]["template"]["spec"]
        return spec


def validated(spec: Mapping[str, Any] | None = None) -> ValidatedPipeline:
    """`spec` without a model is that of an echo pipeline."""
    metadata = {"name": OWNER.name, "namespace": OWNER.namespace}
    body = {"model": {"family": "echo"}, **(spec or {})}
    value = {"apiVersion": "omnipipe.dev/v1alpha1", "kind": "OmniPipeline", "metadata": metadata, "spec": body}
    return read_object(value, _family, ["echo", "weighty"])


def cohort_of(pipeline: ValidatedPipeline, settings: OperatorSettings = SETTINGS, **more: Any) -> Cohort:
    given = {"curve_secret": "assistant-curve-0a1b2c3d", **more}
    return make_cohort(pipeline, OWNER, settings, given.pop("children", ()), **given)


def render(
    spec: Mapping[str, Any] | None = None,
    settings: OperatorSettings = SETTINGS,
    *,
    kinds: frozenset[str] = ALL_KINDS,
    **more: Any,
) -> Rendered:
    """Everything but the Secret and the Job, with as many replicas as the manifest says, or one."""
    pipeline = validated(spec)
    cohort = cohort_of(pipeline, settings, **more)
    given = {stage.name: stage.replicas or 1 for stage in pipeline.pipeline.spec.stages}
    replicas = {stage.name: given.get(stage.name, 1) for stage in cohort.plan.stages}
    gateways = pipeline.pipeline.spec.gateway.replicas
    objects = standing_objects(pipeline, OWNER, serving=cohort.revision, kinds=kinds)
    objects += cohort_objects(pipeline, OWNER, cohort, settings, replicas=replicas, gateway_replicas=gateways)
    return Rendered(pipeline, cohort, objects)


def job_of(spec: Mapping[str, Any]) -> Object:
    """That fetches the model."""
    pipeline = validated(spec)
    job = fetch_job(pipeline, OWNER, cohort_of(pipeline), SETTINGS)
    assert job is not None
    return job


def _family(name: str) -> Family | None:
    return {"echo": FAMILY, "weighty": _WEIGHTY}.get(name)
