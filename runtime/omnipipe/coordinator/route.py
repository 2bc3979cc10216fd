"""A walk on chosen replicas: whom a request's messages go to, and what each stage is told of the others.

All requests of one walk that run on the same replicas share one, for as long as the connections stay what they are.
"""

from operator import attrgetter
from typing import Generic, TypeVar

from omnipipe.coordinator.replicas import Replica
from omnipipe.coordinator.walk import Walk, WalkOutput
from omnipipe.wire.port import Peer

__all__ = ["Part", "Route", "Routes"]

T = TypeVar("T")

MAX_KEPT = 1024
"""Replicas to the power of stages bounds the number of routes; beyond this all are made again as they are needed."""


_peer_of = attrgetter("peer")


class Part:
    """One stage's own. What it holds goes into messages as it is: never change it."""

    __slots__ = ("entry", "outputs", "peer", "sources", "stage", "targets")

    def __init__(
        self, stage: str, peer: Peer, sources: dict[str, str], targets: dict[str, str], outputs: list[str]
    ) -> None:
        self.stage = stage
        self.peer = peer
        self.entry = not sources
        self.sources = sources
        """Upstream stage -> name of its replica."""
        self.targets = targets
        """Downstream stage -> address of its replica."""
        self.outputs = outputs


class Route(Generic[T]):
    __slots__ = ("outputs", "parts", "replicas", "senders", "walk")

    def __init__(self, walk: Walk, replicas: dict[str, Replica[T]]) -> None:
        self.walk = walk
        self.replicas = replicas
        """Stage -> where it runs."""
        self.senders = senders = {
            stage: replica.peer for stage, replica in replicas.items() if replica.peer is not None
        }
        """Stage -> the connection to it; a replica that reconnects has forgotten what it was told on another."""
        self.parts = [
            Part(
                part.name,
                senders[part.name],
                {source: senders[source].name for source in part.sources},
                {target: replicas[target].address for target in part.targets},
                part.outputs,
            )
            for part in walk.stages
        ]
        self.outputs: list[tuple[WalkOutput, Peer]] = [(output, senders[output.stage]) for output in walk.outputs]


class Routes(Generic[T]):
    def __init__(self) -> None:
        self._kept: dict[object, Route[T]] = {}

    def find(self, walk: Walk, chosen: list[Replica[T]]) -> Route[T]:
        """`chosen`: connected, one a stage, in the order of the walk."""
        key = (walk, *map(_peer_of, chosen))
        route = self._kept.get(key)
        if route is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            by_stage = {part.name: replica for part, replica in zip(walk.stages, chosen, strict=True)}
            route = self._kept[key] = Route(walk, by_stage)
        return route
