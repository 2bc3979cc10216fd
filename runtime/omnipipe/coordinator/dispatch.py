"""What brings a request on, from outside: the gateway asks (`open` and `LiveFlight`), replicas come and go, time passes
(`sweep`). What stages say of a request itself is read by `inbound`.

What becomes of the request is decided by `starts` (on to the stages) and `ends` (off them); what is known is in the
`ledger`. Everything here is synchronous, and no call re-enters another: what one brings about beyond its own request
(a lost connection, a freed slot) is worked off in `settle` at the end.
"""

from collections.abc import Callable, Collection

from omnipipe.coordinator import errors
from omnipipe.coordinator.attempt import Attempt, Incoming
from omnipipe.coordinator.ends import Ends
from omnipipe.coordinator.flight import Health, OmniRequest
from omnipipe.coordinator.ledger import Ledger
from omnipipe.coordinator.live import LiveFlight, Phase
from omnipipe.coordinator.replicas import Replica
from omnipipe.coordinator.starts import REPLICA_WAIT_S, Starts
from omnipipe.coordinator.walk import Walk, Walks
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.events import Events
from omnipipe.observe.metrics import CoordinatorMetrics, End, Refusal, RetryReason
from omnipipe.spec.plan import Plan
from omnipipe.wire.messages import Ack, Beat, Message
from omnipipe.wire.port import Peer, Wire

__all__ = ["Dispatcher"]


class Dispatcher:
    def __init__(
        self,
        plan: Plan,
        wire: Wire,
        metrics: CoordinatorMetrics,
        events: Events,
        *,
        send: Callable[[Peer, Message], None],
        clock: Callable[[], float],
        name: str,
        replica_wait_s: float = REPLICA_WAIT_S,
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._request_timeout_s = plan.gateway.request_timeout_s
        self._walks = Walks(plan)
        self.ledger = Ledger(plan, metrics, events, send=send, clock=clock)
        self.ends = Ends(self.ledger)
        self.next_due = self.ledger.deadlines.earliest
        """When `sweep` has something to do."""
        self._starts = Starts(self.ledger, self.ends, name=name, replica_wait_s=replica_wait_s)

    # What the gateway asks

    def open(self, request: OmniRequest) -> LiveFlight:
        """Starts it or queues it. Raises RequestError when it is refused at once."""
        ledger = self.ledger
        if ledger.draining:
            ledger.metrics.refused(Refusal.DRAINING)
            raise errors.draining()
        try:
            walk = self._walk(request)
        except RequestError:
            ledger.metrics.refused(Refusal.INVALID)
            raise
        now, limit = self._clock(), self._request_timeout_s
        timeout_s = limit if request.timeout_s is None else min(limit, request.timeout_s)
        flight = LiveFlight(self, request, walk, now, timeout_s, traced=request.events or ledger.events.on)
        self._starts.arrive(flight, now)
        self.settle()
        if flight.error is not None:
            raise flight.error
        return flight

    def credit(self, incoming: Incoming, rid: str) -> None:
        incoming.limit = incoming.next_seq + incoming.window
        incoming.ack_at = incoming.next_seq + incoming.ack_every
        self.ledger.send(incoming.peer, Ack(rid, incoming.name, incoming.next_seq - 1))

    def leave(self, flight: LiveFlight) -> None:
        if flight.phase is not Phase.OVER:
            self.ends.stop(flight, "the client left")
            self.ledger.metrics.cancels.inc()
            self.ends.finish(flight, End.CANCELLED, None)
            self.settle()
            flight.ready.clear()

    def retry_after_s(self) -> float:
        """What a client that is turned away now is told."""
        return self.ledger.admission.retry_after_s()

    def health(self) -> Health:
        ledger = self.ledger
        stages, admission = ledger.table.health(), ledger.admission
        ready = not ledger.draining and all(stage.routable for stage in stages)
        return Health(ready, ledger.draining, admission.in_flight, admission.queued, stages)

    # What the owner of the event loop drives

    def set_addresses(self, stage: str, addresses: Collection[str]) -> None:
        for address in self.ledger.table.set_addresses(stage, addresses, self._clock()):
            self._wire.dial(address, stage)
        self.ledger.leavers = True
        self.ledger.report_replicas()
        self.settle()

    def working_addresses(self, stage: str) -> list[str]:
        """Those of connected replicas: a look-up that fails must not take them away."""
        return [replica.address for replica in self.ledger.table.replicas(stage) if replica.peer is not None]

    def sweep(self) -> None:
        """Ends or moves on what has waited long enough."""
        now = self._clock()
        for flight in self.ledger.deadlines.due(now):
            flight.timer = None
            if flight.phase is Phase.OVER:
                continue
            if now >= flight.deadline:
                self.ends.stop(flight, "deadline")
                self.ends.finish(flight, End.ERROR, errors.deadline(flight.timeout_s))
            elif flight.phase is not Phase.RUNNING:
                self._starts.move_on(flight, now)
        self.settle()

    def drain(self) -> None:
        """Admits nothing more; who waits in the queue is turned away."""
        self.ledger.draining = True
        for flight in list(self.ledger.admission.waiting()):
            self._starts.refuse(flight, Refusal.DRAINING, errors.draining())

    def abort_all(self) -> None:
        """Ends what is still in flight."""
        for flight in [attempt.flight for attempt in self.ledger.attempts.values()] + list(self.ledger.retrying):
            self.ends.stop(flight, "the gateway shuts down")
            self.ends.finish(flight, End.ERROR, errors.draining())
        self.settle()

    def settle(self) -> None:
        """What follows from all that. At the end of every call from outside."""
        ledger = self.ledger
        while ledger.lost or ledger.stirred or ledger.leavers:
            if ledger.lost:
                peer, reason = ledger.lost.pop()
                self.peer_down(peer, reason, RetryReason.SEND_FAILED)
            elif ledger.stirred:
                ledger.stirred = False
                self._starts.advance()
            else:
                ledger.leavers = False
                for address in ledger.table.gone(self._clock()):
                    self._wire.hang_up(address)

    # What the wire says of replicas

    def peer_up(self, peer: Peer) -> None:
        self.ledger.table.up(peer, self._clock())
        self.ledger.report_replicas()

    def peer_says(self, peer: Peer, message: Beat) -> None:
        changed = self.ledger.table.beat(peer, message, self._clock())
        if changed is None:
            return
        replica, routable = changed
        if routable:
            self.ledger.stirred = True
        elif replica.stalled:
            self._harm(replica, RetryReason.STALLED)
        self.ledger.report_replicas()

    def peer_down(self, peer: Peer, reason: str, why: RetryReason) -> None:
        replica = self.ledger.table.down(peer, reason, self._clock())
        if replica is not None:
            self._harm(replica, why)
            replica.pinned.clear()
            self.ledger.leavers = True
            self.ledger.report_replicas()

    def _harm(self, replica: Replica[Attempt], why: RetryReason) -> None:
        for attempt in list(replica.pinned):
            if attempt.needs(replica.stage):
                error = errors.replica_lost(replica.stage, self.retry_after_s())
                self.ends.fail(attempt, error, why, {replica}, freed="", lost=replica.stage)

    def _walk(self, request: OmniRequest) -> Walk:
        walk = self._walks.choose(request.outputs, request.inputs)
        for stage in request.stage_params:
            if stage not in walk.by_name:
                known = ", ".join(sorted(walk.by_name))
                raise RequestError(
                    ErrorKind.INVALID,
                    f"Stage '{stage}' takes no part in this request; its stages are {known}.",
                    param="stage_params",
                )
        return walk
