"""Each request's life between admission and its one end: starts attempts, tells harm from no harm when a replica dies,
runs again what nobody has seen yet.

Everything here is synchronous and driven from outside: `open` and `LiveFlight` by the gateway, `inbound` by the wire's
events, `sweep` by a timer. No call of it re-enters another: what one brings about beyond its own request (a lost
connection, a freed slot) is worked off in `settle` at the end.
"""

import logging
from collections.abc import Callable, Collection

from omnipipe.coordinator import errors
from omnipipe.coordinator.admission import Admission
from omnipipe.coordinator.attempt import Attempt, Incoming
from omnipipe.coordinator.deadlines import Deadlines
from omnipipe.coordinator.flight import Health, OmniRequest, Piece
from omnipipe.coordinator.live import LiveFlight, Phase
from omnipipe.coordinator.replicas import Replica, ReplicaTable
from omnipipe.coordinator.walk import Walk, Walks
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.events import EventName, Events, Field
from omnipipe.observe.metrics import CoordinatorMetrics, End, Refusal, RetryReason
from omnipipe.spec.plan import Plan
from omnipipe.wire.errors import PeerLost, TooBig
from omnipipe.wire.messages import Ack, Beat, Cancel, Message
from omnipipe.wire.port import Peer, Wire

__all__ = ["REPLICA_WAIT_S", "Dispatcher"]

log = logging.getLogger(__name__)

REPLICA_WAIT_S = 10.0
"""A stage may be without a routable replica for so long before its requests are refused: a crashed process is back
within seconds, a model that has to be loaded is not."""
RELAX_AFTER_S = 0.1
"""A retry that has only the replica it was lost on waits so long (twice, four times as long the next times), for its
death may not have been heard of here yet."""


