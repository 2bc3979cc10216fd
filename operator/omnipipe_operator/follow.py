"""Keeps the cache up to date with one kind of child: a list in pages, then a watch, both by our labels.

This is not kopf's work, though it could do it: it would parse, copy and queue each of the many events of Deployments
and pods in a task per object and remember every object it saw, for nothing that we use. Above all it does not say what
vanished while it was not watching: a child that was deleted while the API server restarted would stay away for long.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Final

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.children.labels import PIPELINE as PIPELINE_LABEL
from omnipipe_operator.cluster.errors import ClusterError, Gone, NoSuchKind, Unavailable
from omnipipe_operator.cluster.kinds import Kind
from omnipipe_operator.cluster.port import Change, Cluster, version_of

__all__ = ["OURS", "Follower", "relist"]

_logger = logging.getLogger(__name__)
OURS: Final = f"app.kubernetes.io/managed-by=omnipipe,{PIPELINE_LABEL}"
"""Label selector of everything that belongs to a pipeline. Thousands of foreign Deployments cost us nothing."""
_SHORTEST_S, _LONGEST_S = 0.2, 10.0
"""Between tries while the server does not answer."""

Enqueue = Callable[[Iterable[Key]], None]
Heard = Callable[[str, str], None]


async def relist(
    cluster: Cluster, cache: Cache, kind: Kind, namespace: str | None, labels: str = ""
) -> tuple[str, set[Key]]:
    """The version that the cache has of this kind now, and the pipelines for which something changed."""
    seen: set[tuple[str, str]] = set()
    affected: set[Key] = set()
    version = "0"
    async for page in cluster.pages(kind, namespace, labels):
        version = page.version
        for value in page.items:
            seen.add((value["metadata"]["namespace"], value["metadata"]["name"]))
            affected |= cache.put(kind, value)
    return version, affected | cache.keep_only(kind, namespace, seen, int(version))


class Follower:
    """`heard` is told kind and type of every event."""

    def __init__(
        self, cluster: Cluster, cache: Cache, kind: Kind, namespace: str | None, enqueue: Enqueue, heard: Heard
    ) -> None:
        self.kind, self.namespace = kind, namespace
        self._cluster, self._cache, self._enqueue, self._heard = cluster, cache, enqueue, heard
        self.synced = asyncio.Event()
        """The cache holds all there was of this kind."""
        self.heard_at = time.monotonic()
        self._version: str | None = None
        self._delay_s = _SHORTEST_S

    def __str__(self) -> str:
        return f"{self.kind.plural} in {self.namespace or 'all namespaces'}"

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._follow()
                self._delay_s = _SHORTEST_S
                await asyncio.sleep(_SHORTEST_S)  # the server ends a watch every few minutes; or, if it is ill, at once
            except Gone:
                self._version = None
            except NoSuchKind as error:
                self._version = None
                self.synced.set()  # there is nothing of it
                _logger.info("watching %s: %s", self, error)
                await self._pause(0.0)
            except Unavailable as error:
                _logger.info("watching %s: %s", self, error)
                await self._pause(error.retry_after_s)
            except ClusterError as error:
                _logger.warning("cannot watch %s: %s", self, error)
                await self._pause(_LONGEST_S)

    async def _follow(self) -> None:
        if self._version is None:
            self._version, affected = await relist(self._cluster, self._cache, self.kind, self.namespace, OURS)
            self._enqueue(affected)
            self.synced.set()
        async for change in self._cluster.watch(self.kind, self.namespace, OURS, self._version):
            self._take(change)

    def _take(self, change: Change) -> None:
        self._version = change.value["metadata"]["resourceVersion"]
        self._delay_s = _SHORTEST_S
        self.heard_at = time.monotonic()
        self._heard(self.kind.name, change.type)
        if change.type == "DELETED":
            metadata = change.value["metadata"]
            self._enqueue(
                self._cache.drop(self.kind, metadata["namespace"], metadata["name"], version_of(change.value))
            )
        elif change.type != "BOOKMARK":
            self._enqueue(self._cache.put(self.kind, change.value))

    async def _pause(self, at_least_s: float) -> None:
        await asyncio.sleep(max(self._delay_s * random.uniform(0.75, 1.25), at_least_s))
        self._delay_s = min(2 * self._delay_s, _LONGEST_S)
