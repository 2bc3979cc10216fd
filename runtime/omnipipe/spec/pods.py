"""What the manifest may say of a pod. It has its effect on a cluster only.

The common things have fields of their own; `podTemplate` has the rest. `pod_merge` puts the fields of all pods and
those of a stage's or the gateway's together.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from omnipipe.spec.opaque import Opaque
from omnipipe.spec.scalars import (
    Annotation,
    EnvName,
    ImageRef,
    LabelKey,
    LabelValue,
    ObjectName,
    Quantity,
    ResourceName,
    SecretEntry,
)
from omnipipe.spec.section import Section

__all__ = [
    "EnvVar",
    "KeyRef",
    "PodFields",
    "PodTemplate",
    "PodTemplateMetadata",
    "Resources",
    "StagePodFields",
    "Toleration",
    "TopologySpread",
]

TopologySpread = Literal["Hosts", "Zones", "None"]


class KeyRef(Section):
    name: ObjectName = Field(description="Name of the object, in the pipeline's namespace.")
    key: SecretEntry = Field(description="Key of the value in that object.")


class Resources(Section):
    requests: dict[ResourceName, Quantity] = Field(
        default={},
        max_length=16,
        description="What the scheduler sets aside for each pod, such as cpu: 500m, memory: 2Gi. At most its limit.",
    )
    limits: dict[ResourceName, Quantity] = Field(
        default={},
        max_length=16,
        description="What a pod gets at most, such as memory: 2Gi. Devices are given here: nvidia.com/gpu: 1. "
        "A limit of cpu is also how many threads a stage computes with.",
    )


class Toleration(Section):
    key: LabelKey | None = Field(
        default=None, description="Key of the taints that are tolerated; left out, with operator Exists: all of them."
    )
    operator: Literal["Equal", "Exists"] | None = Field(
        default=None, description="Equal compares `value`, Exists takes any value. Equal if left out."
    )
    value: LabelValue | None = Field(default=None, description="Value of the taint; only with operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taints that are tolerated; left out: all three."
    )
    toleration_seconds: Annotated[int, Field(ge=0, le=(1 << 53) - 1)] | None = Field(
        default=None, description="Seconds until the pod has to leave all the same; only with effect NoExecute."
    )


class EnvVar(Section):
    """Exactly one of value, secretKeyRef and configMapKeyRef."""

    name: EnvName = Field(description="Name of the environment variable.")
    value: Annotated[str, Field(max_length=32768)] | None = Field(default=None, description="The value itself.")
    secret_key_ref: KeyRef | None = Field(
        default=None, description="The Secret, and the key in it, that has the value."
    )
    config_map_key_ref: KeyRef | None = Field(
        default=None, description="The ConfigMap, and the key in it, that has the value."
    )


class PodTemplateMetadata(Section):
    labels: dict[LabelKey, LabelValue] = Field(default={}, max_length=64, description="Further labels of the pods.")
    annotations: dict[LabelKey, Annotation] = Field(
        default={}, max_length=64, description="Further annotations of the pods."
    )


class PodTemplate(Section):
    """Everything that has no field of its own."""

    metadata: PodTemplateMetadata = Field(
        default=PodTemplateMetadata(), description="Further labels and annotations of the pods."
    )
    spec: Opaque = Field(
        default={},
        description="A part of a PodSpec, merged over the operator's as `kubectl patch --type=strategic` does: "
        "lists by their entries' names. The process runs in the container called `stage`, or `gateway`.",
    )

    def to_object(self) -> dict[str, Any]:
        """As Kubernetes writes it, without what is not there."""
        metadata = self.metadata.model_dump(by_alias=True, exclude_defaults=True)
        return ({"metadata": metadata} if metadata else {}) | ({"spec": self.spec} if self.spec else {})


class PodFields(Section):
    image: ImageRef | None = Field(
        default=None,
        description="Container image. Left out: the operator's own. In spec.pod it is the image of the stages; the "
        "gateway's has a field of its own.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When a node pulls the image again. Left out: as the operator was told."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), strict=False, max_length=16, description="Names of the Secrets that open the images' registry."
    )
    resources: Resources = Field(
        default=Resources(),
        description="CPU, memory and devices of each pod. In spec.pod they are those of the stages; the gateway's have "
        "a field of their own. A stage's are added to these by name.",
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=32, description="Labels that a node must have. Added to those of spec.pod."
    )
    tolerations: tuple[Toleration, ...] = Field(
        default=(),
        strict=False,
        max_length=32,
        description="Taints of nodes that are no obstacle. Added to spec.pod's.",
    )
    priority_class_name: ObjectName | None = Field(
        default=None, description="PriorityClass: who gives way when there is no room."
    )
    runtime_class_name: ObjectName | None = Field(
        default=None,
        description="RuntimeClass, such as nvidia. In spec.pod it is that of the stages; the gateway's has a field of "
        "its own.",
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="ServiceAccount of the pods. No token of it is mounted."
    )
    env: tuple[EnvVar, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        description="Further environment variables, by name. Added to those of spec.pod.",
    )
    topology_spread: TopologySpread | None = Field(
        default=None,
        description="What replicas are spread over where there is room: Hosts, Zones or None. Hosts if left out.",
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=15, le=86400)] | None = Field(
        default=None,
        description="Seconds that a pod gets to finish its requests before it is killed. The last ten are not for "
        "requests. Left out: as the operator was told.",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default={}, max_length=64, description="Further labels of the pods. Added to those of spec.pod."
    )
    annotations: dict[LabelKey, Annotation] = Field(
        default={}, max_length=64, description="Further annotations of the pods. Added to those of spec.pod."
    )
    pod_template: PodTemplate | None = Field(
        default=None,
        description="Everything else that a pod can have, merged in last; first that of spec.pod, then the more "
        "particular one.",
    )


class StagePodFields(PodFields):
    shared_memory: Quantity | None = Field(
        default=None,
        description="Size of /dev/shm, such as 8Gi; counts towards the memory of the pod. 64Mi if left out.",
    )
