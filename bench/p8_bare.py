"""P8's baseline: the writes that the operator makes for each pipeline, from one process that does nothing else.

What a Python process can do at best: aiohttp on uvloop with as many connections as the operator has workers, bodies and
addresses made before the clock starts, answers received and not looked into. Decides nothing, watches nothing.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import aiohttp
import msgspec
from bench.p8_recorded import NAME, NAMESPACE, UID, Write
from tests.cluster.controlplane import ControlPlane
from yarl import URL

from omnipipe_operator.cluster.access import find_access
from omnipipe_operator.cluster.kinds import PIPELINE, Kind
from omnipipe_operator.cluster.port import FIELD_MANAGER
from omnipipe_operator.observed import Object

__all__ = ["BareClient"]

_WHERE: Final = "default"
_CALL_S: Final = 60.0
_APPLIED: Final = {"Content-Type": "application/apply-patch+yaml"}
_CREATED: Final = {"Content-Type": "application/json"}


class _Call(NamedTuple):
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes


class _Metadata(msgspec.Struct):
    uid: str


class _Made(msgspec.Struct):
    metadata: _Metadata


class BareClient:
    def __init__(self, plane: ControlPlane, connections: int) -> None:
        self._plane, self._connections = plane, connections

    async def __aenter__(self) -> "BareClient":
        access = (await find_access(self._plane.kubeconfig, None)).configuration
        context = ssl.create_default_context(cafile=access.ssl_ca_cert)
        if access.cert_file is not None:
            context.load_cert_chain(access.cert_file, access.key_file)
        connector = aiohttp.TCPConnector(limit=self._connections, ssl=context)
        timeout = aiohttp.ClientTimeout(total=_CALL_S)
        self._http = aiohttp.ClientSession(connector=connector, timeout=timeout, headers={"User-Agent": "bare"})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def create(self, spec: Object, pipelines: int) -> dict[str, str]:
        """Makes the pipelines. Name -> uid."""
        calls = {name: self._pipeline(spec, name) for name in _names(pipelines)}
        made: dict[str, str] = {}
        waiting = iter(calls.items())

        async def work() -> None:
            for name, call in waiting:
                answer = msgspec.json.decode(await self._send(call, call.body), type=_Made)
                made[name] = answer.metadata.uid

        await asyncio.gather(*(work() for _ in range(self._connections)))
        return made

    async def write_all(self, spec: Object, pipelines: int, writes: Sequence[Write]) -> float:
        """Makes the pipelines and all that belongs to them. Seconds."""
        calls = {name: [self._call(write, name) for write in writes] for name in _names(pipelines)}
        start = time.monotonic()
        waiting = iter((await self.create(spec, pipelines)).items())
        own = UID.encode()

        async def work() -> None:
            for name, uid in waiting:
                for call in calls[name]:
                    await self._send(call, call.body.replace(own, uid.encode()))

        await asyncio.gather(*(work() for _ in range(self._connections)))
        return time.monotonic() - start

    async def count(self, kind: Kind) -> int:
        """Objects of it, whoever made them: the server counts, and sends one."""
        call = _Call("GET", self._url(f"{kind.path(_WHERE)}?limit=1"), {}, b"")
        found = json.loads(await self._send(call, None))
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))

    def _pipeline(self, spec: Object, name: str) -> _Call:
        head = {"name": name, "namespace": _WHERE}
        value = {"apiVersion": PIPELINE.api_version, "kind": PIPELINE.name, "metadata": head, "spec": spec}
        return _Call("POST", self._url(PIPELINE.path(_WHERE)), _CREATED, json.dumps(value).encode())

    def _call(self, write: Write, name: str) -> _Call:
        text = json.dumps(write.value).replace(NAME, name).replace(NAMESPACE, _WHERE)
        own = write.value["metadata"]["name"].replace(NAME, name)
        if write.verb == "create":
            url = self._url(f"{write.kind.path(_WHERE)}?fieldManager={FIELD_MANAGER}")
            return _Call("POST", url, _CREATED, text.encode())
        path = write.kind.path(_WHERE, own, "status" if write.verb == "status" else None)
        url = self._url(f"{path}?fieldManager={FIELD_MANAGER}&force=true")
        return _Call("PATCH", url, _APPLIED, text.encode())

    def _url(self, path: str) -> URL:
        return URL(f"{self._plane.url}{path}", encoded=True)

    async def _send(self, call: _Call, body: bytes | None) -> bytes:
        async with self._http.request(call.method, call.url, data=body, headers=call.headers) as response:
            answer = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{call.method} {call.url}: {response.status} {answer[:300]!r}")
            return answer


def _names(pipelines: int) -> Iterator[str]:
    return (f"bench-{number:04}" for number in range(pipelines))
