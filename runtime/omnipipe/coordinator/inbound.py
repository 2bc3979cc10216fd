"""What stages say, and what of it is believed: the callback behind the wire.

A stage is another process's word. A message about a request that is no longer there is normal (it was on its way) and
only counted; one that cannot be true ends the request it names, and nothing else. No message raises out of here.
"""

import logging
from collections.abc import Sequence

from omnipipe.coordinator import errors
from omnipipe.coordinator.attempt import Attempt
from omnipipe.coordinator.dispatch import Dispatcher
from omnipipe.coordinator.flight import Piece
from omnipipe.coordinator.live import LiveFlight
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.observe.events import EventName
from omnipipe.observe.metrics import CoordinatorMetrics, RetryReason
from omnipipe.wire.messages import Beat, Failed, Fed, Output
from omnipipe.wire.port import Event, Peer, PeerDown, PeerUp, Received

__all__ = ["Inbound"]

log = logging.getLogger(__name__)


class Inbound:
    def __init__(self, dispatcher: Dispatcher, metrics: CoordinatorMetrics) -> None:
        self._dispatcher = dispatcher
        self._ends = dispatcher.ends
        self._ledger = dispatcher.ledger
        self._attempts = dispatcher.ledger.attempts
        self._metrics = metrics
        self._with_news: list[LiveFlight] = []
        """Flights that the events being handled bring something for."""

    def handle(self, events: Sequence[Event]) -> None:
        """Whatever stages send: an odd message costs at most the request it names."""
        for event in events:
            if type(event) is Received:
                message = event.message
                kind = type(message)
                if kind is Output:
                    self._output(event.peer, message)  # type: ignore[arg-type]  # `kind` says so, at half the cost
                elif kind is Fed:
                    self._fed(event.peer, message)  # type: ignore[arg-type]
                elif kind is Beat:
                    self._dispatcher.peer_says(event.peer, message)  # type: ignore[arg-type]
                elif kind is Failed:
                    self._failed(event.peer, message)  # type: ignore[arg-type]
                else:
                    self._metrics.rejected.inc()
            elif type(event) is PeerUp:
                self._dispatcher.peer_up(event.peer)
            elif type(event) is PeerDown:
                self._dispatcher.peer_down(event.peer, event.reason, RetryReason.REPLICA_LOST)
        if self._with_news:
            flights, self._with_news = self._with_news, []
            for flight in flights:
                flight.heard()
        self._dispatcher.settle()

    def _output(self, peer: Peer, message: Output) -> None:
        """The hot path: once for each piece of each answer."""
        attempt = self._attempts.get(message.rid)
        if attempt is None:
            self._metrics.late_messages.value += 1
            return
        incoming = attempt.incoming.get(message.output)
        seq = message.seq
        if incoming is None or incoming.peer is not peer or seq != incoming.next_seq or seq >= incoming.limit:
            if message.output in attempt.lost:
                self._metrics.late_messages.value += 1
            else:
                self._disbelieve(attempt, peer, f"output {message.output[:80]!r}, piece {seq}")
            return
        incoming.next_seq = seq + 1
        flight = attempt.flight
        value, meta = message.value, message.meta
        if message.last:
            if meta is not None and type(meta) is not dict:
                self._disbelieve(attempt, peer, f"output {message.output[:80]!r}, meta that is no map")
                return
            incoming.end()
            attempt.pending -= 1
        elif type(value) is not str or len(value) > incoming.light_chars:
            incoming.ack_at = 0
        if seq + 1 >= incoming.ack_at:
            attempt.credit_due = True
        if seq == 0 and flight.traced:
            self._ledger.note(flight, attempt, EventName.FIRST_PIECE, output=message.output)
        flight.ready.append(Piece(message.output, value, message.last, meta))
        if not attempt.pending:
            if message.fed:
                attempt.fed.add(incoming.stage)
            self._ends.complete(attempt)
        elif message.fed:
            self._ends.fed(attempt, incoming.stage)
        if not flight.news:
            flight.news = True
            self._with_news.append(flight)

    def _fed(self, peer: Peer, message: Fed) -> None:
        attempt = self._attempts.get(message.rid)
        if attempt is None or message.stage in attempt.dropped:
            self._metrics.late_messages.value += 1
        elif attempt.senders.get(message.stage) is peer:
            self._ends.fed(attempt, message.stage)
        else:
            self._disbelieve(attempt, peer, f"Fed for stage {message.stage[:80]!r}")

    def _failed(self, peer: Peer, message: Failed) -> None:
        attempt = self._attempts.get(message.rid)
        if attempt is None or message.stage in attempt.dropped or message.target in attempt.dropped:
            self._metrics.late_messages.value += 1
            return
        stage = message.stage
        if attempt.senders.get(stage) is not peer:
            self._disbelieve(attempt, peer, f"Failed for stage {stage[:80]!r}")
            return
        kind = _error_kind(message.kind)
        again = kind in (ErrorKind.UNAVAILABLE, ErrorKind.OVERLOADED)
        after = self._dispatcher.retry_after_s() if again else None
        if message.target:
            self._lost_on_the_way(attempt, peer, message)
            return
        error = RequestError(kind, message.message, param=message.param, code=message.code, retry_after_s=after)
        part = attempt.walk.by_name[stage]
        suspects = [attempt.replicas[name] for name in (stage, *part.sources, *part.targets)]
        reason = RetryReason.STAGE_FAILED if message.retryable else None
        lost = "" if kind is ErrorKind.DEADLINE else stage
        self._ends.fail(attempt, error, reason, suspects, freed=stage, lost=lost)

    def _lost_on_the_way(self, attempt: Attempt, peer: Peer, message: Failed) -> None:
        """A stage goes on without one that it fed."""
        target = message.target
        if target not in attempt.walk.by_name[message.stage].targets:
            self._disbelieve(attempt, peer, f"Failed for target {target[:80]!r}")
            return
        if not attempt.needs(target):
            return
        error = errors.replica_lost(target, self._dispatcher.retry_after_s())
        suspects = [attempt.replicas[name] for name in (message.stage, target)]
        self._ends.fail(attempt, error, RetryReason.STAGE_FAILED, suspects, freed="", lost=target)

    def _disbelieve(self, attempt: Attempt, peer: Peer, what: str) -> None:
        """A stage broke the protocol: counted, and the request it named ends."""
        self._metrics.rejected.inc()
        stage = peer.stage if peer.stage in attempt.senders else next(iter(attempt.senders))
        log.error("stage %s at %s sent nonsense for %s: %s", peer.stage, peer.address, attempt.rid, what)
        self._ends.fail(attempt, errors.misbehaved(stage), None, (), freed="")


def _error_kind(text: str) -> ErrorKind:
    try:
        return ErrorKind(text)
    except ValueError:
        return ErrorKind.INTERNAL
