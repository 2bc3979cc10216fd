"""What the operator sees of one pipeline at one moment, and what it wants done about it. Data alone: `decide` turns the
first into the second, `reconcile` fetches the one and carries out the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Decision", "GatewayReport", "Note", "Object", "Observed", "Ref", "StageRoutes", "ref_of"]

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Names one object in the pipeline's namespace."""

    api_version: str
    kind: str
    name: str


def ref_of(value: Object) -> Ref:
    return Ref(value["apiVersion"], value["kind"], value["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class StageRoutes:
    """A row of a gateway's `/health`."""

    replicas: int
    routable: int
    queued: int
    running: int


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What one gateway pod says of itself."""

    pod: str
    revision: str
    ready: bool
    draining: bool
    in_flight: int
    stages: Mapping[str, StageRoutes]


@dataclass(frozen=True, slots=True)
class Observed:
    pipeline: Object
    children: tuple[Object, ...]
    """Every object that carries the pipeline's label and is of a kind that we make: Deployments, Services, ConfigMaps,
    Secrets (metadata and keys of `data` kept), OmniStages, Jobs, PersistentVolumeClaims, ... Those that are being
    deleted included. Whether we own it is in its ownerReferences."""
    named: Mapping[Ref, Object] = field(default_factory=dict)
    """Objects that the manifest refers to and others made: Secrets with tokens, existing claims; absent: not there.
    Also what stands, without our label, under a name that we would give: it was found when it was to be created."""
    pods: tuple[Object, ...] = ()
    """All pods with the pipeline's label."""
    last_log_lines: Mapping[str, str] = field(default_factory=dict)
    """Pod name -> last line that its failed container wrote, for containers that crash again and again."""
    last_warnings: Mapping[str, str] = field(default_factory=dict)
    """Pod name -> what its node warned of last, as `FailedMount: the message`, for pods whose containers do not come to
    be: a volume that cannot be mounted is told in an event and nowhere else."""
    gateways: tuple[GatewayReport, ...] = ()
    """Of the gateway pods that answered just now."""
    refusals: Mapping[Ref, str] = field(default_factory=dict)
    """What the API server said to our last write of a child, where it refused it (a quota, a podTemplate that is not
    valid): the child does not stand, and writing it again is tried with growing pauses."""
    kinds: frozenset[str] = frozenset()
    """Optional kinds that the cluster has, as `apiVersion/Kind`: `monitoring.coreos.com/v1/ServiceMonitor`, ..."""
    now: float = 0.0
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Note:
    """An event for `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that should be so. The shell applies what differs, in this order, and deletes last."""

    apply: tuple[Object, ...]
    """Complete desired children, to be applied server-side under our one field manager."""
    delete: tuple[Ref, ...] = ()
    status: Object | None = None
    """The whole desired status of the OmniPipeline; written only when it differs."""
    stage_statuses: Mapping[str, Object] = field(default_factory=dict)
    """OmniStage name -> its whole desired status."""
    notes: tuple[Note, ...] = ()
    """Events, each once for each change of what it says: the shell drops repetitions."""
    again_after_s: float | None = None
    """Look again after this long, without being told: a wait that nothing in the cluster will announce."""
