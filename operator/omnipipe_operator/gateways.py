"""What the gateways say of themselves: `GET /health` of each gateway pod, with a deadline, and not more often than it
matters. That a pod does not answer is no error: then there is no report of it."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from omnipipe_operator.children.labels import Component, component_of
from omnipipe_operator.observed import GatewayReport, Object, StageRoutes

__all__ = ["Gateways", "address_of", "report_of"]

_ANSWER_S: Final = 1.0
_FRESH_S: Final = 1.0
_FRESH_WHEN_SETTLED_S: Final = 5.0
_AT_ONCE: Final = 32
_LARGEST: Final = 1 << 20
"""Bytes of an answer: 32 stages take some kilobytes."""
_PORT: Final = 8000


@dataclass(frozen=True, slots=True)
class _Asked:
    at: float
    report: GatewayReport | None


class Gateways:
    def __init__(self, session: aiohttp.ClientSession, clock: Callable[[], float] = time.monotonic) -> None:
        self._session, self._clock = session, clock
        self._asked: dict[str, _Asked] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def reports(self, pods: Iterable[Object], *, settled: bool) -> tuple[GatewayReport, ...]:
        """`settled`: the pipeline is ready and nothing is being rolled out."""
        fresh_s = _FRESH_WHEN_SETTLED_S if settled else _FRESH_S
        asked = [self._ask(pod, fresh_s) for pod in pods if component_of(pod) == Component.GATEWAY and address_of(pod)]
        return tuple(report for report in await asyncio.gather(*asked) if report is not None)

    def forget(self, alive: Iterable[str]) -> None:
        """Keep what is known of these pods (uids) alone."""
        keep = set(alive)
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in keep}

    async def _ask(self, pod: Object, fresh_s: float) -> GatewayReport | None:
        uid = pod["metadata"]["uid"]
        known = self._asked.get(uid)
        if known is not None and self._clock() - known.at < fresh_s:
            return known.report
        async with self._room:
            report = await self._fetch(pod)
        self._asked[uid] = _Asked(self._clock(), report)
        return report

    async def _fetch(self, pod: Object) -> GatewayReport | None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        try:
            async with self._session.get(f"http://{address_of(pod)}/health", timeout=timeout) as response:
                body = await response.content.read(_LARGEST)
            return report_of(pod["metadata"]["name"], json.loads(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError):
            return None


def address_of(pod: Object) -> str | None:
    """host:port, when the pod has an address and may be serving."""
    status = pod.get("status", {})
    host = status.get("podIP")
    if not host or status.get("phase") != "Running":
        return None
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports", ())]
    port = next((port["containerPort"] for port in ports if port.get("name") == "http"), _PORT)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def report_of(pod: str, health: Any) -> GatewayReport:
    """Of the one pipeline that a gateway on a cluster serves. Raises KeyError, TypeError, ValueError."""
    [own] = health["pipelines"]
    stages = {
        str(stage["name"]): StageRoutes(
            int(stage["replicas"]), int(stage["routable"]), int(stage["queued"]), int(stage["running"])
        )
        for stage in own["stages"]
    }
    return GatewayReport(
        pod=pod,
        revision=str(own["revision"]),
        ready=bool(own["ready"]),
        draining=bool(own["draining"]),
        in_flight=int(own["in_flight"]),
        stages=stages,
    )
