"""Which optional kinds the cluster has. They come and go with other people's installations; we look every minute."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from omnipipe_operator.cluster.errors import ClusterError
from omnipipe_operator.cluster.kinds import OPTIONAL_KINDS, Kind
from omnipipe_operator.cluster.port import Cluster

__all__ = ["OptionalKinds"]

_logger = logging.getLogger(__name__)
_AGAIN_S: Final = 60.0


class OptionalKinds:
    """`appeared` and `vanished` are called with a kind that was, or was not, there before."""

    def __init__(self, cluster: Cluster, kinds: Sequence[Kind] = OPTIONAL_KINDS) -> None:
        self._cluster, self._known = cluster, kinds
        self._present: frozenset[Kind] = frozenset()

    def keys(self) -> frozenset[str]:
        """`apiVersion/Kind` of those that are there."""
        return frozenset(kind.key for kind in self._present)

    async def look(self) -> tuple[frozenset[Kind], frozenset[Kind]]:
        """Those that have appeared and those that have vanished since the last look."""
        before, now = self._present, set(self._present)
        for api_version in sorted({kind.api_version for kind in self._known}):
            try:
                served = await self._cluster.served(api_version)
            except ClusterError as error:  # an aggregated API may be down for a while: then nothing has changed
                _logger.info("cannot ask for %s: %s", api_version, error)
                continue
            group = {kind for kind in self._known if kind.api_version == api_version}
            now = (now - group) | {kind for kind in group if kind.name in served}
        self._present = frozenset(now)
        return self._present - before, before - self._present

    async def watch(self, changed: Callable[[frozenset[Kind], frozenset[Kind]], None]) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            appeared, vanished = await self.look()
            if appeared or vanished:
                _logger.info("kinds: +%s -%s", sorted(k.key for k in appeared), sorted(k.key for k in vanished))
                changed(appeared, vanished)
