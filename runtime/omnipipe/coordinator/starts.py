"""How a request gets to the stages: at once, when a slot and a replica of each stage are there, or after a wait with an
end to it.
"""

import logging

from omnipipe.coordinator import errors
from omnipipe.coordinator.attempt import Attempt
from omnipipe.coordinator.ends import Ends
from omnipipe.coordinator.ledger import Ledger
from omnipipe.coordinator.live import LiveFlight, Phase
from omnipipe.coordinator.route import Routes
from omnipipe.coordinator.walk import Walk
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.events import EventName
from omnipipe.observe.metrics import End, Refusal
from omnipipe.wire.errors import TooBig

__all__ = ["REPLICA_WAIT_S", "Starts"]

log = logging.getLogger(__name__)

REPLICA_WAIT_S = 10.0
"""A stage may be without a routable replica for so long before its requests are refused: a crashed process is back
within seconds, a model that has to be loaded is not."""


class Starts:
    def __init__(self, ledger: Ledger, ends: Ends, *, name: str, replica_wait_s: float) -> None:
        self._ledger = ledger
        self._ends = ends
        self._rid_prefix = f"{name}."
        self._replica_wait_s = replica_wait_s
        self._attempt_count = 0
        self._routes: Routes[Attempt] = Routes()

    def arrive(self, flight: LiveFlight, now: float) -> None:
        """Starts a new one, or lets it wait, or turns it away."""
        admission = self._ledger.admission
        if admission.has_slot and self._start(flight, now):
            return
        if admission.join(flight):
            self._ledger.metrics.queued.set(admission.queued)
            self._wait(flight, now)
        else:
            self._refuse_full(flight)

    def move_on(self, flight: LiveFlight, now: float) -> None:
        """Looks again at one that waits."""
        may = flight.phase is Phase.RETRYING or self._ledger.admission.has_slot
        if not (may and self._start(flight, now)):
            self._wait(flight, now)

    def advance(self) -> None:
        """Starts whoever waits and can: retries first, they have been admitted; then the queue in its order, past those
        whose stages have no replica."""
        ledger = self._ledger
        admission, retrying = ledger.admission, ledger.retrying
        if not (retrying or admission.queued):
            return
        now = ledger.clock()
        for flight in list(retrying):
            if flight in retrying:
                self.move_on(flight, now)
        hopeless: set[Walk] = set()
        while admission.has_slot:
            first = next((flight for flight in admission.waiting() if flight.walk not in hopeless), None)
            if first is None:
                return
            if not self._start(first, now):
                hopeless.add(first.walk)

    def refuse(self, flight: LiveFlight, why: Refusal, error: RequestError) -> None:
        """Ends one that waits. A retry was admitted before and ends in an error; the others never began."""
        if flight.admitted_at is not None:
            self._ends.finish(flight, End.ERROR, error)
        else:
            self._ledger.metrics.refused(why)
            self._ends.finish(flight, None, error)

    def _start(self, flight: LiveFlight, now: float) -> bool:
        """Begins an attempt if each stage has a replica for it. The caller has seen to a slot."""
        ledger = self._ledger
        chosen = ledger.table.choose(flight.walk, flight.avoid, strictly=now < flight.relax_at)
        if chosen is None:
            return False
        if flight.phase is Phase.RETRYING:
            del ledger.retrying[flight]
        else:
            self._admit(flight, now)
        self._attempt_count += 1
        route = self._routes.find(flight.walk, chosen)
        attempt = Attempt(f"{self._rid_prefix}{self._attempt_count:x}", flight, route)
        ledger.attempts[attempt.rid] = attempt
        flight.attempt = attempt
        flight.phase = Phase.RUNNING
        ledger.set_timer(flight, flight.deadline)
        for replica in chosen:
            replica.pinned[attempt] = None
        if flight.traced:
            ledger.note(flight, attempt, EventName.SUBMITTED, attempt=flight.retries, walk=",".join(route.senders))
        self._submit(attempt, flight.deadline - now)
        if flight.start is not None:
            flight.wake()
        return True

    def _submit(self, attempt: Attempt, ttl_s: float) -> None:
        try:
            for peer, submit in attempt.submits(ttl_s):
                self._ledger.send(peer, submit)
        except TooBig:
            error = RequestError(ErrorKind.TOO_LARGE, "The request is larger than this pipeline's stages take.")
            self._ends.fail(attempt, error, None, (), freed="")
        except TypeError:  # a value of the family's that is no wire value
            log.exception("request %s cannot be sent", attempt.flight.request_id)
            error = RequestError(ErrorKind.INTERNAL, "The request could not be passed on.")
            self._ends.fail(attempt, error, None, (), freed="")

    def _admit(self, flight: LiveFlight, now: float) -> None:
        ledger = self._ledger
        admission, metrics = ledger.admission, ledger.metrics
        admission.take_slot(flight)
        flight.admitted_at = now
        waited = now - flight.arrived_at
        metrics.in_flight.value = admission.in_flight
        metrics.queued.value = admission.queued
        metrics.queue_seconds.observe(waited)
        if flight.traced:
            ledger.note(flight, None, EventName.REQUEST_ADMITTED, queue_s=waited)

    def _wait(self, flight: LiveFlight, now: float) -> None:
        """It cannot start: gives it a time to look again, or ends it when it has waited long enough."""
        ledger = self._ledger
        limit = flight.waiting_since + ledger.plan.gateway.queue_timeout_s
        down = ledger.table.unroutable(flight.walk)
        if down is not None:
            limit = min(limit, down[0] + self._replica_wait_s)
        if now < limit:
            when = min(limit, flight.deadline)
            if flight.phase is Phase.RETRYING and now < flight.relax_at:
                when = min(when, flight.relax_at)
            ledger.set_timer(flight, when)
        elif down is not None:
            self.refuse(flight, Refusal.NO_REPLICA, errors.unavailable(down[1], ledger.admission.retry_after_s()))
        else:
            self.refuse(flight, Refusal.QUEUE_TIMEOUT, errors.overloaded(ledger.admission.retry_after_s()))

    def _refuse_full(self, flight: LiveFlight) -> None:
        down = self._ledger.table.unroutable(flight.walk)
        after = self._ledger.admission.retry_after_s()
        if down is not None:
            self.refuse(flight, Refusal.NO_REPLICA, errors.unavailable(down[1], after))
        else:
            self.refuse(flight, Refusal.QUEUE_FULL, errors.overloaded(after))
