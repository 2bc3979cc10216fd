"""How an attempt and a request end: what is done, what is lost, what is run again because nobody has seen of it yet.

`finish` is the one place where a request ends. Who starts what waits here (`Phase.RETRYING`) is `starts`' business.
"""

from collections.abc import Callable, Collection

from omnipipe.coordinator import errors
from omnipipe.coordinator.attempt import Attempt
from omnipipe.coordinator.flight import Piece
from omnipipe.coordinator.ledger import Ledger
from omnipipe.coordinator.live import LiveFlight, Phase
from omnipipe.coordinator.replicas import Replica
from omnipipe.errors import RequestError
from omnipipe.observe.events import EventName
from omnipipe.observe.metrics import End, RetryReason

__all__ = ["Ends"]

RELAX_AFTER_S = 0.1
"""A retry that has only the replica it was lost on waits so long (twice, four times as long the next times), for its
death may not have been heard of here yet."""


def nothing() -> None:
    """A hook nobody uses."""


class Ends:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.on_idle: Callable[[], None] = nothing
        """Called when the last request in flight has ended."""

    def fed(self, attempt: Attempt, stage: str) -> None:
        """`stage` has all its inputs: replicas that only had to feed it are free for others."""
        ledger = self._ledger
        if through := attempt.feed(stage):
            ledger.unpin(attempt, through)
            ledger.stirred = True

    def complete(self, attempt: Attempt) -> None:
        """All outputs have ended."""
        self._release(attempt)
        if not attempt.walk.sinks <= attempt.fed:
            self._ledger.cancel(attempt, attempt.unfinished(), "the outputs are complete")
        self.finish(attempt.flight, End.ERROR if attempt.lost else End.RESULT, None)

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
        and its reader has something, it goes on without the stage that was `lost` as long as any output can.
        `freed` has ended it by itself."""
        ledger, flight = self._ledger, attempt.flight
        now = ledger.clock()
        if flight.handed or flight.retries >= ledger.plan.gateway.max_retries or now >= flight.deadline:
            retry = None
        if lost and retry is None and flight.has_begun and self._go_on_without(lost, attempt, error, freed):
            return
        self._release(attempt)
        ledger.cancel(attempt, [stage for stage in attempt.senders if stage != freed], "the request failed elsewhere")
        if retry is None:
            self.finish(flight, End.ERROR, error)
            return
        flight.ready.clear()
        flight.relax_at = now + RELAX_AFTER_S * 2**flight.retries
        flight.retries += 1
        flight.avoid = flight.avoid.union(suspects)
        flight.waiting_since = now
        flight.phase = Phase.RETRYING
        ledger.retrying[flight] = None
        ledger.stirred = True
        ledger.metrics.retried(retry)
        if flight.traced:
            ledger.note(flight, attempt, EventName.RETRY, reason=retry.value)

    def stop(self, flight: LiveFlight, why: str) -> None:
        """Frees it on the stages."""
        attempt = flight.attempt
        if attempt is not None:
            self._release(attempt)
            self._ledger.cancel(attempt, attempt.senders, why)

    def finish(self, flight: LiveFlight, end: End | None, error: RequestError | None) -> None:
        """The one end of a request, and the only place that sets it. `end` None: it was refused,
        and counted as that."""
        ledger = self._ledger
        admission, metrics = ledger.admission, ledger.metrics
        if end is not None:
            metrics.ended(end)
            if flight.traced:
                ledger.note(flight, None, EventName.REQUEST_END, outcome=end.value)
        flight.phase = Phase.OVER
        flight.error = error
        ledger.set_timer(flight, None)
        ledger.retrying.pop(flight, None)
        if flight.admitted_at is None:
            admission.leave(flight)
            metrics.queued.value = admission.queued
        else:
            admission.free_slot(ledger.clock() - flight.admitted_at)
            metrics.in_flight.value = admission.in_flight
            ledger.stirred = True
            if not admission.in_flight:
                self.on_idle()
        flight.wake()

    def _go_on_without(self, stage: str, attempt: Attempt, error: RequestError, freed: str) -> bool:
        loss = attempt.lose(stage)
        if loss is None:
            return False
        ledger, flight = self._ledger, attempt.flight
        if flight.lost is None:
            flight.lost = errors.outputs_lost(loss.outputs, error)
        flight.ready += [Piece(name, None, True, None) for name in loss.outputs]
        if loss.stages:
            ledger.unpin(attempt, loss.stages)
            ledger.stirred = True
        ledger.cancel(attempt, [name for name in loss.stages if name != freed], "an output of the request was lost")
        for source, target in loss.edges:
            ledger.cancel(attempt, [source], "an output of the request was lost", target)
        if attempt.pending:
            flight.wake()
        else:
            self.complete(attempt)
        return True

    def _release(self, attempt: Attempt) -> None:
        """From here on nothing that comes for this attempt means anything."""
        del self._ledger.attempts[attempt.rid]
        attempt.flight.attempt = None
        self._ledger.unpin(attempt, attempt.replicas)
