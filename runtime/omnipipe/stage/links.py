"""The replicas that this stage sends to: dialled when first named, kept, and given up when nobody names them any more.

A request may be for a replica that is still being connected: it waits here, by name only (its values wait in the
request), and is told when the connection is up or when waiting is over. No I/O beyond telling the wire whom to dial.
"""

import math
from typing import Protocol

from omnipipe.errors import ErrorKind
from omnipipe.stage.errors import Fault
from omnipipe.wire.port import Peer

__all__ = ["CONNECT_S", "Dialler", "Link", "Links"]

CONNECT_S = 2.0
"""How long a request waits for a connection. On one machine it takes a millisecond, across a cluster a few."""
_IDLE_S = 60.0
"""A replica that is down and was not named for this long is dialled no more: in a cluster addresses come and go."""
_MAX_LINKS = 1024
"""Replicas dialled at once; more than a pipeline has, so that more names than that are somebody's mistake."""


class Dialler(Protocol):
    """What links need of a Wire."""

    def dial(self, address: str, stage: str) -> None: ...

    def hang_up(self, address: str) -> None: ...


class Link:
    __slots__ = ("address", "peer", "stage", "used")

    def __init__(self, address: str, stage: str, now: float) -> None:
        self.address = address
        self.stage = stage
        self.peer: Peer | None = None
        """While connected."""
        self.used = now


class Links:
    def __init__(self, wire: Dialler) -> None:
        self._wire = wire
        self._by_address: dict[str, Link] = {}
        self._waiting: dict[tuple[str, Link], float] = {}
        """Request and the link it has something for -> when it gives up, soonest first."""

    def to(self, address: str, stage: str, now: float) -> Link:
        """Raises Fault when there are too many."""
        link = self._by_address.get(address)
        if link is None:
            if len(self._by_address) >= _MAX_LINKS:
                raise Fault(ErrorKind.UNAVAILABLE, f"stage '{stage}' cannot be reached", retryable=True)
            self._wire.dial(address, stage)  # raises for an address that can never work
            link = self._by_address[address] = Link(address, stage, now)
        link.used = now
        return link

    def wait(self, rid: str, link: Link, now: float) -> None:
        self._waiting.setdefault((rid, link), now + CONNECT_S)

    def up(self, peer: Peer) -> list[str]:
        """The requests that waited for it."""
        link = self._by_address.get(peer.address)
        if link is None:
            return []
        link.peer = peer
        return self._end_wait(link)

    def down(self, peer: Peer, *, refused: bool) -> Link | None:
        """The link that was lost. None for one more attempt that did not get through: those who wait go on waiting."""
        link = self._by_address.get(peer.address)
        if link is None or not (link.peer is peer or refused):
            return None
        link.peer = None
        self._end_wait(link)
        return link

    def next_due(self) -> float:
        return next(iter(self._waiting.values()), math.inf)

    def pop_due(self, now: float) -> list[tuple[str, Link]]:
        """Requests that have waited too long for a connection."""
        late = []
        for key, due in self._waiting.items():
            if due > now:
                break
            late.append(key)
        for key in late:
            del self._waiting[key]
        return late

    def retire(self, now: float) -> None:
        """Hangs up on replicas that are gone and that nobody needs. Planned ones come back through `to`."""
        busy = {link for _, link in self._waiting}
        for link in list(self._by_address.values()):
            if link.peer is None and link not in busy and now - link.used > _IDLE_S:
                del self._by_address[link.address]
                self._wire.hang_up(link.address)

    def _end_wait(self, link: Link) -> list[str]:
        keys = [key for key in self._waiting if key[1] is link]
        for key in keys:
            del self._waiting[key]
        return [rid for rid, _ in keys]
