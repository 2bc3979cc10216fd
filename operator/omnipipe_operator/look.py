"""Puts together what is to be seen of one pipeline: from the cache and, for what no watch tells, by asking.

Decides nothing and writes nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.cluster.errors import ClusterError, NotFound, Unavailable
from omnipipe_operator.cluster.kinds import SECRET, kind_of
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.crashes import LastWords
from omnipipe_operator.decisions import Refers
from omnipipe_operator.gateways import Gateways
from omnipipe_operator.observed import Object, Observed, Ref
from omnipipe_operator.podwarnings import PodWarnings

__all__ = ["Looker", "Memory"]

_logger = logging.getLogger(__name__)
_NAMED_FRESH_S: Final = 4.0
"""Objects of others (a token Secret, a claim) are read again after this long: nobody tells us of their changes."""


@dataclass(frozen=True, slots=True)
class _Named:
    at: float
    value: Object | None


class Memory:
    """What is remembered of one pipeline between two looks, and may be lost."""

    def __init__(self) -> None:
        self.named: dict[Ref, _Named] = {}
        self.strangers: set[Ref] = set()
        """Objects of a name that we want, and of somebody else."""
        self.refusals: dict[Ref, str] = {}
        """What the server said to the last write of each object that it refused."""
        self.tolerated: dict[Ref, tuple[str, ...]] = {}
        """Where an object differs from what we wrote right after we wrote it: not worth writing it again."""
        self.compared: dict[Ref, tuple[str | None, int]] = {}
        """Hash of the desired object and version of the live one that were found to be the same."""

    def forget_all_but(self, refs: AbstractSet[Ref]) -> None:
        """What is neither wanted nor in the way any longer is of no interest."""
        for known in (self.refusals, self.tolerated, self.compared):
            for ref in known.keys() - refs:
                del known[ref]


class Looker:
    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        gateways: Gateways,
        last_words: LastWords,
        warnings: PodWarnings,
        refers: Refers,
        kinds: Callable[[], frozenset[str]],
    ) -> None:
        self._cluster, self._cache, self._gateways = cluster, cache, gateways
        self._last_words, self._warnings, self._refers, self._kinds = last_words, warnings, refers, kinds

    async def look(self, key: Key, pipeline: Object, memory: Memory) -> Observed:
        """Raises Unavailable when something that matters could not be read."""
        pods = self._cache.pods(key)
        named = await self._named(key, [*self._refers(pipeline), *memory.strangers], memory)
        memory.strangers &= named.keys()
        return Observed(
            pipeline=pipeline,
            children=self._cache.children(key),
            named=named,
            pods=pods,
            last_log_lines=await self._last_words.of(key.namespace, pods),
            last_warnings=await self._warnings.of(key.namespace, pods),
            gateways=await self._gateways.reports(pods, settled=_settled(pipeline)),
            kinds=self._kinds(),
            refusals=dict(memory.refusals),
            now=time.time(),
        )

    async def _named(self, key: Key, refs: Iterable[Ref], memory: Memory) -> dict[Ref, Object]:
        wanted = list(dict.fromkeys(refs))
        memory.named = {ref: memory.named[ref] for ref in wanted if ref in memory.named}
        for ref in wanted:
            known = memory.named.get(ref)
            if known is None or time.monotonic() - known.at > _NAMED_FRESH_S:
                memory.named[ref] = _Named(time.monotonic(), await self._read(key, ref))
        return {ref: found.value for ref, found in memory.named.items() if found.value is not None}

    async def _read(self, key: Key, ref: Ref) -> Object | None:
        kind = kind_of(ref)
        try:
            found = await self._cluster.get(kind, key.namespace, ref.name)
        except NotFound:
            return None
        except Unavailable:
            raise
        except ClusterError as error:
            _logger.warning("%s: cannot read %s %s: %s", key, ref.kind, ref.name, error)
            return None
        if kind is SECRET:  # which keys there are is all that is decided on
            found["data"] = dict.fromkeys(found.get("data") or (), "")
        return found


def _settled(pipeline: Object) -> bool:
    conditions = pipeline.get("status", {}).get("conditions", ())
    status = {condition["type"]: condition["status"] for condition in conditions}
    return status.get("Ready") == "True" and status.get("Progressing") != "True"
