"""What the operator asks of a cluster. `kube.py` asks a real API server, `memory.py` is one in the small."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from omnipipe_operator.cluster.kinds import Kind
from omnipipe_operator.observed import Object

__all__ = ["FIELD_MANAGER", "Applied", "Change", "Cluster", "Page", "version_of"]

FIELD_MANAGER: Final = "omnipipe-operator"
"""Owns, on the API server's side, every field that we set."""


def version_of(value: Object) -> int:
    """resourceVersions of one kind compare as numbers."""
    return int(value["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Object]
    version: str
    """Of the list as a whole: watch from here."""


@dataclass(frozen=True, slots=True)
class Change:
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    value: Object


@dataclass(frozen=True, slots=True)
class Applied:
    value: Object
    created: bool


class Cluster(Protocol):
    """Every call has a deadline of its own and raises ClusterError. Objects carry apiVersion and kind, in lists too."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object: ...

    async def peek(self, kind: Kind, namespace: str, name: str) -> Object:
        """Its metadata alone."""
        ...

    def pages(self, kind: Kind, namespace: str | None, labels: str = "") -> AsyncIterator[Page]:
        """The whole list, a page at a time, all of one moment. Raises Gone when the reader was too slow for that."""
        ...

    def watch(self, kind: Kind, namespace: str | None, labels: str, since: str) -> AsyncIterator[Change]:
        """Ends by itself every few minutes, and when nothing was heard for too long: go on from the last version."""
        ...

    async def apply(self, kind: Kind, value: Object, *, new: bool = False) -> Applied:
        """Server-side, as FIELD_MANAGER, by force: fields that others hold become ours. `new`: it is created, or
        Conflict is raised, for something of that name is there."""
        ...

    async def apply_status(self, kind: Kind, value: Object) -> Object: ...

    async def create(self, kind: Kind, value: Object) -> Object: ...

    async def replace(self, kind: Kind, value: Object) -> Object:
        """Only that version of it which `value` carries: Conflict if it is another by now."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        """The object as it is now, when it stays for a while; None when it has gone. Conflict: another uid."""
        ...

    async def log_tail(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        """The last lines that the container wrote, or the one before its restart."""
        ...

    async def warnings(self, namespace: str, uid: str) -> Sequence[Object]:
        """Warning events about the object with that uid."""
        ...

    async def served(self, api_version: str) -> frozenset[str]:
        """Names of the kinds of that group and version; empty when there is no such group."""
        ...
