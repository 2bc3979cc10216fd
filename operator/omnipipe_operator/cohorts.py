"""The cohorts that exist, read off the labels of their objects and pods. Which of them serves is what the client
Service selects: truth is in the cluster and never in the pipeline's own status or annotations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from omnipipe_operator.children import Owner, labels, names
from omnipipe_operator.children.labels import Component
from omnipipe_operator.instants import parse_instant
from omnipipe_operator.observed import Object, Observed
from omnipipe_operator.pods import condition_of, is_alive, is_ready, ready_count
from omnipipe_operator.workloads import Workload

__all__ = ["LiveCohort", "client_service", "live_cohorts", "selected_revision"]


@dataclass(frozen=True, slots=True)
class LiveCohort:
    revision: str
    objects: tuple[Object, ...] = ()
    """All that we own and that carries the revision."""
    stages: Mapping[str, Workload] = field(default_factory=dict)
    gateway: Workload | None = None
    stage_pods: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    gateway_pods: tuple[Object, ...] = ()
    """Pods, here and above: those that may still run something."""
    failed_pods: tuple[Object, ...] = ()
    """Those that ended and are kept for people to look at."""

    @property
    def workloads(self) -> tuple[Workload, ...]:
        return (*self.stages.values(), *((self.gateway,) if self.gateway else ()))

    @property
    def has_ready_gateway(self) -> bool:
        return any(map(is_ready, self.gateway_pods))

    @property
    def gateway_ready_at(self) -> float:
        """Since when a gateway pod has been ready that is so now."""
        instants = (parse_instant((condition_of(pod, "Ready") or {}).get("lastTransitionTime"))
                    for pod in self.gateway_pods if is_ready(pod))  # fmt: skip
        return min((instant or 0.0 for instant in instants), default=0.0)

    @property
    def is_gone(self) -> bool:
        return not (self.objects or self.gateway_pods or any(self.stage_pods.values()))

    @property
    def progressed_at(self) -> float:
        """When anything of it last came forward: a Deployment by its controller's word, a pod that came to be. (A
        Deployment that was once complete counts no further deadline by itself.)"""
        instants = [workload.progressed_at for workload in self.workloads]
        pods = (*self.gateway_pods, *(pod for pods in self.stage_pods.values() for pod in pods))
        instants += [parse_instant(pod["metadata"].get("creationTimestamp")) or 0.0 for pod in pods]
        return max(instants, default=0.0)

    def ready(self, stage: str) -> int:
        return ready_count(self.stage_pods.get(stage, ()))


def live_cohorts(observed: Observed, owner: Owner) -> dict[str, LiveCohort]:
    """By revision, in order."""
    owned = [child for child in observed.children if owner.owns(child)]
    members = _by_revision(owned)
    pods = _by_revision(pod for pod in observed.pods if _is_of(pod, owner))
    return {
        revision: _cohort(revision, members.get(revision, []), pods.get(revision, []), observed.now)
        for revision in sorted({*members, *pods})
    }


def client_service(observed: Observed, owner: Owner) -> Object | None:
    for child in observed.children:
        if child["kind"] == "Service" and child["metadata"]["name"] == names.service(owner.name) and owner.owns(child):
            return child
    return None


def selected_revision(service: Object | None) -> str | None:
    if service is None:
        return None
    selector: Mapping[str, str] = service["spec"].get("selector") or {}
    return selector.get(labels.REVISION)


def _is_of(pod: Object, owner: Owner) -> bool:
    """Made by one of our Deployments: labels alone anybody can give."""
    references: list[Object] = pod["metadata"].get("ownerReferences") or []
    return any(
        one.get("controller") and one.get("kind") == "ReplicaSet" and one.get("name", "").startswith(f"{owner.name}-")
        for one in references
    )


def _by_revision(values: Iterable[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for value in values:
        revision = labels.revision_of(value)
        if revision:
            found.setdefault(revision, []).append(value)
    return found


def _cohort(revision: str, objects: list[Object], pods: list[Object], now: float) -> LiveCohort:
    stages: dict[str, Workload] = {}
    gateway: Workload | None = None
    for value in objects:
        if value["kind"] != "Deployment":
            continue
        stage = labels.stage_of(value)
        if stage:
            stages[stage] = Workload.of(value)
        elif labels.component_of(value) == Component.GATEWAY:
            gateway = Workload.of(value)
    alive = [pod for pod in pods if is_alive(pod, now)]
    stage_pods: dict[str, tuple[Object, ...]] = {}
    for pod in alive:
        stage = labels.stage_of(pod)
        if stage:
            stage_pods[stage] = (*stage_pods.get(stage, ()), pod)
    return LiveCohort(
        revision=revision,
        objects=tuple(objects),
        stages=stages,
        gateway=gateway,
        stage_pods=stage_pods,
        gateway_pods=tuple(pod for pod in alive if labels.component_of(pod) == Component.GATEWAY),
        failed_pods=tuple(pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"),
    )
