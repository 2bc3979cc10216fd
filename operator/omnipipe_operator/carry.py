"""Carries a decision out: writes what differs from what is there, and nothing else. Never decides what should be there.

What the server answers to a write goes into the cache at once, so the next look sees it, though the watch may be late.
"""

import logging
from collections.abc import Callable
from typing import Final

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.children.hashing import applied_hash
from omnipipe_operator.children.owner import Owner
from omnipipe_operator.cluster.errors import ClusterError, Conflict, NamespaceEnding, NotFound, Unavailable
from omnipipe_operator.cluster.kinds import PIPELINE, STAGE, Kind, kind_of
from omnipipe_operator.cluster.port import Cluster, version_of
from omnipipe_operator.look import Memory
from omnipipe_operator.observed import Decision, Note, Object, Ref, ref_of
from omnipipe_operator.writes import differences, same_status

__all__ = ["Carrier", "Stale"]

_logger = logging.getLogger(__name__)
_REFUSED: Final = "ApplyRefused"

_NOT_REFUSED: Final = (Unavailable, Conflict, NamespaceEnding)
"""Of errors at a write: nothing that a change of the manifest would help against."""

Permit = Callable[[], None]
Wrote = Callable[[str, str], None]


class Stale(Exception):
    """What was decided on is not so any longer: look again."""


