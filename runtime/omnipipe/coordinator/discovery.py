"""Where a stage's replicas are: the Plan's addresses as they stand, and those behind a name asked for again and again.

In a cluster `dns+tcp://service:port` is a headless Service whose name resolves to one address a replica. A look-up that
fails says nothing about the replicas, so it changes nothing; that a name is gone takes away only what does not work.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from omnipipe.spec.plan import Plan, PlanStage

__all__ = ["RESOLVE_EVERY_S", "Discovery", "Found", "Lookup", "look_up"]

log = logging.getLogger(__name__)

SCHEME = "dns+tcp://"
RESOLVE_EVERY_S = 3.0
"""How late a new replica may be noticed; a cluster's DNS caches for about as long."""
LOOKUP_TIMEOUT_S = 5.0

Lookup = Callable[[str, int], Awaitable[list[str] | None]]
"""`tcp://` addresses behind a host name and port; empty: there is no such name; None: it could not be asked."""


class Found(Protocol):
    def __call__(self, stage: str, addresses: list[str], *, complete: bool) -> None:
        """`complete` False: others of the stage's replicas that work may stay."""


class Discovery:
    def __init__(
        self, plan: Plan, found: Found, *, lookup: Lookup | None = None, every_s: float = RESOLVE_EVERY_S
    ) -> None:
        self._stages = plan.stages
        self._found = found
        self._lookup = lookup or look_up
        self._every_s = every_s

    @property
    def has_names(self) -> bool:
        return any(_names(stage) for stage in self._stages)

    def announce_fixed(self) -> None:
        """The addresses that need no look-up."""
        for stage in self._stages:
            if fixed := _fixed(stage):
                self._found(stage.name, fixed, complete=not _names(stage))

    async def run(self) -> None:
        """For ever."""
        while True:
            for stage in self._stages:
                if _names(stage):
                    try:
                        await self._resolve(stage)
                    except Exception:  # the boundary of the task: the replicas that are known go on
                        log.exception("cannot look up the replicas of stage %s", stage.name)
            await asyncio.sleep(self._every_s)

    async def _resolve(self, stage: PlanStage) -> None:
        addresses, complete = _fixed(stage), True
        for name in _names(stage):
            host, port = _split(name)
            resolved = await self._lookup(host, port)
            if resolved is None:
                return
            complete = complete and bool(resolved)
            addresses += resolved
        self._found(stage.name, list(dict.fromkeys(addresses)), complete=complete)


async def look_up(host: str, port: int) -> list[str] | None:
    """`Lookup` by the system's resolver."""
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (TimeoutError, OSError, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return []
        log.warning("cannot resolve %s: %s", host, error)
        return None
    return sorted({_tcp(str(info[4][0]), port) for info in infos})


def _tcp(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _names(stage: PlanStage) -> list[str]:
    return [address for address in stage.addresses if address.startswith(SCHEME)]


def _fixed(stage: PlanStage) -> list[str]:
    return [address for address in stage.addresses if not address.startswith(SCHEME)]


def _split(name: str) -> tuple[str, int]:
    host, _, port = name.removeprefix(SCHEME).rpartition(":")
    return host.strip("[]"), int(port)
