"""Who writes: of several operators the one that holds the Lease. The others keep their caches warm and wait.

A holder counts as gone when its lease was not renewed for the lease's duration *as seen by us*: clocks of different
machines are never compared. A leader that cannot renew stops writing well before another can take over.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from omnipipe_operator.cluster.errors import ClusterError, Conflict, NotFound
from omnipipe_operator.cluster.kinds import LEASE
from omnipipe_operator.cluster.port import Cluster
from omnipipe_operator.errors import LeaseLost
from omnipipe_operator.observed import Object

__all__ = ["Leader", "LeaseSettings"]

_logger = logging.getLogger(__name__)
_CALL_S: Final = 4.0
"""A renewal that takes longer is given up and tried again."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    namespace: str
    name: str = "omnipipe-operator"
    duration_s: int = 15
    """Without renewal for this long, another takes over."""
    renew_s: float = 5.0
    retry_s: float = 2.0
    """How often those who wait look; and the leader, after a renewal that failed."""
    give_up_s: float = 10.0
    """A leader that could not renew for this long stops: 5 s before another may begin: writes may be under way."""


class Leader:
    def __init__(
        self, cluster: Cluster, identity: str, settings: LeaseSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster, self._identity, self._settings, self._clock = cluster, identity, settings, clock
        self._renewed_at: float | None = None
        """None: not the leader."""
        self._seen: tuple[str, str] = ("", "")
        """Holder and renewal as last read, and since when they have been so."""
        self._seen_at = clock()

    @property
    def leading(self) -> bool:
        return self._renewed_at is not None and self._clock() - self._renewed_at < self._settings.give_up_s

    def permit(self) -> None:
        """Raises LeaseLost: another may lead now, nothing more may be written."""
        if not self.leading:
            raise LeaseLost("the lease was not renewed in time")

    async def acquire(self) -> None:
        """Waits until this process leads."""
        while not await self._try():  # noqa: ASYNC110 - what it waits for happens on another machine
            await asyncio.sleep(self._settings.retry_s)
        _logger.info("leading, as %s", self._identity)

    async def hold(self) -> None:
        """Renews until cancelled. Raises LeaseLost."""
        wait_s = self._settings.renew_s
        while True:
            await asyncio.sleep(wait_s)
            held = await self._try()
            if self._renewed_at is None or not self.leading:
                self._renewed_at = None
                raise LeaseLost(f"the lease {self._settings.namespace}/{self._settings.name} was lost")
            wait_s = self._settings.renew_s if held else self._settings.retry_s

    async def release(self) -> None:
        """So that another need not wait. Best effort: the lease runs out anyway."""
        if not self.leading:
            return
        self._renewed_at = None
        try:
            async with asyncio.timeout(_CALL_S):
                lease = await self._read()
                if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
                    await self._cluster.replace(LEASE, lease)
        except (ClusterError, TimeoutError) as error:
            _logger.info("the lease was not released: %s", error)

    async def _try(self) -> bool:
        """Take or renew it; whether that was possible. Another's holding it ends our own."""
        began = self._clock()
        try:
            async with asyncio.timeout(_CALL_S):
                lease = await self._read()
                if lease is not None and self._is_others(lease):
                    self._renewed_at = None
                    return False
                await self._write(lease)
        except (ClusterError, TimeoutError) as error:
            words = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            level = logging.DEBUG if isinstance(error, Conflict) else logging.WARNING
            _logger.log(level, "lease %s/%s: %s", self._settings.namespace, self._settings.name, words)
            return False
        self._renewed_at = began
        return True

    async def _read(self) -> Object | None:
        try:
            return await self._cluster.get(LEASE, self._settings.namespace, self._settings.name)
        except NotFound:
            return None

    def _is_others(self, lease: Object) -> bool:
        spec = lease["spec"]
        holder = spec.get("holderIdentity") or ""
        seen = (holder, lease["metadata"]["resourceVersion"])
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        if holder in ("", self._identity):
            return False
        return self._clock() - self._seen_at < float(spec.get("leaseDurationSeconds") or self._settings.duration_s)

    async def _write(self, lease: Object | None) -> None:
        before = lease["spec"] if lease else {}
        again = before.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._settings.duration_s,
            "acquireTime": before.get("acquireTime") if again else _now(),
            "renewTime": _now(),
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if again or not lease else 1),
        }
        if lease is not None:
            await self._cluster.replace(LEASE, {**lease, "spec": spec})
            return
        head = {"name": self._settings.name, "namespace": self._settings.namespace}
        new = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": head, "spec": spec}
        await self._cluster.create(LEASE, new)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