class Carrier:
    """`permit` is asked before every write, and raises when this process may not write (any longer). `wrote` is told
    kind and verb of each write that the server took."""

    def __init__(self, cluster: Cluster, cache: Cache, permit: Permit, wrote: Wrote) -> None:
        self._cluster, self._cache, self._permit, self._wrote = cluster, cache, permit, wrote

    async def carry_out(self, pipeline: Object, decision: Decision, memory: Memory) -> tuple[int, list[Note]]:
        """How many writes there were, and what is to be said of those that the server refused. Raises Stale,
        Unavailable, Conflict."""
        run = _Run(self, Owner.of(pipeline), pipeline, memory)
        for value in decision.apply:
            await run.apply(value)
        for name, status in decision.stage_statuses.items():
            await run.stage_status(name, status)
        for ref in decision.delete:
            await run.delete(ref)
        if decision.status is not None and not same_status(decision.status, pipeline.get("status")):
            await run.status(decision.status)
        memory.forget_all_but({ref_of(value) for value in decision.apply} | set(decision.delete))
        return run.writes, run.refused

    async def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """What stands under a name that we want, and is not in the cache as ours: somebody else's, or ours without
        labels. Its metadata alone, if it is there."""
        try:
            return await self._cluster.peek(kind, namespace, name)
        except NotFound:
            self._cache.drop(kind, namespace, name)
            return None

    async def confirm(self, pipeline: Object) -> None:
        """Raises Stale when the server knows another pipeline than the one decided on, or none."""
        metadata = pipeline["metadata"]
        try:
            found = await self._cluster.get(PIPELINE, metadata["namespace"], metadata["name"])
        except NotFound:
            self._cache.drop(PIPELINE, metadata["namespace"], metadata["name"])
            raise Stale("the pipeline has gone") from None
        if found["metadata"]["uid"] != metadata["uid"]:  # its DELETED event never came
            self._cache.drop(PIPELINE, metadata["namespace"], metadata["name"])
        self._cache.put(PIPELINE, found)
        same = all(found["metadata"].get(name) == metadata.get(name) for name in ("uid", "generation", "annotations"))
        if not same or found["metadata"].get("deletionTimestamp"):
            raise Stale("the pipeline has changed")

    def cached(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._cache.get(kind, namespace, name)

    def version(self, kind: Kind, namespace: str, name: str) -> int | None:
        return self._cache.version(kind, namespace, name)

    async def write_apply(self, kind: Kind, value: Object, *, new: bool) -> Object:
        self._permit()
        applied = await self._cluster.apply(kind, value, new=new)
        self._wrote(kind.name, "create" if applied.created else "apply")
        self._cache.put(kind, applied.value)
        return applied.value

    async def write_status(self, kind: Kind, owner: Object, status: Object) -> None:
        self._permit()
        head = {name: owner["metadata"][name] for name in ("name", "namespace", "uid")}
        value = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": head, "status": status}
        try:
            found = await self._cluster.apply_status(kind, value)
        except (NotFound, Conflict) as error:  # 409 also tells that another of the same name stands there now
            raise Stale(str(error)) from error
        self._wrote(kind.name, "status")
        self._cache.put(kind, found)

    async def write_delete(self, kind: Kind, live: Object) -> None:
        self._permit()
        head = live["metadata"]
        try:
            left = await self._cluster.delete(kind, head["namespace"], head["name"], head["uid"])
            self._wrote(kind.name, "delete")
        except NotFound:
            left = None
        if left is None or not left["metadata"].get("deletionTimestamp"):
            self._cache.drop(kind, head["namespace"], head["name"])
        else:
            self._cache.put(kind, left)


class _Run:
    """One decision being carried out."""

    def __init__(self, carrier: Carrier, owner: Owner, pipeline: Object, memory: Memory) -> None:
        self._carrier, self._owner, self._pipeline, self._memory = carrier, owner, pipeline, memory
        self._key = Key(owner.namespace, owner.name)
        self._confirmed = False
        self.writes = 0
        self.refused: list[Note] = []

    async def apply(self, value: Object) -> None:
        ref = ref_of(value)
        kind = kind_of(ref)
        now = (applied_hash(value), self._carrier.version(kind, self._owner.namespace, ref.name))
        if now[0] is not None and self._memory.compared.get(ref) == now:
            return
        live = self._carrier.cached(kind, self._owner.namespace, ref.name)
        if live is not None and not self._differs(ref, value, live):
            self._memory.compared[ref] = (now[0], version_of(live))
            return
        await self._confirm()
        try:
            applied = await self._write(kind, ref, value, live)
        except _NOT_REFUSED:
            raise
        except ClusterError as error:
            self._refuse(ref, error)
            return
        if applied is None:
            return
        self.writes += 1
        self._memory.refusals.pop(ref, None)
        self._tolerate(ref, value, applied)

    async def _write(self, kind: Kind, ref: Ref, value: Object, live: Object | None) -> Object | None:
        """As the server has it now; None: that name is known to be somebody else's. What is not in the cache is only
        made, never overwritten: the server says if there is something of that name."""
        if live is None and ref not in self._memory.strangers:
            try:
                return await self._carrier.write_apply(kind, value, new=True)
            except Conflict:
                live = await self._carrier.find(kind, self._owner.namespace, ref.name)
        elif live is None or self._foreign(live):
            live = await self._carrier.find(kind, self._owner.namespace, ref.name)
        if live is not None and self._foreign(live):
            if ref not in self._memory.strangers:
                self._memory.strangers.add(ref)
                raise Stale(f"{ref.kind} {ref.name} belongs to somebody else")
            return None
        self._memory.strangers.discard(ref)
        return await self._carrier.write_apply(kind, _with_uid(value, live), new=live is None)

    async def delete(self, ref: Ref) -> None:
        kind = kind_of(ref)
        live = self._carrier.cached(kind, self._owner.namespace, ref.name)
        if live is None or live["metadata"].get("deletionTimestamp") or not self._owner.owns(live):
            return
        await self._confirm()
        try:
            await self._carrier.write_delete(kind, live)
        except _NOT_REFUSED:
            raise
        except ClusterError as error:
            self._refuse(ref, error)
            return
        self.writes += 1

    async def status(self, status: Object) -> None:
        await self._carrier.write_status(PIPELINE, self._pipeline, status)
        self.writes += 1

    async def stage_status(self, name: str, status: Object) -> None:
        live = self._carrier.cached(STAGE, self._owner.namespace, name)
        if live is None or not self._owner.owns(live) or same_status(status, live.get("status")):
            return
        await self._carrier.write_status(STAGE, live, status)
        self.writes += 1

    def _differs(self, ref: Ref, value: Object, live: Object) -> bool:
        if live["metadata"].get("deletionTimestamp"):
            return False  # it goes first; its end brings us here again
        found = differences(value, live)
        return bool(found) and tuple(found) != self._memory.tolerated.get(ref)

    def _tolerate(self, ref: Ref, value: Object, applied: Object) -> None:
        left = tuple(differences(value, applied))
        if left:
            _logger.warning("%s: the server keeps %s %s otherwise: %s", self._key, ref.kind, ref.name, ", ".join(left))
            self._memory.tolerated[ref] = left
        else:
            self._memory.tolerated.pop(ref, None)

    def _foreign(self, live: Object) -> bool:
        """Another's, or nobody's who gave it our labels."""
        references = live["metadata"].get("ownerReferences") or ()
        controller = next((one for one in references if one.get("controller")), None)
        if controller is not None:
            return bool(controller["uid"] != self._owner.uid)
        labels = live["metadata"].get("labels") or {}
        return labels.get("app.kubernetes.io/managed-by") != "omnipipe"

    def _refuse(self, ref: Ref, error: ClusterError) -> None:
        words = f"{ref.kind} {ref.name}: {error}"
        _logger.warning("%s: %s", self._key, words)
        self._memory.refusals[ref] = str(error)
        self.refused.append(Note("Warning", _REFUSED, words))

    async def _confirm(self) -> None:
        """Once, before the first child is written: no children are made for a pipeline that has gone meanwhile."""
        if not self._confirmed:
            await self._carrier.confirm(self._pipeline)
            self._confirmed = True


def _with_uid(value: Object, live: Object | None) -> Object:
    """That very object, not another that took its name meanwhile."""
    if live is None:
        return value
    return {**value, "metadata": {**value["metadata"], "uid": live["metadata"]["uid"]}}
