"""One try of one request on chosen replicas: what each stage is told, which outputs have come how far, and whom it
still needs. It sends nothing and decides nothing beyond these questions.
"""

from dataclasses import dataclass
from sys import maxsize
from typing import TYPE_CHECKING

from omnipipe.coordinator.route import Route
from omnipipe.coordinator.walk import WalkOutput, WalkStage
from omnipipe.wire.messages import Submit
from omnipipe.wire.port import Peer

if TYPE_CHECKING:
    from omnipipe.coordinator.live import LiveFlight

__all__ = ["Attempt", "Incoming", "Loss"]


class Incoming:
    """One output of an attempt on its way here."""

    __slots__ = ("ack_at", "ack_every", "light_chars", "limit", "name", "next_seq", "peer", "stage", "window")

    def __init__(self, output: WalkOutput, peer: Peer) -> None:
        self.name = output.name
        self.stage = output.stage
        self.peer = peer
        """The replica that owes it; from anybody else it is not believed."""
        self.window = output.window
        self.next_seq = 0
        self.limit = self.window
        """The first `seq` that the sender has no credit for; -1 once the last piece has come."""
        self.ack_every = output.ack_every
        self.ack_at = output.ack_every
        """An Ack is due when so many pieces have come and the reader has them; 0: something has come since the last one
        that may weigh on the byte window."""
        self.light_chars = output.light_chars

    def end(self) -> None:
        """Its last piece has come: nothing more is believed or acknowledged."""
        self.limit = -1
        self.ack_at = maxsize


@dataclass(frozen=True, slots=True)
class Loss:
    """What goes with a stage when the rest of an attempt goes on."""

    outputs: list[str]
    """They end here."""
    stages: list[str]
    """Nobody needs them any more."""
    edges: list[tuple[str, str]]
    """From a stage that is still needed to one that is not."""


class Attempt:
    __slots__ = (
        "credit_due", "dropped", "fed", "flight", "incoming", "lost", "pending", "replicas", "rid", "route", "senders",
        "walk",
    )  # fmt: skip

    def __init__(self, rid: str, flight: "LiveFlight", route: Route["Attempt"]) -> None:
        self.rid = rid
        self.flight = flight
        self.route = route
        self.walk = route.walk
        self.replicas = route.replicas
        self.senders = route.senders
        self.incoming = {output.name: Incoming(output, peer) for output, peer in route.outputs}
        self.credit_due = False
        """One of them is due an Ack once the reader has what came."""
        self.pending = len(self.incoming)
        """Outputs that have not ended."""
        self.fed: set[str] = set()
        self.lost: frozenset[str] = frozenset()
        """Outputs that ended before they were complete."""
        self.dropped: frozenset[str] = frozenset()
        """Stages that it goes on without: what they still say was on its way."""

    def submits(self, ttl_s: float) -> list[tuple[Peer, Submit]]:
        """What each stage is told."""
        rid, request = self.rid, self.flight.request
        request_id, events = request.request_id, request.events
        told = []
        for part in self.route.parts:
            value = request.value if part.entry else None
            params = request.stage_params.get(part.stage)
            submit = Submit(rid, request_id, ttl_s, part.sources, part.targets, part.outputs, params, value, events)
            told.append((part.peer, submit))
        return told

    def needs(self, stage: str) -> bool:
        """Whether the death of `stage`'s replica harms this attempt: it owes an output that has not ended, or feeds a
        stage that is needed and has not said that it has all its inputs."""
        needed: dict[str, bool] = {}
        for part in reversed(self.walk.stages):
            needed[part.name] = self._owes(part) or any(needed[t] and t not in self.fed for t in part.targets)
            if part.name == stage:
                return needed[stage]
        return False

    def lose(self, stage: str) -> Loss | None:
        """Goes on without `stage` and what can only come through it. None: then nothing at all would be left."""
        hit = {stage}
        for part in self.walk.stages:
            if part.name not in self.fed and not hit.isdisjoint(part.sources):
                hit.add(part.name)
        ended = [name for name, incoming in self.incoming.items() if incoming.limit >= 0 and incoming.stage in hit]
        whole = self.incoming.keys() - ended - self.lost
        if not (ended and whole):
            return None
        for name in ended:
            self.incoming[name].end()
        self.lost = self.lost.union(ended)
        self.pending -= len(ended)
        needed = [part for part in self.walk.stages if self.needs(part.name)]
        kept = {part.name for part in needed}
        idle = [name for name in self.senders if name not in kept and name not in self.dropped]
        self.dropped = self.dropped.union(idle)
        return Loss(ended, idle, [(part.name, to) for part in needed for to in part.targets if to in idle])

    def feed(self, stage: str) -> list[str]:
        """`stage` has all its inputs. Returns the stages that have thereby done all they had to do: they count as fed,
        whether or not they have said so."""
        fed, parts = self.fed, self.walk.by_name
        fed.add(stage)
        through: list[str] = []
        settled = [parts[stage]]
        for part in settled:  # it grows
            for name in part.sources:
                source = parts[name]
                if name not in through and (name in part.frees or self._is_through(source)):
                    through.append(name)
                    if source.sources:
                        fed.add(name)
                        settled.append(source)
        return through

    def _is_through(self, part: WalkStage) -> bool:
        return all(target in self.fed for target in part.targets) and not self._owes(part)

    def _owes(self, part: WalkStage) -> bool:
        return any(self.incoming[name].limit >= 0 for name in part.outputs)

    def unfinished(self) -> list[str]:
        """Stages that may still be at work when all outputs have ended: those that feed one which did not say that it
        has all its inputs, and which did not feed all of its own targets either."""
        satisfied: dict[str, bool] = {}
        for part in reversed(self.walk.stages):
            fed_on = bool(part.targets) and all(satisfied[target] for target in part.targets)
            satisfied[part.name] = part.name in self.fed or fed_on
        return [part.name for part in self.walk.stages if not all(satisfied[target] for target in part.targets)]
