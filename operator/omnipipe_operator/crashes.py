"""The last line that a container wrote before it crashed: read once for each restart, for the pipeline's status."""

import logging
from collections.abc import Iterable, Iterator
from typing import Final

from omnipipe_operator.cluster.errors import ClusterError
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.observed import Object

__all__ = ["LastWords"]

_logger = logging.getLogger(__name__)
_KEPT: Final = 1024
_LONGEST: Final = 400
_Crash = tuple[str, str, int]
"""uid of the pod, container, its restarts."""


class LastWords:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lines: dict[_Crash, str] = {}

    async def of(self, namespace: str, pods: Iterable[Object]) -> dict[str, str]:
        """Pod name -> line, for pods with a container that failed."""
        found = {}
        for pod in pods:
            for container, previous, crash in _crashes(pod):
                if crash not in self._lines:
                    self._remember(crash, await self._read(namespace, pod["metadata"]["name"], container, previous))
                if self._lines[crash]:
                    found[pod["metadata"]["name"]] = self._lines[crash]
        return found

    async def _read(self, namespace: str, pod: str, container: str, previous: bool) -> str:
        try:
            text = await self._cluster.log_tail(namespace, pod, container, previous=previous)
        except ClusterError as error:  # the node is away, or the log is: the status does without
            _logger.info("no last words of %s/%s: %s", pod, container, error)
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:_LONGEST] if lines else ""

    def _remember(self, crash: _Crash, line: str) -> None:
        self._lines[crash] = line
        while len(self._lines) > _KEPT:
            del self._lines[next(iter(self._lines))]


def _crashes(pod: Object) -> Iterator[tuple[str, bool, _Crash]]:
    """Container, whether the words are those of the run before, and what names the crash."""
    status = pod.get("status", {})
    for one in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        now = one.get("state", {}).get("terminated", {})
        before = one.get("lastState", {}).get("terminated", {})
        crash = (pod["metadata"]["uid"], one["name"], one.get("restartCount", 0))
        if now.get("exitCode", 0) != 0:
            yield one["name"], False, crash
        elif before.get("exitCode", 0) != 0 and not one.get("ready", False):
            yield one["name"], True, crash
