"""The kinds of objects that the operator reads or writes, and where the API server keeps them."""

from dataclasses import dataclass, field
from typing import Final

from omnipipe_operator.observed import Ref

__all__ = [
    "CHILD_KINDS", "EVENT", "KINDS", "LEASE", "OPTIONAL_KINDS", "PIPELINE", "POD", "SECRET", "STAGE", "Kind", "kind_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """Of objects that live in namespaces: we have no others."""

    api_version: str
    name: str
    plural: str
    key: str = field(init=False, compare=False)
    """`apps/v1/Deployment`, as in `Observed.kinds`; made once, for the cache has it beside every object."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.api_version}/{self.name}")

    @property
    def resource(self) -> str:
        """`deployments.apps`, as people and Roles call it."""
        group = self.api_version.rpartition("/")[0]
        return f"{self.plural}.{group}" if group else self.plural

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """`namespace` None: of all."""
        parts = ["/apis" if "/" in self.api_version else "/api", self.api_version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [self.plural]
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)

    def ref(self, name: str) -> Ref:
        return Ref(self.api_version, self.name, name)


PIPELINE: Final = Kind("omnipipe.dev/v1alpha1", "OmniPipeline", "omnipipelines")
STAGE: Final = Kind("omnipipe.dev/v1alpha1", "OmniStage", "omnistages")
POD: Final = Kind("v1", "Pod", "pods")
SECRET: Final = Kind("v1", "Secret", "secrets")
EVENT: Final = Kind("v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")

CHILD_KINDS: Final = (
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("v1", "Service", "services"),
    Kind("v1", "ConfigMap", "configmaps"),
    SECRET,
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
)
"""Every cluster has these. OmniStage is a child too, but comes with our own kinds."""

OPTIONAL_KINDS: Final = (
    Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors"),
    Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
)
"""Made only where the cluster has them; looked for again every now and then."""

KINDS: Final = {
    kind.key: kind for kind in (PIPELINE, STAGE, POD, EVENT, LEASE, *CHILD_KINDS, *OPTIONAL_KINDS)
}  # fmt: skip


def kind_of(ref: Ref) -> Kind:
    """Raises KeyError for a kind that nobody told us of."""
    return KINDS[f"{ref.api_version}/{ref.kind}"]
