"""One request in this stage: what it waits for, what it owes, and how much is on the way. State alone; `router` and
`outbound` decide. Objects hold no reference back to the request, so that they go the moment it does."""

from collections import deque

from omnipipe.engines.engine import Feed
from omnipipe.spec.plan import PlanEdge
from omnipipe.stage.links import Link
from omnipipe.stage.walks import Leg, Walk
from omnipipe.wire.port import Peer
from omnipipe.wire.value import Value

__all__ = ["Inflow", "Outflow", "Piece", "Request"]

Piece = tuple[Value, bool, dict[str, Value] | None, int]
"""Value, last, meta, bytes."""


class Inflow:
    """A stream input."""

    __slots__ = (
        "due", "due_bytes", "ended", "half_bytes", "half_chunks", "held", "name", "peer", "received", "sizes", "source",
        "unacked", "unacked_bytes", "window_bytes", "window_chunks",
    )  # fmt: skip

    def __init__(self, edge: PlanEdge) -> None:
        self.name = edge.input
        self.source = edge.source
        self.window_chunks = edge.window_chunks
        self.window_bytes = edge.window_bytes
        self.half_chunks = max(1, edge.window_chunks // 2)
        self.half_bytes = max(1, edge.window_bytes // 2)
        self.peer: Peer | None = None
        """The producer, from its first chunk on."""
        self.received = 0
        self.ended = False
        self.sizes: deque[int] = deque()
        """Of the chunks that the program has not taken yet."""
        self.unacked = 0
        """Chunks received and not acknowledged: the producer's window must not exceed it."""
        self.unacked_bytes = 0
        self.due = 0
        """Of these, taken by the program."""
        self.due_bytes = 0
        self.held: list[Feed] = []
        """Chunks that came before the engine got its Begin."""


_NONE_SENT: deque[tuple[int, float]] = deque(maxlen=0)
_NONE_KEPT: deque[Piece] = deque(maxlen=0)
"""Shared by all outflows until they have something of their own: one payload needs neither."""


class Outflow:
    """An edge or output of this request."""

    __slots__ = ("acked", "backlog", "closed", "cut", "flight", "flight_bytes", "leg", "link", "sent")

    def __init__(self, leg: Leg, link: Link | None) -> None:
        self.leg = leg
        self.link = link
        """None: to the gateway."""
        self.sent = 0
        """The next chunk's `seq`."""
        self.acked = 0
        self.flight = _NONE_SENT
        """Bytes and time of sending of each chunk that is not acknowledged."""
        self.flight_bytes = 0
        self.backlog = _NONE_KEPT
        """Emitted, waiting for room or for a connection."""
        self.closed = False
        """The program has emitted the last piece."""
        self.cut = False
        """Its consumer is gone and the request goes on without: what the program still emits here is thrown away."""

    def on_its_way(self, size: int, now: float) -> None:
        """A chunk that is not the last was sent."""
        if self.flight is _NONE_SENT:
            self.flight = deque()
        self.flight.append((size, now))
        self.flight_bytes += size

    def keep(self, piece: Piece) -> None:
        """To be sent when there is room."""
        if self.backlog is _NONE_KEPT:
            self.backlog = deque()
        self.backlog.append(piece)

    def has_room(self) -> bool:
        leg = self.leg
        return (self.link is None or self.link.peer is not None) and (
            not self.flight or (len(self.flight) < leg.window_chunks and self.flight_bytes < leg.window_bytes)
        )

    def is_full(self) -> bool:
        """The program should emit no more here for now."""
        return not self.closed and (bool(self.backlog) or not self.has_room())

    def is_sent(self) -> bool:
        """Nothing more will be handed to the wire."""
        return self.closed and not self.backlog


class Request:
    __slots__ = (
        "awaiting", "begun", "deadline", "fed", "fed_due", "finished", "gateway", "inflows", "inputs", "missing",
        "open", "outflows", "params", "paused", "producers", "request_id", "rid", "spoken_for", "traced", "unsent",
        "walk", "yielded",
    )  # fmt: skip

    def __init__(
        self,
        rid: str,
        request_id: str,
        gateway: Peer,
        walk: Walk,
        producers: dict[str, str],
        outflows: list[Outflow],
        params: dict[str, Value],
        deadline: float,
        traced: bool,
    ) -> None:
        self.rid = rid
        self.request_id = request_id
        self.gateway = gateway
        self.walk = walk
        self.producers = producers
        """Upstream stage -> name of the replica that this request's data comes from."""
        self.params = params
        self.deadline = deadline
        """`time.monotonic()` value."""
        self.traced = traced
        """Request events are recorded."""
        self.inputs: dict[str, Value] = {}
        self.missing = dict(walk.payloads)
        """Payload inputs that have not come -> their source."""
        self.inflows = {name: Inflow(edge) for name, edge in walk.streams.items()} if walk.streams else _NO_INFLOWS
        self.awaiting = walk.inputs
        """Inputs that are not complete."""
        self.begun = False
        """The engine has its Begin."""
        self.fed = False
        """The upstream replicas have done their part."""
        self.fed_due = False
        """The gateway is to be told so at the end of this turn, unless something says it before."""
        self.spoken_for = walk.spoken_for
        """See `Walk.spoken_for`; not any more once an edge was cut."""
        self.paused = False
        self.yielded = False
        """The engine has emitted something."""
        self.finished = False
        """The engine is done with it."""
        self.outflows = outflows
        self.open = len(outflows)
        """Outflows whose last piece the program has not emitted."""
        self.unsent = len(outflows)
        """Outflows whose last piece is not handed to the wire."""

    def owes(self, link: Link) -> bool:
        """Something is still to be sent to that replica."""
        return any(flow.link is link and not flow.is_sent() for flow in self.outflows)

    def owes_others(self, target: str) -> bool:
        """Something is still to be sent elsewhere than to that stage."""
        return any(flow.leg.target != target and not flow.is_sent() for flow in self.outflows)

    def cut(self, target: str) -> None:
        """Goes on without that stage."""
        self.spoken_for = False
        for flow in self.outflows:
            if flow.leg.target == target and not flow.cut:
                self.open -= not flow.closed
                self.unsent -= not flow.is_sent()
                flow.cut = flow.closed = True
                flow.backlog.clear()
                flow.flight.clear()
                flow.flight_bytes = 0

    def comes_from(self, peer: Peer, stage: str) -> bool:
        """Whether this peer is the replica of that stage whose data this request takes."""
        return peer.stage == stage and self.producers.get(stage) == peer.name

    def needs_input_of(self, peer: Peer) -> bool:
        """The loss of this producer's connection leaves the request without an input for ever."""
        if self.producers.get(peer.stage) != peer.name:
            return False
        streams = any(not flow.ended and flow.source == peer.stage for flow in self.inflows.values())
        return streams or peer.stage in self.missing.values()


_NO_INFLOWS: dict[str, Inflow] = {}
"""Shared by the many requests without stream inputs; never written to."""
