"""The last state seen of every object that matters to us, by pipeline: what `reconcile` looks at instead of asking.

Knows no I/O. Watches, lists and the answers to our own writes all end here; what is older than what is known already is
ignored, so that a write is seen by the very next look, however late its watch event comes.

A thousand pipelines are thirty thousand objects: they are kept as packed bytes and unpacked when looked at, a pipeline
at a time, which takes a tenth of the memory that the same objects take as dicts.
"""

import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from omnipipe_operator.children.labels import PIPELINE as PIPELINE_LABEL
from omnipipe_operator.cluster.kinds import PIPELINE, POD, SECRET, Kind
from omnipipe_operator.cluster.port import version_of
from omnipipe_operator.observed import Object

__all__ = ["Cache", "Key", "key_of"]

_FORGOTTEN: Final = 4096
"""uids of objects that we deleted, remembered until the last event that speaks of them has surely come."""


class Key(NamedTuple):
    """One pipeline: what a reconcile is about."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def key_of(kind: Kind, value: Object) -> Key | None:
    metadata = value["metadata"]
    name = metadata["name"] if kind is PIPELINE else (metadata.get("labels") or {}).get(PIPELINE_LABEL)
    return Key(metadata["namespace"], name) if name else None


class _Place(NamedTuple):
    kind: str
    namespace: str
    name: str


class _Entry(NamedTuple):
    version: int
    uid: str
    key: Key | None
    packed: bytes


@dataclass
class Cache:
    _entries: dict[_Place, _Entry] = field(default_factory=dict)
    _members: dict[Key, set[_Place]] = field(default_factory=dict)
    _gone: dict[str, None] = field(default_factory=dict)

    def put(self, kind: Kind, value: Object) -> set[Key]:
        """The pipelines that are affected; none when this is nothing new."""
        metadata = value["metadata"]
        place = _Place(kind.key, metadata["namespace"], metadata["name"])
        version, known = version_of(value), self._entries.get(place)
        if metadata["uid"] in self._gone or (known is not None and version <= known.version):
            return set()
        entry = _Entry(version, metadata["uid"], key_of(kind, value), _pack(kind, value))
        self._entries[place] = entry
        if known is not None and known.key != entry.key:
            self._leave(known.key, place)
        if entry.key is not None:
            self._members.setdefault(entry.key, set()).add(place)
        return {key for key in (entry.key, known.key if known else None) if key is not None}

    def drop(self, kind: Kind, namespace: str, name: str, version: int | None = None) -> set[Key]:
        """It has gone. `version`: as of then; None: as far as we know it, and no late event shall bring it back."""
        place = _Place(kind.key, namespace, name)
        known = self._entries.get(place)
        if known is None or (version is not None and version < known.version):
            return set()
        if version is None:
            self._forget(known.uid)
        del self._entries[place]
        self._leave(known.key, place)
        return set() if known.key is None else {known.key}

    def keep_only(
        self, kind: Kind, namespace: str | None, names: Collection[tuple[str, str]], version: int
    ) -> set[Key]:
        """After a whole list: what is not in it and is not newer than it has gone, though nobody told."""
        missing = [
            place
            for place, entry in self._entries.items()
            if place.kind == kind.key
            and namespace in (None, place.namespace)
            and entry.version <= version
            and (place.namespace, place.name) not in names
        ]
        affected: set[Key] = set()
        for place in missing:
            affected |= self.drop(kind, place.namespace, place.name, version)
        return affected

    def forget_kind(self, kind: Kind) -> None:
        """The cluster has it no longer."""
        for place in [place for place in self._entries if place.kind == kind.key]:
            self.drop(kind, place.namespace, place.name)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        entry = self._entries.get(_Place(kind.key, namespace, name))
        return None if entry is None else _unpack(entry.packed)

    def version(self, kind: Kind, namespace: str, name: str) -> int | None:
        """Without unpacking it."""
        entry = self._entries.get(_Place(kind.key, namespace, name))
        return None if entry is None else entry.version

    def pipeline(self, key: Key) -> Object | None:
        return self.get(PIPELINE, *key)

    def pods(self, key: Key) -> tuple[Object, ...]:
        return tuple(self._of(key, lambda kind: kind == POD.key))

    def children(self, key: Key) -> tuple[Object, ...]:
        return tuple(self._of(key, lambda kind: kind not in (POD.key, PIPELINE.key)))

    def keys(self) -> list[Key]:
        """All pipelines, in order."""
        return sorted(Key(place.namespace, place.name) for place in self._entries if place.kind == PIPELINE.key)

    def __len__(self) -> int:
        return len(self._entries)

    def _of(self, key: Key, wanted: Callable[[str], bool]) -> Iterator[Object]:
        for place in sorted(self._members.get(key, ())):
            if wanted(place.kind):
                yield _unpack(self._entries[place].packed)

    def _leave(self, key: Key | None, place: _Place) -> None:
        if key is None:
            return
        members = self._members[key]
        members.discard(place)
        if not members:
            del self._members[key]

    def _forget(self, uid: str) -> None:
        self._gone[uid] = None
        while len(self._gone) > _FORGOTTEN:
            del self._gone[next(iter(self._gone))]


def _pack(kind: Kind, value: Object) -> bytes:
    metadata = {name: part for name, part in value["metadata"].items() if name != "managedFields"}
    kept = {**value, "metadata": metadata}
    if kind is SECRET:  # which keys there are is all that anybody here needs to know
        kept["data"] = dict.fromkeys(value.get("data") or (), "")
    return zlib.compress(msgspec.json.encode(kept), 1)


def _unpack(packed: bytes) -> Object:
    value: Object = msgspec.json.decode(zlib.decompress(packed))
    return value
