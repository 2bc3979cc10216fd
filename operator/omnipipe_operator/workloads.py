"""A live Deployment, as far as decisions look at it."""

from dataclasses import dataclass
from typing import Self

from omnipipe_operator.instants import parse_instant
from omnipipe_operator.observed import Object
from omnipipe_operator.pods import condition_of

__all__ = ["Workload"]


@dataclass(frozen=True, slots=True)
class Workload:
    live: Object
    desired: int
    current: bool
    """Its controller has seen what was applied last: the counts below speak of that."""
    replicas: int
    updated: int
    available: int
    progressed_at: float
    """When it last came forward, by its controller; the Deployment's own beginning at least."""
    stalled: bool
    """By its controller: no progress within the deadline."""
    was_complete: bool
    """By its controller: the newest template once had all its replicas. What is missing now is no rollout's doing."""
    failure: str | None
    """Why no pod can be created: a quota, an admission webhook."""

    @classmethod
    def of(cls, live: Object) -> Self:
        status = live.get("status") or {}
        progressing = condition_of(live, "Progressing") or {}
        failure = condition_of(live, "ReplicaFailure")
        stalled = progressing.get("reason") == "ProgressDeadlineExceeded"
        # A controller that gives up marks that moment as an update too.
        updated_at = None if stalled else parse_instant(progressing.get("lastUpdateTime"))
        created_at = parse_instant(live["metadata"].get("creationTimestamp")) or 0.0
        desired = live["spec"].get("replicas")
        return cls(
            live=live,
            desired=1 if desired is None else desired,
            current=status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0),
            replicas=status.get("replicas") or 0,
            updated=status.get("updatedReplicas") or 0,
            available=status.get("availableReplicas") or 0,
            progressed_at=max(updated_at or 0.0, created_at),
            stalled=stalled,
            was_complete=progressing.get("reason") == "NewReplicaSetAvailable",
            failure=failure.get("message", "") if failure and failure.get("status") == "True" else None,
        )

    @property
    def stands(self) -> bool:
        """As many of the newest template as there should be can take requests."""
        return self.current and self.updated >= self.desired and self.available >= self.desired

    @property
    def is_done(self) -> bool:
        """No pod of an older template is left, and the newest has been complete."""
        return self.current and self.replicas == self.updated and (self.stands or self.was_complete)
