"""An API server in memory: what the port promises, without a network. For tests of what stands on the port.

It keeps versions, uids and generations, which fields our field manager owns, preconditions, selectors, watches with a
history, and it collects what a deleted owner leaves. It does not validate, fill in defaults or authorise.
"""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from omnipipe_operator.cluster.errors import Conflict, NotFound
from omnipipe_operator.cluster.kinds import EVENT, KINDS, Kind
from omnipipe_operator.cluster.ownership import merge_applied, without_status
from omnipipe_operator.cluster.port import Applied, Change, Page
from omnipipe_operator.observed import Object

__all__ = ["MemoryCluster"]

_Place = tuple[str, str, str]


class MemoryCluster:
    def __init__(self) -> None:
        self._objects: dict[_Place, Object] = {}
        self._applied: dict[_Place, Object] = {}
        """What our manager applied last: the fields it owns."""
        self._history: list[tuple[int, str, Change]] = []
        self._versions, self._uids = itertools.count(1), itertools.count(1)
        self._changed = asyncio.Condition()
        self.writes: list[tuple[str, str, str]] = []
        """(verb, kind, name) of each write through the port."""
        self.logs: dict[tuple[str, str], str] = {}
        """(pod, container) -> what it wrote."""
        self.kinds = {kind.key for kind in KINDS.values()}

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        return copy.deepcopy(self._at(kind, namespace, name))

    async def peek(self, kind: Kind, namespace: str, name: str) -> Object:
        found = await self.get(kind, namespace, name)
        return {part: found[part] for part in ("apiVersion", "kind", "metadata")}

    async def pages(self, kind: Kind, namespace: str | None, labels: str = "") -> AsyncIterator[Page]:
        items = [
            copy.deepcopy(value)
            for (key, space, _), value in self._objects.items()
            if key == kind.key and namespace in (None, space) and _selected(value, labels)
        ]
        yield Page(items, str(self._version))

    async def watch(self, kind: Kind, namespace: str | None, labels: str, since: str) -> AsyncIterator[Change]:
        seen = int(since)
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda after=seen: self._version > after)  # type: ignore[misc]
                news, seen = [entry for entry in self._history if entry[0] > seen], self._version
            for _, key, change in news:
                in_scope = namespace in (None, change.value["metadata"]["namespace"])
                if key == kind.key and in_scope and _selected(change.value, labels):
                    yield Change(change.type, copy.deepcopy(change.value))

    async def apply(self, kind: Kind, value: Object, *, new: bool = False) -> Applied:
        metadata = value["metadata"]
        place = (kind.key, metadata["namespace"], metadata["name"])
        live = self._objects.get(place)
        if new and live is not None:
            raise Conflict(f"{kind.resource} {metadata['name']} is there already", 409)
        self._check_uid(live, metadata.get("uid"))
        desired = without_status(value)
        merged = merge_applied(desired, self._applied.get(place), live)
        self._applied[place] = copy.deepcopy(desired)
        self.writes.append(("apply", kind.name, metadata["name"]))
        return Applied(await self._store(place, merged, live), created=live is None)

    async def apply_status(self, kind: Kind, value: Object) -> Object:
        metadata = value["metadata"]
        live = self._at(kind, metadata["namespace"], metadata["name"])
        self._check_uid(live, metadata.get("uid"))
        self.writes.append(("status", kind.name, metadata["name"]))
        merged = {**live, "status": copy.deepcopy(value["status"])}
        return await self._store((kind.key, metadata["namespace"], metadata["name"]), merged, live)

    async def create(self, kind: Kind, value: Object) -> Object:
        metadata = value["metadata"]
        place = (kind.key, metadata["namespace"], metadata["name"])
        if place in self._objects:
            raise Conflict(f"{kind.resource} {metadata['name']} is there already", 409)
        self.writes.append(("create", kind.name, metadata["name"]))
        return await self._store(place, copy.deepcopy(value), None)

    async def replace(self, kind: Kind, value: Object) -> Object:
        metadata = value["metadata"]
        live = self._at(kind, metadata["namespace"], metadata["name"])
        if metadata.get("resourceVersion") not in (None, live["metadata"]["resourceVersion"]):
            raise Conflict(f"{kind.resource} {metadata['name']} has changed", 409)
        self.writes.append(("replace", kind.name, metadata["name"]))
        return await self._store((kind.key, metadata["namespace"], metadata["name"]), copy.deepcopy(value), live)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        self._check_uid(self._at(kind, namespace, name), uid)
        self.writes.append(("delete", kind.name, name))
        await self._remove((kind.key, namespace, name))
        return None

    async def log_tail(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        if (pod, container) not in self.logs:
            raise NotFound(f"no log of {pod}/{container}", 404)
        return self.logs[pod, container]

    async def warnings(self, namespace: str, uid: str) -> Sequence[Object]:
        return [
            copy.deepcopy(value)
            for (key, space, _), value in self._objects.items()
            if (key, space) == (EVENT.key, namespace)
            and (value["involvedObject"]["uid"], value["type"]) == (uid, "Warning")
        ]

    async def served(self, api_version: str) -> frozenset[str]:
        return frozenset(key.rpartition("/")[2] for key in self.kinds if key.rpartition("/")[0] == api_version)

    async def edit(self, kind: Kind, namespace: str, name: str, change: Callable[[Object], Any]) -> Object:
        """As somebody else, who changes the object in place."""
        live = self._at(kind, namespace, name)
        value = copy.deepcopy(live)
        change(value)
        return await self._store((kind.key, namespace, name), value, live)

    async def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """As somebody else."""
        self._at(kind, namespace, name)
        await self._remove((kind.key, namespace, name))

    def names(self, kind: Kind) -> list[str]:
        return sorted(name for key, _, name in self._objects if key == kind.key)

    @property
    def _version(self) -> int:
        return self._history[-1][0] if self._history else 0

    def _at(self, kind: Kind, namespace: str, name: str) -> Object:
        try:
            return self._objects[kind.key, namespace, name]
        except KeyError:
            raise NotFound(f"no {kind.resource} {namespace}/{name}", 404) from None

    def _check_uid(self, live: Object | None, uid: str | None) -> None:
        if uid is not None and (live is None or live["metadata"]["uid"] != uid):
            raise Conflict("another uid", 409)

    async def _store(self, place: _Place, value: Object, live: Object | None) -> Object:
        metadata = value["metadata"]
        if live is not None and _bare(value) == _bare(live):
            return copy.deepcopy(live)  # a write that changes nothing makes no new version
        before = live["metadata"] if live else {}
        generation = before.get("generation", 0) + (live is None or value.get("spec") != live.get("spec"))
        version = next(self._versions)
        metadata |= {
            "uid": before.get("uid") or f"uid-{next(self._uids)}",
            "resourceVersion": str(version),
            "generation": generation,
        }
        metadata.setdefault("creationTimestamp", "2030-01-01T00:00:00Z")
        self._objects[place] = value
        await self._tell(version, place[0], Change("ADDED" if live is None else "MODIFIED", copy.deepcopy(value)))
        return copy.deepcopy(value)

    async def _remove(self, place: _Place) -> None:
        value = self._objects.pop(place)
        self._applied.pop(place, None)
        version = next(self._versions)
        value["metadata"]["resourceVersion"] = str(version)
        await self._tell(version, place[0], Change("DELETED", value))
        uid = value["metadata"]["uid"]
        for other, child in list(self._objects.items()):
            if other in self._objects and any(
                owner["uid"] == uid for owner in child["metadata"].get("ownerReferences", ())
            ):
                await self._remove(other)

    async def _tell(self, version: int, key: str, change: Change) -> None:
        async with self._changed:
            self._history.append((version, key, change))
            self._changed.notify_all()


def _bare(value: Object) -> Object:
    kept = {name: part for name, part in value["metadata"].items() if name not in ("resourceVersion", "generation")}
    return {**value, "metadata": kept}


def _selected(value: Object, labels: str) -> bool:
    """`a=b,c`: the label a is b, and there is a label c."""
    own = value["metadata"].get("labels") or {}
    for term in filter(None, labels.split(",")):
        name, equals, wanted = term.partition("=")
        if name not in own or (equals and own[name] != wanted):
            return False
    return True
