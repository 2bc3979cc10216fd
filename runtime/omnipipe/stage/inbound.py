"""What comes in for a request from upstream: payloads, chunks, and both when they come too early or too late.

Gathers the inputs, gives them to the engine through `work`, gives producers their credit back and tells the gateway
when all is here. Must not end a request: it raises `Fault` or `Nonsense`, the router acts on it.
"""

import logging

from omnipipe.engines.engine import Begin, Consumed, Feed, Work
from omnipipe.errors import ErrorKind
from omnipipe.observe.events import EventName, Events
from omnipipe.observe.metrics import StageMetrics
from omnipipe.stage.early import Grave, Orphans, Tombstones
from omnipipe.stage.errors import Fault, Nonsense, internal
from omnipipe.stage.outbound import Outbound
from omnipipe.stage.request import Inflow, Request
from omnipipe.wire.messages import Ack, Chunk, Fed, Payload
from omnipipe.wire.port import Peer
from omnipipe.wire.value import size_of

__all__ = ["Inbound"]

_log = logging.getLogger(__name__)


class Inbound:
    def __init__(self, stage: str, work: list[Work], outbound: Outbound, metrics: StageMetrics, events: Events) -> None:
        self._stage = stage
        self._work = work
        self._outbound = outbound
        self._metrics = metrics
        self._events = events
        self._orphans = Orphans()
        self._graves = Tombstones()
        self.early = self._orphans.take
        """By rid: what came before the Submit; the caller handles it as if it came now."""
        self.is_buried = self._graves.holds
        """By rid: it has ended here."""
        self._fed: list[Request] = []
        """Those for which the gateway is perhaps to be told so at the end of the turn."""

    # Inputs

    def begin(self, request: Request) -> None:
        """All payloads that it waits for are here."""
        request.begun = True
        walk = request.walk
        self._work.append(
            Begin(request.rid, request.inputs, walk.stream_names, walk.ports, request.params, request.deadline)
        )
        for inflow in request.inflows.values():
            self._work.extend(inflow.held)
            inflow.held.clear()
        if request.traced:
            self._events.record(request.request_id, request.rid, EventName.STAGE_INPUTS_READY)

    def payload(self, request: Request, peer: Peer, payload: Payload) -> None:
        name = payload.input
        if request.missing.get(name) != payload.source or not request.comes_from(peer, payload.source):
            raise Nonsense(f"a Payload for {name!r} that is not expected")
        del request.missing[name]
        request.inputs[name] = payload.value
        if request.traced:
            self._record(request, payload, 0, True)
        request.awaiting -= 1
        if not request.awaiting:
            self._note_fed(request)
        if not request.missing:
            self.begin(request)

    def chunk(self, request: Request, peer: Peer, chunk: Chunk) -> None:
        inflow = request.inflows.get(chunk.input)
        if inflow is None or inflow.source != chunk.source or not request.comes_from(peer, chunk.source):
            raise Nonsense(f"a Chunk for {chunk.input!r} that is not expected")
        if inflow.peer is not peer:
            if inflow.peer is not None:
                raise Nonsense(f"a Chunk for {chunk.input!r} on another connection")
            inflow.peer = peer
        if chunk.seq < inflow.received or inflow.ended:
            raise Nonsense(f"a Chunk for {chunk.input!r} for the second time")
        if chunk.seq > inflow.received:
            reason = f"a part of the request was lost before stage '{self._stage}'"
            raise Fault(ErrorKind.INTERNAL, reason, retryable=True)
        if inflow.unacked >= inflow.window_chunks or inflow.unacked_bytes >= inflow.window_bytes:
            _log.error("stage %s: %s sends without credit", self._stage, inflow.source, extra={"rid": request.rid})
            raise internal(self._stage)
        self._take(request, inflow, chunk)

    def consumed(self, request: Request, consumed: Consumed) -> None:
        """The program has taken chunks. Credit goes back by the half window, so that it costs little."""
        inflow = request.inflows[consumed.input]
        for _ in range(consumed.count):
            inflow.due_bytes += inflow.sizes.popleft()
        inflow.due += consumed.count
        if inflow.ended or inflow.peer is None:
            return  # the producer has sent all it has: it needs no more credit
        if inflow.due >= inflow.half_chunks or inflow.due_bytes >= inflow.half_bytes:
            inflow.unacked -= inflow.due
            inflow.unacked_bytes -= inflow.due_bytes
            inflow.due = inflow.due_bytes = 0
            self._outbound.tell(inflow.peer, Ack(request.rid, inflow.name, inflow.received - inflow.unacked - 1))

    def finished(self, request: Request) -> None:
        """The engine needs no more: whoever still produces may go on to its end, or die."""
        for inflow in request.inflows.values():
            if not inflow.ended and inflow.peer is not None and inflow.unacked:
                self._outbound.tell(inflow.peer, Ack(request.rid, inflow.name, inflow.received - 1))
        if not request.fed and not request.walk.entry:
            self._note_fed(request)

    def tell_fed(self) -> None:
        """At the end of a turn: what was not said meanwhile, by an output or by the end of a request that is
        `spoken_for`, is said now."""
        if self._fed:
            fed, self._fed = self._fed, []
            for request in fed:
                if request.fed_due:
                    request.fed_due = False
                    self._outbound.tell(request.gateway, Fed(request.rid, self._stage))

    # Too early, too late

    def stray(self, peer: Peer, message: Payload | Chunk, now: float) -> None:
        """For a request that is not here: not yet, or no more."""
        match self._graves.find(message.rid):
            case None:
                self._give_up(self._orphans.keep(peer, message, now), now)
            case Grave.SATED:
                if isinstance(message, Chunk) and not message.last:
                    self._outbound.tell(peer, Ack(message.rid, message.input, message.seq))
            case Grave.ENDED:
                pass

    def bury(self, rid: str, now: float, grave: Grave = Grave.ENDED) -> None:
        """What still comes for this request is not early but late."""
        self._orphans.take(rid)
        self._graves.bury(rid, grave, now)

    def sweep(self, now: float) -> None:
        self._give_up(self._orphans.expire(now), now)
        self._graves.expire(now)
        self._metrics.orphans.set(len(self._orphans))

    def producer_down(self, peer: Peer, now: float) -> None:
        """What came early from it will not be completed."""
        self._give_up(self._orphans.cut_off(peer), now)

    # Details

    def _take(self, request: Request, inflow: Inflow, chunk: Chunk) -> None:
        size = size_of(chunk.value)
        inflow.received += 1
        inflow.unacked += 1
        inflow.unacked_bytes += size
        inflow.sizes.append(size)
        feed = Feed(chunk.rid, chunk.input, chunk.value, chunk.last)
        if request.begun:
            self._work.append(feed)
        else:
            inflow.held.append(feed)
        if request.traced and (chunk.last or not chunk.seq):
            self._record(request, chunk, chunk.seq, chunk.last)
        if chunk.last:
            inflow.ended = True
            request.awaiting -= 1
            if not request.awaiting:
                self._note_fed(request)

    def _note_fed(self, request: Request) -> None:
        """All inputs are here to their end, or not needed."""
        request.fed = request.fed_due = True
        self._fed.append(request)

    def _give_up(self, rids: list[str], now: float) -> None:
        for rid in rids:
            self._metrics.orphans_dropped.inc()
            self._graves.bury(rid, Grave.ENDED, now)

    def _record(self, request: Request, message: Payload | Chunk, seq: int, last: bool) -> None:
        self._events.record(
            request.request_id,
            request.rid,
            EventName.HOP_RECEIVED,
            edge=f"{message.source}>{self._stage}",
            seq=seq,
            last=last,
            bytes=size_of(message.value),
        )
