"""What nodes warn of: a volume that cannot be mounted is told in an event and nowhere else. Asked for only of pods
whose containers do not come to be, and not again for some seconds."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from omnipipe_operator.cluster.errors import ClusterError
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.observed import Object

__all__ = ["PodWarnings", "is_stuck"]

_logger = logging.getLogger(__name__)
_FRESH_S: Final = 5.0
_KEPT: Final = 1024
_LONGEST: Final = 600
_CREATING: Final = frozenset({"ContainerCreating", "PodInitializing"})


class PodWarnings:
    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._clock = cluster, clock
        self._known: dict[str, tuple[float, str]] = {}
        """uid of the pod -> when it was asked for, and what was found."""

    async def of(self, namespace: str, pods: Iterable[Object]) -> dict[str, str]:
        """Pod name -> `Reason: message`, of those that were warned of."""
        found = {}
        for pod in pods:
            if is_stuck(pod):
                words = await self._ask(namespace, pod["metadata"]["uid"])
                if words:
                    found[pod["metadata"]["name"]] = words
        return found

    async def _ask(self, namespace: str, uid: str) -> str:
        at, words = self._known.pop(uid, (float("-inf"), ""))
        if self._clock() - at >= _FRESH_S:
            at, words = self._clock(), await self._read(namespace, uid)
        self._known[uid] = (at, words)
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return words

    async def _read(self, namespace: str, uid: str) -> str:
        try:
            warnings = await self._cluster.warnings(namespace, uid)
        except ClusterError as error:  # the status does without
            _logger.info("no warnings of pod %s: %s", uid, error)
            return ""
        last = max(warnings, key=_moment, default=None)
        return f"{last.get('reason', '')}: {last.get('message', '')}"[:_LONGEST] if last else ""


def is_stuck(pod: Object) -> bool:
    """It has a node, and a container of it waits to be made."""
    if pod["metadata"].get("deletionTimestamp") or not pod["spec"].get("nodeName"):
        return False
    status = pod.get("status", {})
    states = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return any(one.get("state", {}).get("waiting", {}).get("reason") in _CREATING for one in states)


def _moment(event: Object) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
        or event["metadata"].get("creationTimestamp") or ""
    )  # fmt: skip
