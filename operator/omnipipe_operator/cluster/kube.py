"""The adapter over `kubernetes.aio`: one generic call for objects of every kind.

The generated classes for each kind are not used: we speak JSON as the API server does, and so does everything that
decides.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from random import uniform
from typing import Any, Final, Self

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject

from omnipipe_operator.cluster.access import Access
from omnipipe_operator.cluster.connection import Connection, Count, decoded, words_of
from omnipipe_operator.cluster.errors import NoSuchKind, Unavailable
from omnipipe_operator.cluster.kinds import EVENT, POD, Kind
from omnipipe_operator.cluster.limit import RateLimit
from omnipipe_operator.cluster.port import FIELD_MANAGER, Applied, Change, Page
from omnipipe_operator.cluster.refusals import watch_error
from omnipipe_operator.observed import Object

__all__ = ["KubeCluster"]

_WATCH_S: Final = (240, 300)
"""The server ends a watch after this long; spread, or all of them begin anew at once."""
_SILENCE_S: Final = 90.0
"""The server sends a bookmark a minute. Longer silence is a dead connection that nobody closed."""
_PAGE: Final = 250
"""Objects of a list at a time. At the start there are a dozen lists at once, and their pages are what takes memory."""
_APPLY: Final = {"fieldManager": FIELD_MANAGER, "force": "true"}
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LINE: Final = 32 << 20
"""Bytes. Objects end at 1.5 MiB; more is not an API server speaking."""
_NEVER: Final = "1"
"""No object that we could want to write has this version: there are hundreds before a cluster knows our kinds. An apply
that names a version is for that one alone, and where there is nothing it creates: so with this one it only creates, in
one call, and what is made is owned as by any other apply, which it is not after a POST."""


class KubeCluster:
    """`count` is told of every call: verb, resource, code (0: no answer)."""

    def __init__(self, access: Access, limit: RateLimit, count: Count = lambda *_: None) -> None:
        rest: Any = RESTClientObject(access.configuration)  # connects to nothing yet
        self._connection = Connection(access, rest.ssl_context, limit, count)

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        return await self._object("GET", kind, namespace, name)

    async def peek(self, kind: Kind, namespace: str, name: str) -> Object:
        found = await self._object("GET", kind, namespace, name, accept=_METADATA)
        return {**found, "apiVersion": kind.api_version, "kind": kind.name}

    async def pages(self, kind: Kind, namespace: str | None, labels: str = "") -> AsyncIterator[Page]:
        query = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        while True:
            found = await self._object("GET", kind, namespace, verb="list", query=query)
            for item in found.get("items", ()):  # the server leaves these two out of lists
                item["apiVersion"], item["kind"] = kind.api_version, kind.name
            yield Page(found.get("items") or [], found["metadata"]["resourceVersion"])
            onward = found["metadata"].get("continue")
            if not onward:
                return
            query["continue"] = onward

    async def watch(self, kind: Kind, namespace: str | None, labels: str, since: str) -> AsyncIterator[Change]:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": since,
            "timeoutSeconds": str(round(uniform(*_WATCH_S))),
            **({"labelSelector": labels} if labels else {}),
        }
        path = kind.path(namespace)
        response = await self._connection.send("GET", "watch", kind, path, query, silence_s=_SILENCE_S)
        try:
            async for line in _lines(response):
                event = decoded(line, "watch", kind)
                if event["type"] == "ERROR":
                    raise watch_error(kind, event["object"])
                yield Change(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"watching {kind.resource}: {words_of(error)}") from error
        finally:
            response.close()

    async def apply(self, kind: Kind, value: Object, *, new: bool = False) -> Applied:
        metadata = value["metadata"]
        if new:
            value = {**value, "metadata": {**metadata, "resourceVersion": _NEVER}}
        status, found = await self._call(
            "PATCH", kind, metadata["namespace"], metadata["name"], query=_APPLY, body=value,
            content_type="application/apply-patch+yaml",
        )  # fmt: skip
        return Applied(found, created=status == 201)

    async def apply_status(self, kind: Kind, value: Object) -> Object:
        metadata = value["metadata"]
        return await self._object(
            "PATCH", kind, metadata["namespace"], metadata["name"], "status", query=_APPLY, body=value,
            content_type="application/apply-patch+yaml",
        )  # fmt: skip

    async def create(self, kind: Kind, value: Object) -> Object:
        query = {"fieldManager": FIELD_MANAGER}
        return await self._object("POST", kind, value["metadata"]["namespace"], query=query, body=value)

    async def replace(self, kind: Kind, value: Object) -> Object:
        metadata = value["metadata"]
        query = {"fieldManager": FIELD_MANAGER}
        return await self._object("PUT", kind, metadata["namespace"], metadata["name"], query=query, body=value)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        found = await self._object("DELETE", kind, namespace, name, body=body)
        return found if found.get("kind") == kind.name else None

    async def log_tail(self, namespace: str, pod: str, container: str, *, previous: bool) -> str:
        query = {"container": container, "tailLines": "5", "limitBytes": "4096"}
        query |= {"previous": "true"} if previous else {}
        _status, log = await self._connection.call("GET", "get", POD, POD.path(namespace, pod, "log"), query)
        return log.decode(errors="replace")

    async def warnings(self, namespace: str, uid: str) -> Sequence[Object]:
        query = {"fieldSelector": f"involvedObject.uid={uid},type=Warning", "limit": str(_PAGE)}
        found = await self._object("GET", EVENT, namespace, verb="list", query=query)
        return found.get("items") or ()

    async def served(self, api_version: str) -> frozenset[str]:
        kind = Kind(api_version, "", "")
        try:
            _status, answer = await self._connection.call("GET", "get", kind, f"/apis/{api_version}", {})
        except NoSuchKind:
            return frozenset()
        found = decoded(answer, "get", kind)
        return frozenset(resource["kind"] for resource in found.get("resources", ()))

    async def _object(self, method: str, kind: Kind, namespace: str | None, *more: str, **options: Any) -> Object:
        return (await self._call(method, kind, namespace, *more, **options))[1]

    async def _call(
        self,
        method: str,
        kind: Kind,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        verb: str | None = None,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, Object]:
        verb = verb or _VERBS[method]
        path = kind.path(namespace, name, subresource)
        headers = {"Content-Type": content_type, "Accept": accept}
        status, answer = await self._connection.call(method, verb, kind, path, query or {}, body, headers)
        return status, decoded(answer, verb, kind)


_VERBS: Final = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > _LINE:
            raise Unavailable(f"a watch sent a line of more than {_LINE >> 20} MiB")
