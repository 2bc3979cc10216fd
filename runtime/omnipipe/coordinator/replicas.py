"""Which replicas there are, which of them take work, and which has least of it. A table: no sockets, no clock of its
own.

A replica is routable when it is connected, has said that it accepts work (or only that it is full), its engine is not
stuck in a step, and it is still among the stage's addresses. Its load is what we have given it plus what its own
reports say of other gateways; it is given no more than `max_running`, whatever it said a moment ago.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from omnipipe.coordinator.flight import StageHealth
from omnipipe.coordinator.walk import Walk
from omnipipe.observe.metrics import ReplicaState
from omnipipe.spec.plan import Plan
from omnipipe.wire.messages import Beat
from omnipipe.wire.port import Peer

__all__ = ["Replica", "ReplicaTable"]

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Replica(Generic[T]):
    """`T` is what it works on for us: attempts."""

    stage: str
    address: str
    max_running: int
    peer: Peer | None = None
    """The connection, None while there is none."""
    accepting: bool = False
    """What it last said; False until it has said something."""
    stalled: bool = False
    leaving: bool = False
    """No longer among the stage's addresses: finishes what it has and gets no more."""
    queued: int = 0
    running: int = 0
    others: int = 0
    """Requests of other gateways, by its last report."""
    pinned: dict[T, None] = field(default_factory=dict)
    """What we have given it, oldest first."""

    def state(self) -> ReplicaState:
        if self.peer is None:
            return ReplicaState.DOWN
        if self.stalled:
            return ReplicaState.STALLED
        if self.leaving:
            return ReplicaState.NOT_ACCEPTING
        full = self.queued + self.running >= self.max_running
        return ReplicaState.ROUTABLE if self.accepting or full else ReplicaState.NOT_ACCEPTING


class _Stage(Generic[T]):
    def __init__(self, name: str, max_running: int, down_since: float) -> None:
        self.name = name
        self.max_running = max_running
        self.replicas: dict[str, Replica[T]] = {}
        self.routable: list[Replica[T]] = []
        self.down_since: float | None = down_since
        """Since when nobody is routable; None while somebody is."""
        self.turn = 0

    def refresh(self, now: float) -> None:
        self.routable = [r for r in self.replicas.values() if r.state() is ReplicaState.ROUTABLE]
        if self.routable:
            self.down_since = None
        elif self.down_since is None:
            self.down_since = now


