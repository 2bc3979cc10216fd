"""What is known of requests and replicas, and the few things that everybody does with it: say, time, note.

Shared by those who decide (`starts`, `ends`, `dispatch`). It decides nothing, and no call of it leads to another: what
one brings about beyond its own request (a lost connection, a freed slot) is left here for `Dispatcher.settle`.
"""

from collections.abc import Callable, Collection, Iterable

from omnipipe.coordinator.admission import Admission
from omnipipe.coordinator.attempt import Attempt
from omnipipe.coordinator.deadlines import Deadlines
from omnipipe.coordinator.live import LiveFlight
from omnipipe.coordinator.replicas import ReplicaTable
from omnipipe.observe.events import EventName, Events, Field
from omnipipe.observe.metrics import CoordinatorMetrics
from omnipipe.spec.plan import Plan
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.messages import Cancel, Message
from omnipipe.wire.port import Peer

__all__ = ["Ledger"]


class Ledger:
    def __init__(
        self,
        plan: Plan,
        metrics: CoordinatorMetrics,
        events: Events,
        *,
        send: Callable[[Peer, Message], None],
        clock: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.metrics = metrics
        self.clock = clock
        self.table: ReplicaTable[Attempt] = ReplicaTable(plan, clock())
        self.admission: Admission[LiveFlight] = Admission(plan.gateway.max_in_flight, plan.gateway.max_queued)
        self.deadlines: Deadlines[LiveFlight] = Deadlines()
        self.attempts: dict[str, Attempt] = {}
        self.retrying: dict[LiveFlight, None] = {}
        self.lost: list[tuple[Peer, str]] = []
        """Connections that a send found dead."""
        self.stirred = False
        """A slot or a replica came free, or an attempt failed: somebody who waits may start."""
        self.leavers = False
        """A replica that is leaving may have nothing of ours any more."""
        self.draining = False
        self.events = events
        self._transmit = send

    def send(self, peer: Peer, message: Message) -> None:
        try:
            self._transmit(peer, message)
        except PeerLost as error:
            self.lost.append((peer, str(error)))

    def cancel(self, attempt: Attempt, stages: Collection[str], why: str, target: str = "") -> None:
        for stage in stages:
            peer = attempt.senders[stage]
            if self.table.by_peer(peer) is not None:
                self.send(peer, Cancel(attempt.rid, why, target))

    def unpin(self, attempt: Attempt, stages: Iterable[str]) -> None:
        """Their replicas have nothing of that attempt any more."""
        for stage in stages:
            replica = attempt.replicas[stage]
            replica.pinned.pop(attempt, None)
            if replica.leaving:
                self.leavers = True

    def set_timer(self, flight: LiveFlight, when: float | None) -> None:
        if flight.timer is not None:
            self.deadlines.cancel(flight.timer)
        flight.timer = None if when is None else self.deadlines.add(when, flight)

    def note(self, flight: LiveFlight, attempt: Attempt | None, name: EventName, /, **fields: Field) -> None:
        """To be called for those that are `traced`."""
        self.events.record(flight.request_id, attempt.rid if attempt else "", name, **fields)

    def report_replicas(self) -> None:
        for stage, counts in self.table.states():
            self.metrics.replicas(stage, counts)