def nothing() -> None:
    """A hook nobody uses."""


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
        self._plan = plan
        self._wire = wire
        self._transmit = send
        self._metrics = metrics
        self._events = events
        self._clock = clock
        self._rid_prefix = f"{name}."
        self._replica_wait_s = replica_wait_s
        self._walks = Walks(plan)
        self._table: ReplicaTable[Attempt] = ReplicaTable(plan, clock())
        self._admission: Admission[LiveFlight] = Admission(plan.gateway.max_in_flight, plan.gateway.max_queued)
        self._deadlines: Deadlines[LiveFlight] = Deadlines()
        self.attempts: dict[str, Attempt] = {}
        self._attempt_count = 0
        self._retrying: dict[LiveFlight, None] = {}
        self._lost: list[tuple[Peer, str]] = []
        self._stirred = False
        """A slot or a replica came free, or an attempt failed: somebody who waits may start."""
        self._leavers = False
        """A replica that is leaving may have nothing of ours any more."""
        self.draining = False
        self.on_idle: Callable[[], None] = nothing
        """Called when the last request in flight has ended."""

    # What the gateway asks

    def open(self, request: OmniRequest) -> LiveFlight:
        """Starts it or queues it. Raises RequestError when it is refused at once."""
        if self.draining:
            self._metrics.refused(Refusal.DRAINING)
            raise errors.draining()
        try:
            walk = self._walk(request)
        except RequestError:
            self._metrics.refused(Refusal.INVALID)
            raise
        now = self._clock()
        limit = self._plan.gateway.request_timeout_s
        timeout_s = limit if request.timeout_s is None else min(limit, request.timeout_s)
        flight = LiveFlight(self, request, walk, now, timeout_s)
        if not (self._admission.has_slot and self._start(flight, now)):
            if self._admission.join(flight):
                self._metrics.queued.set(self._admission.queued)
                self._wait(flight, now)
            else:
                self._refuse_full(flight)
        self.settle()
        if flight.error is not None:
            raise flight.error
        return flight

    def credit(self, incoming: Incoming, rid: str) -> None:
        incoming.acked = incoming.next_seq
        incoming.limit = incoming.next_seq + incoming.window
        incoming.heavy = False
        self._send(incoming.peer, Ack(rid, incoming.name, incoming.next_seq - 1))

    def leave(self, flight: LiveFlight) -> None:
        if flight.phase is not Phase.OVER:
            self._stop(flight, "the client left")
            self._metrics.cancels.inc()
            self._finish(flight, End.CANCELLED, None)
            self.settle()
            flight.ready.clear()

    def retry_after_s(self) -> float:
        """What a client that is turned away now is told."""
        return self._admission.retry_after_s()

    def health(self) -> Health:
        stages = self._table.health()
        ready = not self.draining and all(stage.routable for stage in stages)
        return Health(ready, self.draining, self._admission.in_flight, self._admission.queued, stages)

    # What the owner of the event loop drives

    def set_addresses(self, stage: str, addresses: Collection[str]) -> None:
        for address in self._table.set_addresses(stage, addresses, self._clock()):
            self._wire.dial(address, stage)
        self._leavers = True
        self._report_replicas()
        self.settle()

    def working_addresses(self, stage: str) -> list[str]:
        """Those of connected replicas: a look-up that fails must not take them away."""
        return [replica.address for replica in self._table.replicas(stage) if replica.peer is not None]

    def next_due(self) -> float | None:
        """When `sweep` has something to do."""
        return self._deadlines.earliest()

    def sweep(self) -> None:
        """Ends or moves on what has waited long enough."""
        now = self._clock()
        for flight in self._deadlines.due(now):
            flight.timer = None
            if flight.phase is Phase.OVER:
                continue
            if now >= flight.deadline:
                self._stop(flight, "deadline")
                self._finish(flight, End.ERROR, errors.deadline(flight.timeout_s))
            elif flight.phase is not Phase.RUNNING:
                self._move_on(flight, now)
        self.settle()

    def drain(self) -> None:
        """Admits nothing more; who waits in the queue is turned away."""
        self.draining = True
        for flight in list(self._admission.waiting()):
            self._refuse(flight, Refusal.DRAINING, errors.draining())

    def abort_all(self) -> None:
        """Ends what is still in flight."""
        for flight in [attempt.flight for attempt in self.attempts.values()] + list(self._retrying):
            self._stop(flight, "the gateway shuts down")
            self._finish(flight, End.ERROR, errors.draining())
        self.settle()

    # What the wire says of replicas

    def peer_up(self, peer: Peer) -> None:
        self._table.up(peer, self._clock())
        self._report_replicas()

    def peer_says(self, peer: Peer, message: Beat) -> None:
        changed = self._table.beat(peer, message, self._clock())
        if changed is None:
            return
        replica, routable = changed
        if routable:
            self._stirred = True
        elif replica.stalled:
            self._harm(replica, RetryReason.STALLED)
        self._report_replicas()

    def peer_down(self, peer: Peer, reason: str, why: RetryReason) -> None:
        replica = self._table.down(peer, reason, self._clock())
        if replica is not None:
            self._harm(replica, why)
            replica.pinned.clear()
            self._leavers = True
            self._report_replicas()

    def _harm(self, replica: Replica[Attempt], why: RetryReason) -> None:
        for attempt in list(replica.pinned):
            if attempt.needs(replica.stage):
                error = errors.replica_lost(replica.stage, self._admission.retry_after_s())
                self.fail(attempt, error, why, {replica}, freed="", lost=replica.stage)

    # What becomes of a request

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

    def _start(self, flight: LiveFlight, now: float) -> bool:
        """Begins an attempt if each stage has a replica for it. The caller has seen to a slot."""
        chosen = self._table.choose(flight.walk, flight.avoid, strictly=now < flight.relax_at)
        if chosen is None:
            return False
        if flight.phase is Phase.RETRYING:
            del self._retrying[flight]
        else:
            self._admit(flight, now)
        self._attempt_count += 1
        attempt = Attempt(f"{self._rid_prefix}{self._attempt_count:x}", flight, chosen)
        self.attempts[attempt.rid] = attempt
        flight.attempt = attempt
        flight.phase = Phase.RUNNING
        self._set_timer(flight, flight.deadline)
        for replica in chosen.values():
            replica.pinned[attempt] = None
        if self.records(flight):
            self.note(flight, attempt, EventName.SUBMITTED, attempt=flight.retries, walk=",".join(chosen))
        try:
            for peer, submit in attempt.submits(flight.deadline - now):
                self._send(peer, submit)
        except TooBig:
            error = RequestError(ErrorKind.TOO_LARGE, "The request is larger than this pipeline's stages take.")
            self.fail(attempt, error, None, (), freed="")
        except TypeError:  # a value of the family's that is no wire value
            log.exception("request %s cannot be sent", flight.request_id)
            error = RequestError(ErrorKind.INTERNAL, "The request could not be passed on.")
            self.fail(attempt, error, None, (), freed="")
        if flight.start is not None:
            flight.wake()
        return True

    def _admit(self, flight: LiveFlight, now: float) -> None:
        self._admission.leave(flight)
        self._admission.take_slot()
        flight.admitted_at = now
        waited = now - flight.arrived_at
        metrics = self._metrics
        metrics.in_flight.value = self._admission.in_flight
        metrics.queued.value = self._admission.queued
        metrics.queue_seconds.observe(waited)
        if self.records(flight):
            self.note(flight, None, EventName.REQUEST_ADMITTED, queue_s=waited)

    def _wait(self, flight: LiveFlight, now: float) -> None:
        """It cannot start: gives it a time to look again, or ends it when it has waited long enough."""
        limit = flight.waiting_since + self._plan.gateway.queue_timeout_s
        down = self._table.unroutable(flight.walk)
        if down is not None:
            limit = min(limit, down[0] + self._replica_wait_s)
        if now < limit:
            when = min(limit, flight.deadline)
            if flight.phase is Phase.RETRYING and now < flight.relax_at:
                when = min(when, flight.relax_at)
            self._set_timer(flight, when)
        elif down is not None:
            self._refuse(flight, Refusal.NO_REPLICA, errors.unavailable(down[1], self._admission.retry_after_s()))
        else:
            self._refuse(flight, Refusal.QUEUE_TIMEOUT, errors.overloaded(self._admission.retry_after_s()))

    def _move_on(self, flight: LiveFlight, now: float) -> None:
        may = flight.phase is Phase.RETRYING or self._admission.has_slot
        if not (may and self._start(flight, now)):
            self._wait(flight, now)

    def _refuse_full(self, flight: LiveFlight) -> None:
        down = self._table.unroutable(flight.walk)
        after = self._admission.retry_after_s()
        if down is not None:
            self._refuse(flight, Refusal.NO_REPLICA, errors.unavailable(down[1], after))
        else:
            self._refuse(flight, Refusal.QUEUE_FULL, errors.overloaded(after))

    def _refuse(self, flight: LiveFlight, why: Refusal, error: RequestError) -> None:
        """Ends one that waits. A retry was admitted before and ends in an error; the others never began."""
        if flight.admitted_at is not None:
            self._finish(flight, End.ERROR, error)
        else:
            self._metrics.refused(why)
            self._finish(flight, None, error)

    def _stop(self, flight: LiveFlight, why: str) -> None:
        """Frees it on the stages."""
        attempt = flight.attempt
        if attempt is not None:
            self._release(attempt)
            self._cancel(attempt, attempt.senders, why)

    def fed(self, attempt: Attempt, stage: str) -> None:
        """`stage` has all its inputs: replicas that only had to feed it are free for others."""
        for through in attempt.feed(stage):
            replica = attempt.replicas[through]
            replica.pinned.pop(attempt, None)
            self._stirred = True
            self._leavers = self._leavers or replica.leaving

    def complete(self, attempt: Attempt) -> None:
        self._release(attempt)
        if len(attempt.fed) < attempt.walk.feeds:
            self._cancel(attempt, attempt.unfinished(), "the outputs are complete")
        self._finish(attempt.flight, End.ERROR if attempt.lost else End.RESULT, None)

    def fail(
        self,
        attempt: Attempt,
        error: RequestError,
        retry: RetryReason | None,
        suspects: Collection[Replica[Attempt]],
        freed: str,
        lost: str = "",
    ) -> None:
        """The attempt is over. The request is run again if that may help (`retry`) and nobody can have noticed. If not,
        and its reader has something, it goes on without the stage that was `lost` as long as any output can."""
        flight, now = attempt.flight, self._clock()
        if flight.handed or flight.retries >= self._plan.gateway.max_retries or now >= flight.deadline:
            retry = None
        if lost and retry is None and flight.has_begun and self._go_on_without(lost, attempt, error, freed):
            return
        self._release(attempt)
        self._cancel(attempt, [stage for stage in attempt.senders if stage != freed], "the request failed elsewhere")
        if retry is None:
            self._finish(flight, End.ERROR, error)
            return
        flight.ready.clear()
        flight.relax_at = now + RELAX_AFTER_S * 2**flight.retries
        flight.retries += 1
        flight.avoid.update(suspects)
        flight.waiting_since = now
        flight.phase = Phase.RETRYING
        self._retrying[flight] = None
        self._stirred = True
        self._metrics.retried(retry)
        if self.records(flight):
            self.note(flight, attempt, EventName.RETRY, reason=retry.value)

    def _go_on_without(self, stage: str, attempt: Attempt, error: RequestError, freed: str) -> bool:
        loss = attempt.lose(stage)
        if loss is None:
            return False
        flight = attempt.flight
        if flight.lost is None:
            flight.lost = errors.outputs_lost(loss.outputs, error)
        flight.ready += [Piece(name, None, True, None) for name in loss.outputs]
        for name in loss.stages:
            replica = attempt.replicas[name]
            replica.pinned.pop(attempt, None)
            self._stirred = True
            self._leavers = self._leavers or replica.leaving
        self._cancel(attempt, [name for name in loss.stages if name != freed], "an output of the request was lost")
        for source, target in loss.edges:
            self._cancel(attempt, [source], "an output of the request was lost", target)
        if attempt.pending:
            flight.wake()
        else:
            self.complete(attempt)
        return True

    def _release(self, attempt: Attempt) -> None:
        """From here on nothing that comes for this attempt means anything."""
        del self.attempts[attempt.rid]
        attempt.flight.attempt = None
        for replica in attempt.replicas.values():
            replica.pinned.pop(attempt, None)
            if replica.leaving:
                self._leavers = True

    def _cancel(self, attempt: Attempt, stages: Collection[str], why: str, target: str = "") -> None:
        for stage in stages:
            peer = attempt.senders[stage]
            if self._table.by_peer(peer) is not None:
                self._send(peer, Cancel(attempt.rid, why, target))

    def _finish(self, flight: LiveFlight, end: End | None, error: RequestError | None) -> None:
        """The one end of a request, and the only place that sets it. `end` None: it was refused,
        and counted as that."""
        if end is not None:
            self._metrics.ended(end)
            if self.records(flight):
                self.note(flight, None, EventName.REQUEST_END, outcome=end.value)
        flight.phase = Phase.OVER
        flight.error = error
        self._set_timer(flight, None)
        self._retrying.pop(flight, None)
        if flight.admitted_at is None:
            self._admission.leave(flight)
            self._metrics.queued.value = self._admission.queued
        else:
            self._admission.free_slot(self._clock() - flight.admitted_at)
            self._metrics.in_flight.value = self._admission.in_flight
            self._stirred = True
            if not self._admission.in_flight:
                self.on_idle()
        flight.wake()

    def _set_timer(self, flight: LiveFlight, when: float | None) -> None:
        if flight.timer is not None:
            self._deadlines.cancel(flight.timer)
        flight.timer = None if when is None else self._deadlines.add(when, flight)

    # What follows

    def settle(self) -> None:
        while self._lost or self._stirred or self._leavers:
            if self._lost:
                peer, reason = self._lost.pop()
                self.peer_down(peer, reason, RetryReason.SEND_FAILED)
            elif self._stirred:
                self._stirred = False
                self._advance()
            else:
                self._leavers = False
                for address in self._table.gone(self._clock()):
                    self._wire.hang_up(address)

    def _advance(self) -> None:
        """Starts whoever waits and can: retries first, they have been admitted; then the queue in its order, past those
        whose stages have no replica."""
        if not (self._retrying or self._admission.queued):
            return
        now = self._clock()
        for flight in list(self._retrying):
            if flight in self._retrying:
                self._move_on(flight, now)
        hopeless: set[Walk] = set()
        while self._admission.has_slot:
            first = next((flight for flight in self._admission.waiting() if flight.walk not in hopeless), None)
            if first is None:
                return
            if not self._start(first, now):
                hopeless.add(first.walk)

    def _send(self, peer: Peer, message: Message) -> None:
        try:
            self._transmit(peer, message)
        except PeerLost as error:
            self._lost.append((peer, str(error)))

    def records(self, flight: LiveFlight) -> bool:
        """Whether its events are wanted: to be asked before `note`, for the sake of the many that are not."""
        return self._events.on or flight.request.events

    def note(self, flight: LiveFlight, attempt: Attempt | None, name: EventName, /, **fields: Field) -> None:
        self._events.record(flight.request_id, attempt.rid if attempt else "", name, **fields)

    def _report_replicas(self) -> None:
        for stage, counts in self._table.states():
            self._metrics.replicas(stage, counts)