class ReplicaTable(Generic[T]):
    def __init__(self, plan: Plan, now: float) -> None:
        self._stalled_after_s = plan.transport.stalled_after_s
        self._stages: dict[str, _Stage[T]] = {s.name: _Stage(s.name, s.max_running, now) for s in plan.stages}
        self._by_peer: dict[Peer, Replica[T]] = {}
        self._troubles: dict[str, str] = {}
        """Address -> why it last did not come up, so that the log says it once."""

    def set_addresses(self, stage: str, addresses: Collection[str], now: float) -> list[str]:
        """What the stage's replicas are from now on. Returns the addresses that are new, to be dialled; those that went
        are left to `gone`."""
        entry = self._stages[stage]
        new = [address for address in addresses if address not in entry.replicas]
        for address in new:
            entry.replicas[address] = Replica(stage, address, entry.max_running)
        for address, replica in entry.replicas.items():
            replica.leaving = address not in addresses
        entry.refresh(now)
        return new

    def gone(self, now: float) -> list[str]:
        """Forgets the leaving replicas that have nothing of ours any more; returns their addresses, to be hung up."""
        addresses: list[str] = []
        for entry in self._stages.values():
            for replica in [r for r in entry.replicas.values() if r.leaving and not r.pinned]:
                del entry.replicas[replica.address]
                self._troubles.pop(replica.address, None)
                if replica.peer is not None:
                    self._by_peer.pop(replica.peer, None)
                addresses.append(replica.address)
                entry.refresh(now)
        return addresses

    def up(self, peer: Peer, now: float) -> None:
        """Connected; it is routable once its first report says that it accepts work."""
        entry = self._stages.get(peer.stage)
        replica = entry.replicas.get(peer.address) if entry else None
        if entry is None or replica is None:
            return
        if replica.peer is not None:
            self._by_peer.pop(replica.peer, None)
        self._troubles.pop(peer.address, None)
        replica.peer = peer
        self._by_peer[peer] = replica
        replica.accepting = replica.stalled = False
        replica.queued = replica.running = replica.others = 0
        entry.refresh(now)

    def down(self, peer: Peer, reason: str, now: float) -> Replica[T] | None:
        """The replica that died, None when this connection was not one's (any more)."""
        replica = self._by_peer.pop(peer, None)
        if replica is None:
            if not peer.name and self._troubles.get(peer.address) != reason:
                self._troubles[peer.address] = reason
                log.info("stage %s at %s cannot be reached yet: %s", peer.stage, peer.address, reason)
            return None
        log.warning("stage %s at %s is lost: %s", replica.stage, replica.address, reason)
        replica.peer = None
        replica.accepting = replica.stalled = False
        replica.queued = replica.running = replica.others = 0
        self._stages[replica.stage].refresh(now)
        return replica

    def beat(self, peer: Peer, beat: Beat, now: float) -> tuple[Replica[T], bool] | None:
        """Takes a load report. Returns the replica and whether it takes more or less part than before, or None when
        nothing has changed but numbers."""
        replica = self._by_peer.get(peer)
        if replica is None:
            return None
        before = replica.state()
        replica.accepting = beat.accepting
        replica.stalled = beat.running > 0 and beat.step_s > self._stalled_after_s
        replica.queued, replica.running = beat.queued, beat.running
        replica.others = max(0, beat.queued + beat.running - len(replica.pinned))
        after = replica.state()
        if after is before and after is ReplicaState.ROUTABLE:
            return None
        self._stages[replica.stage].refresh(now)
        if after is ReplicaState.STALLED and before is not after:
            log.warning("stage %s at %s is stuck in a step for %.1f s", replica.stage, replica.address, beat.step_s)
        return None if after is before else (replica, after is ReplicaState.ROUTABLE)

    def by_peer(self, peer: Peer) -> Replica[T] | None:
        return self._by_peer.get(peer)

    def choose(
        self, walk: Walk, avoid: Collection[Replica[T]] = (), *, strictly: bool = False
    ) -> list[Replica[T]] | None:
        """The least loaded replica of each stage that has room, in the walk's order; None when a stage has none. One of
        `avoid` only where a stage has no other, and not even then if `strictly`."""
        chosen: list[Replica[T]] = []
        for part in walk.stages:
            entry = self._stages[part.name]
            candidates = entry.routable
            if avoid:
                preferred = [replica for replica in candidates if replica not in avoid]
                candidates = preferred if preferred or strictly else candidates
            replica = _least_loaded(entry, candidates)
            if replica is None:
                return None
            chosen.append(replica)
        return chosen

    def unroutable(self, walk: Walk) -> tuple[float, str] | None:
        """The stage of the walk that has been without a routable replica for longest, and since when; None when all
        have one, be it full."""
        down = [(since, part.name) for part in walk.stages if (since := self._stages[part.name].down_since) is not None]
        return min(down, default=None)

    def health(self) -> tuple[StageHealth, ...]:
        return tuple(
            StageHealth(
                name=entry.name,
                replicas=len(entry.replicas),
                routable=len(entry.routable),
                queued=sum(replica.queued for replica in entry.replicas.values()),
                running=sum(replica.running for replica in entry.replicas.values()),
            )
            for entry in self._stages.values()
        )

    def states(self) -> Iterable[tuple[str, Mapping[ReplicaState, int]]]:
        """For the metrics: stage name and how many replicas are in which state."""
        for entry in self._stages.values():
            counts = dict.fromkeys(ReplicaState, 0)
            for replica in entry.replicas.values():
                counts[replica.state()] += 1
            yield entry.name, counts

    def replicas(self, stage: str) -> list[Replica[T]]:
        return list(self._stages[stage].replicas.values())


def _least_loaded(entry: _Stage[T], candidates: list[Replica[T]]) -> Replica[T] | None:
    """In turn among those with the same load."""
    if len(candidates) > 1:
        entry.turn = turn = (entry.turn + 1) % len(candidates)
        candidates = candidates[turn:] + candidates[:turn]
    best, least = None, entry.max_running
    for replica in candidates:
        load = len(replica.pinned) + replica.others
        if load < least:
            best, least = replica, load
    return best
