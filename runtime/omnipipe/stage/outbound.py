"""Where a request's emissions go: to the edges and outputs of its walk, in order, under the credit of each consumer.

At most a window of chunks is on the way unacknowledged; the rest waits in the request. Must not decide what becomes of
a request: it raises `Fault`, the router ends it.
"""

import logging
from collections.abc import Mapping
from typing import Protocol

from omnipipe.errors import ErrorKind
from omnipipe.observe.events import EventName, Events
from omnipipe.observe.metrics import EdgeMetrics
from omnipipe.stage.errors import Fault, Nonsense, internal
from omnipipe.stage.links import Links
from omnipipe.stage.request import Outflow, Piece, Request
from omnipipe.stage.walks import LegKind
from omnipipe.wire.errors import PeerLost, TooBig
from omnipipe.wire.messages import Chunk, Message, Output, Payload
from omnipipe.wire.port import Peer
from omnipipe.wire.value import Value, size_of

__all__ = ["Outbound", "Sender"]

_log = logging.getLogger(__name__)


class Sender(Protocol):
    """What sending needs of a Wire."""

    def send(self, peer: Peer, message: Message) -> None: ...


class Outbound:
    def __init__(
        self, stage: str, wire: Sender, links: Links, edges: Mapping[str, EdgeMetrics], events: Events
    ) -> None:
        self._stage = stage
        self._wire = wire
        self._links = links
        self._edges = edges
        self._events = events

    def emit(
        self, request: Request, port: str, value: Value, last: bool, meta: dict[str, Value] | None, now: float
    ) -> bool:
        """Sends or keeps one emission. True: a consumer has no room for more. Raises Fault."""
        indices = request.walk.by_port.get(port)
        if indices is None:
            return False
        if not request.yielded:
            request.yielded = True
            if request.traced:
                self._events.record(request.request_id, request.rid, EventName.FIRST_OUTPUT, port=port)
        size = size_of(value)
        full = False
        for index in indices:
            flow = request.outflows[index]
            if flow.cut:
                continue
            ends = last or flow.leg.whole
            if flow.closed:
                _log.error("stage %s: port %r emits after its end", self._stage, port, extra={"rid": request.rid})
                raise internal(self._stage)
            if ends:
                flow.closed = True
                request.open -= 1
            if flow.backlog or not flow.has_room():
                flow.keep((value, ends, meta, size))
                if flow.link is not None and flow.link.peer is None:
                    self._links.wait(request.rid, flow.link, now)
            else:
                self._send(request, flow, (value, ends, meta, size), now)
            full = full or (not ends and flow.is_full())
        return full

    def acked(self, request: Request, peer: Peer, name: str, seq: int, now: float) -> None:
        """A consumer has room again. Raises Nonsense, Fault."""
        flow = _flow_to(request, peer, name)
        if not 0 <= seq < flow.sent:
            raise Nonsense(f"Ack of {name!r} {seq}, sent so far: {flow.sent}")
        flight = flow.flight
        at = now
        for _ in range(min(seq + 1 - flow.acked, len(flight))):
            size, at = flight.popleft()
            flow.flight_bytes -= size
        if seq >= flow.acked:
            flow.acked = seq + 1
            self._edges[flow.leg.label].acked(now - at)
        if flow.backlog:
            self._pump(request, flow, now)

    def resume(self, request: Request, now: float) -> None:
        """Sends what waited for a connection. Raises Fault."""
        for flow in request.outflows:
            if flow.backlog:
                self._pump(request, flow, now)

    def tell(self, peer: Peer, message: Message) -> None:
        """Sends what a dead peer does not need: its `PeerDown` ends what was its."""
        try:
            self._wire.send(peer, message)
        except PeerLost:
            pass

    def _pump(self, request: Request, flow: Outflow, now: float) -> None:
        while flow.backlog and flow.has_room():
            self._send(request, flow, flow.backlog.popleft(), now)

    def _send(self, request: Request, flow: Outflow, piece: Piece, now: float) -> None:
        value, last, meta, size = piece
        leg, link = flow.leg, flow.link
        peer = request.gateway if link is None else link.peer
        assert peer is not None, "has_room() said that the link is up"
        message: Message
        if leg.kind is LegKind.PAYLOAD:
            message = Payload(request.rid, self._stage, leg.name, value)
        elif leg.kind is LegKind.STREAM:
            message = Chunk(request.rid, self._stage, leg.name, flow.sent, value, last)
        else:
            message = Output(request.rid, leg.name, flow.sent, value, last, meta, request.fed_due)
            request.fed_due = False
        try:
            self._wire.send(peer, message)
        except PeerLost as error:
            if not (leg.target and request.owes_others(leg.target)):
                whom = f"stage '{peer.stage}'" if peer.stage else "the gateway"
                raise Fault(ErrorKind.UNAVAILABLE, f"{whom} was lost", retryable=True) from error
            # else as if lost on its way: the peer's `PeerDown` follows and cuts it off, and only it
        except TooBig as error:
            _log.error("stage %s: %s", self._stage, error)
            raise Fault(
                ErrorKind.INTERNAL, f"stage '{self._stage}' produced a value that is too large to pass on"
            ) from error
        if last:
            request.unsent -= 1
        else:
            flow.on_its_way(size, now)
        if request.traced and (last or not flow.sent):
            self._record_sent(request, flow, last, size)
        flow.sent += 1
        self._edges[leg.label].sent(size)

    def _record_sent(self, request: Request, flow: Outflow, last: bool, size: int) -> None:
        self._events.record(
            request.request_id,
            request.rid,
            EventName.HOP_SENT,
            edge=flow.leg.label,
            seq=flow.sent,
            last=last,
            bytes=size,
        )


def _flow_to(request: Request, peer: Peer, name: str) -> Outflow:
    for flow in request.outflows:
        consumer = request.gateway if flow.link is None else flow.link.peer
        if consumer is peer and flow.leg.name == name:
            return flow
    raise Nonsense(f"Ack of {name!r}, which was not sent to this peer")
