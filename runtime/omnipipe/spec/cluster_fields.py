"""Sections of the manifest that have their effect on a cluster only, beside those of the pods (`pods`).

Rules between their fields are in `cluster_rules`, and in CEL in `cluster_cel`.
"""

from typing import Annotated, Literal

from pydantic import Field

from omnipipe.spec.opaque import Metric, Opaque
from omnipipe.spec.scalars import Annotation, Duration, Hostname, LabelKey, LabelValue, ObjectName, Quantity
from omnipipe.spec.section import Section

__all__ = [
    "AccessMode",
    "Autoscaling",
    "Cache",
    "CacheType",
    "ClientSelector",
    "DisruptionBudget",
    "GatewayService",
    "HttpRoute",
    "Ingress",
    "Monitoring",
    "NetworkPolicy",
    "ParentRef",
    "Rollout",
]

CacheType = Literal["EmptyDir", "ExistingClaim", "SharedClaim"]
AccessMode = Literal["ReadWriteMany", "ReadWriteOnce"]


class Autoscaling(Section):
    """A HorizontalPodAutoscaler on the stage's OmniStage."""

    min_replicas: int = Field(default=1, ge=1, le=1000, description="Replicas that there are at least.")
    max_replicas: int = Field(ge=1, le=1000, description="Replicas that there are at most. At least minReplicas.")
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None,
        alias="targetCPUUtilizationPercentage",
        description="CPU use, in percent of what the pods request, that replicas are added and removed for. Not beside "
        "metrics; 80 if both are left out.",
    )
    metrics: tuple[Metric, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        description="What to scale by, as in a HorizontalPodAutoscaler (autoscaling/v2 MetricSpec), taken over as it "
        "stands.",
    )
    behavior: Opaque = Field(
        default={},
        description="How quickly to scale, as in a HorizontalPodAutoscaler (autoscaling/v2), taken over as it stands.",
    )


class Rollout(Section):
    strategy: Literal["Surge", "Recreate"] = Field(
        default="Surge",
        description="When the model or the graph changes: Surge starts the new stages beside the old ones, which serve "
        "until then; Recreate stops the old ones first, for clusters without spare devices.",
    )
    progress_deadline_seconds: int = Field(
        default=600,
        ge=1,
        le=604800,
        description="How long the new stages may take to become routable before the rollout counts as failed. The old "
        "ones go on serving.",
    )


class Cache(Section):
    """Where the weights are kept."""

    type: CacheType = Field(
        default="EmptyDir",
        description="EmptyDir: each pod fetches the weights for itself. SharedClaim: they are fetched once, into a "
        "volume that the operator makes for the pipeline. ExistingClaim: the same with a volume that is there.",
    )
    size_limit: Quantity | None = Field(
        default=None, description="Only with EmptyDir: largest size, such as 80Gi; left out: none."
    )
    claim_name: ObjectName | None = Field(
        default=None, description="Only with ExistingClaim, and needed there: name of the PersistentVolumeClaim."
    )
    size: Quantity | None = Field(
        default=None, description="Only with SharedClaim, and needed there: size of the volume, such as 200Gi."
    )
    storage_class_name: ObjectName | None = Field(
        default=None, description="Only with SharedClaim: its StorageClass; left out: the cluster's default."
    )
    access_mode: AccessMode = Field(
        default="ReadWriteMany",
        description="Only with SharedClaim: ReadWriteMany, or ReadWriteOnce where all pods are on one node.",
    )


class GatewayService(Section):
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP",
        description="Who reaches the Service that clients talk to: ClusterIP, NodePort, LoadBalancer.",
    )
    port: int = Field(default=80, ge=1, le=65535, description="Port of that Service.")
    annotations: dict[LabelKey, Annotation] = Field(
        default={}, max_length=64, description="Annotations of that Service: what the cloud's load balancer reads."
    )


class Ingress(Section):
    host: Hostname = Field(description="Host name under which the gateway is reached.")
    class_name: ObjectName | None = Field(
        default=None, description="IngressClass; left out: the cluster's default one."
    )
    tls_secret_name: ObjectName | None = Field(
        default=None, description="Secret with the certificate of the host; left out: no TLS."
    )
    annotations: dict[LabelKey, Annotation] = Field(
        default={}, max_length=64, description="Annotations of the Ingress: what its controller reads."
    )


class ParentRef(Section):
    name: ObjectName = Field(description="Name of the Gateway (of the Gateway API).")
    namespace: ObjectName | None = Field(default=None, description="Its namespace; left out: the pipeline's.")
    section_name: ObjectName | None = Field(default=None, description="One of its listeners; left out: all.")


class HttpRoute(Section):
    parent_refs: tuple[ParentRef, ...] = Field(
        strict=False,
        min_length=1,
        max_length=16,
        description="Gateways (of the Gateway API) that the route belongs to.",
    )
    hostnames: tuple[Hostname, ...] = Field(
        default=(), strict=False, max_length=16, description="Host names of the route; left out: those of the Gateway."
    )


class ClientSelector(Section):
    """Both given: pods with these labels in namespaces with those."""

    namespace_labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=32, description="Labels of the namespaces; left out: the pipeline's own namespace."
    )
    pod_labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=32, description="Labels of the pods; left out: all pods of these namespaces."
    )


class NetworkPolicy(Section):
    enabled: bool = Field(
        default=True,
        description="Whether stages can be reached by the gateway, by the stages before them and for metrics only.",
    )
    client_selectors: tuple[ClientSelector, ...] = Field(
        default=(), strict=False, max_length=16, description="Who may reach the gateway; left out: everybody."
    )


class Monitoring(Section):
    enabled: bool = Field(
        default=False,
        description="Whether Prometheus finds the pods through monitors (PodMonitor), where the cluster has that kind.",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=64, description="Labels of the monitors, by which a Prometheus picks them."
    )
    interval: Duration | None = Field(
        default=None, description="How often the pods are asked, such as 15s; left out: as Prometheus has it."
    )


class DisruptionBudget(Section):
    enabled: bool = Field(
        default=True, description="Whether draining nodes must leave each stage, and the gateway, their replicas."
    )
    max_unavailable: int = Field(
        default=1, ge=0, le=1000, description="Pods of a stage, or of the gateway, that may be gone at once by intent."
    )
