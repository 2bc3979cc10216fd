"""What a pod object says, in the questions that deciding asks."""

from collections.abc import Iterable

from omnipipe_operator.instants import parse_instant
from omnipipe_operator.observed import Object

__all__ = ["condition_of", "is_alive", "is_leaving", "is_ready", "ready_count"]

_LOST_AFTER_S = 300.0
"""A pod is gone for us this long after the end of its own grace period, though its object still stands: its node does
not answer, and no wait of ours may hang on that."""


def condition_of(value: Object, kind: str) -> Object | None:
    """A condition of a pod, Deployment or Job."""
    conditions: list[Object] = value.get("status", {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), None)


def is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_alive(pod: Object, now: float) -> bool:
    """Its containers may still run."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return False
    ends = parse_instant(pod["metadata"].get("deletionTimestamp"))  # the API server puts the end of the grace there
    return ends is None or now < ends + _LOST_AFTER_S


def is_ready(pod: Object) -> bool:
    condition = condition_of(pod, "Ready")
    return condition is not None and condition.get("status") == "True" and not is_leaving(pod)


def ready_count(pods: Iterable[Object]) -> int:
    return sum(map(is_ready, pods))
