"""The state machine of a stage: events of the wire and results of the engine in, messages and engine work out.

    Submit ──► waits for payloads ──all here──► Begin ──► engine ──Finished, all sent──► gone
                 │                                │ ▲
                 └── Cancel, deadline, a death,   │ └ Pause/Resume by the credit of its consumers
                     a Failure, nonsense ─────────┴──► gone (Failed to the gateway, Drop to the engine, a tombstone)

Here is what peers say and what it asks for; `results` has the engine's part, `live` the requests and how they leave. No
I/O of its own, no clock, no threads: whoever drives it passes `now` (`time.monotonic()`), takes `work` to the engine
and gives it a wire to send on. Whatever goes wrong with one message or one request ends there. Must not know what a
program computes. `docs/architecture.md` has the same story across processes.
"""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from omnipipe.engines.engine import Work
from omnipipe.errors import ErrorKind
from omnipipe.observe.events import EventName, Events
from omnipipe.observe.metrics import StageEnd, StageMetrics
from omnipipe.spec.plan import Plan
from omnipipe.stage.errors import Fault, Nonsense, internal, lost
from omnipipe.stage.inbound import Inbound
from omnipipe.stage.links import Dialler, Links
from omnipipe.stage.live import Live
from omnipipe.stage.outbound import Outbound, Sender
from omnipipe.stage.request import Outflow, Request
from omnipipe.stage.results import Results
from omnipipe.stage.walks import Walks
from omnipipe.wire.messages import Ack, Beat, Cancel, Chunk, Message, Payload, Submit
from omnipipe.wire.port import Event, Peer, PeerDown, PeerUp, Received, Role

__all__ = ["Router"]

_log = logging.getLogger(__name__)

_MAX_TTL_S = 86_400.0
"""A request that asks for more time than a day gets a day."""
_COMPLAIN_S = 1.0
"""Nonsense is logged at most this often; the metric counts all of it."""


class _Wire(Sender, Dialler, Protocol):
    """What the router needs of a Wire."""


class Router:
    """`work` is what the engine should get, in order; whoever drives this takes it and clears the list."""

    def __init__(self, plan: Plan, stage: str, wire: _Wire, metrics: StageMetrics, events: Events) -> None:
        self.stage = stage
        self.loaded = False
        """The engine takes work."""
        self.draining = False
        self.work: list[Work] = []
        self._wire = wire
        self._metrics = metrics
        self._events = events
        self._max_running = plan.stage(stage).max_running
        self._walks = Walks(plan, stage)
        self._links = Links(wire)
        edges = {label: metrics.edge(label) for label in self._walks.labels()}
        self._outbound = Outbound(stage, wire, self._links, edges, events)
        self._inbound = Inbound(stage, self.work, self._outbound, metrics, events)
        self._live = Live(stage, self.work, self._inbound, self._outbound, metrics, events)
        self.take_results = Results(stage, self.work, self._live, self._inbound, self._outbound).take
        """(results, now): what the engine gives."""
        self.tell_fed = self._inbound.tell_fed
        """At the end of each turn."""
        self._handlers: dict[type, Callable[[Peer, Any, float], None]] = {
            Submit: self._submit,
            Payload: self._payload,
            Chunk: self._chunk,
            Ack: self._ack,
            Cancel: self._cancel,
        }
        self._next_complaint = 0.0

    # What drives it

    @property
    def accepting(self) -> bool:
        return self.loaded and not self.draining and self._live.count() < self._max_running

    @property
    def live(self) -> int:
        """Requests that have not ended here."""
        return self._live.count()

    def predial(self, now: float) -> None:
        """Connects to the downstream replicas that the Plan names, so that no first request waits for it."""
        for stage in self._walks.downstream:
            for address in stage.addresses:
                if not address.startswith("dns+"):
                    self._links.to(address, stage.name, now)

    def handle(self, events: Sequence[Event], now: float) -> None:
        """Never raises for what a peer says or does."""
        for event in events:
            if type(event) is Received:  # the hot path
                self._receive(event.peer, event.message, now)
            elif type(event) is PeerUp:
                self._peer_up(event.peer, now)
            elif type(event) is PeerDown:
                self._peer_down(event.peer, now, refused=event.refused)

    def next_due(self) -> float:
        """When `expire` has something to do next; `inf`: when something new came."""
        return min(self._live.soonest, self._links.next_due())

    def expire(self, now: float) -> None:
        """Ends what has waited too long."""
        self._live.expire(now)
        for rid, link in self._links.pop_due(now):
            waiting = self._live.find(rid)
            if waiting is not None and any(flow.link is link and flow.backlog for flow in waiting.outflows):
                self._live.lose(waiting, link.stage, now)

    def sweep(self, now: float) -> None:
        """Housekeeping, about once a second."""
        self._inbound.sweep(now)
        self._links.retire(now)

    def abandon(self, now: float) -> None:
        """Ends all requests: the process is leaving. Others may run them again."""
        fault = Fault(ErrorKind.UNAVAILABLE, f"stage '{self.stage}' is shutting down", retryable=True)
        for request in self._live.where(lambda request: True):
            self._live.fail(request, fault, now)

    # Messages

    def _receive(self, peer: Peer, message: Message, now: float) -> None:
        handler = self._handlers.get(type(message))
        try:
            if handler is not None:
                handler(peer, message, now)
            elif type(message) is not Beat:
                raise Nonsense(f"{type(message).__name__} is not for a stage")
        except Nonsense as nonsense:
            self._reject(peer, str(nonsense), now)
        except Fault as fault:
            self._fail_message(peer, message, fault, now)
        except Exception:  # the boundary of one message: a bug here must not end the process
            self._metrics.rejected.inc()
            _log.exception("stage %s: a %s could not be handled", self.stage, type(message).__name__)
            self._fail_message(peer, message, internal(self.stage), now)

    def _submit(self, peer: Peer, submit: Submit, now: float) -> None:
        rid = submit.rid
        known = self._live.find(rid)
        if known is not None:
            if known.gateway is not peer:
                self._live.refuse(peer, rid, Fault(ErrorKind.INTERNAL, "two requests have the same id"))
            raise Nonsense("a second Submit")
        refusal = self._refusal(rid)
        if refusal is not None:
            self._inbound.bury(rid, now)
            self._live.refuse(peer, rid, refusal)
            return
        try:
            request = self._admit(peer, submit, now)
        except Nonsense:
            self._inbound.bury(rid, now)
            self._live.refuse(peer, rid, internal(self.stage))
            raise
        self._live.add(request)
        if request.traced:
            self._events.record(request.request_id, rid, EventName.STAGE_RECEIVED)
        if request.walk.entry:
            request.inputs["request"] = submit.value
        if not request.missing:
            self._inbound.begin(request)
        for sender, message in self._inbound.early(rid):
            self._receive(sender, message, now)

    def _refusal(self, rid: str) -> Fault | None:
        if self.draining:
            reason = "is shutting down"
        elif not self.loaded:
            reason = "is still loading"
        elif self._live.count() >= self._max_running:
            reason = "is full"
        elif self._inbound.is_buried(rid):
            reason = "has given this request up"
        else:
            return None
        return Fault(ErrorKind.UNAVAILABLE, f"stage '{self.stage}' {reason}", retryable=True)

    def _admit(self, peer: Peer, submit: Submit, now: float) -> Request:
        """Raises Nonsense, Fault."""
        walk = self._walks.find(submit)
        params = {} if submit.params is None else submit.params
        if not isinstance(params, dict):
            raise Nonsense(f"params are {type(params).__name__}, not a map")
        ttl_s = submit.ttl_s
        if math.isnan(ttl_s) or ttl_s <= 0.0:
            raise Fault(ErrorKind.DEADLINE, "the request's deadline has passed")
        links = self._links
        return Request(
            rid=submit.rid,
            request_id=submit.request_id,
            gateway=peer,
            walk=walk,
            producers=submit.sources,
            outflows=[
                Outflow(leg, links.to(leg.address, leg.target, now) if leg.target else None) for leg in walk.legs
            ],
            params=params,
            deadline=now + min(ttl_s, _MAX_TTL_S),
            traced=submit.events or self._events.on,
        )

    def _payload(self, peer: Peer, payload: Payload, now: float) -> None:
        request = self._live.find(payload.rid)
        if request is None:
            self._inbound.stray(peer, payload, now)
        else:
            self._inbound.payload(request, peer, payload)

    def _chunk(self, peer: Peer, chunk: Chunk, now: float) -> None:
        request = self._live.find(chunk.rid)
        if request is None:
            self._inbound.stray(peer, chunk, now)
        else:
            self._inbound.chunk(request, peer, chunk)

    def _ack(self, peer: Peer, ack: Ack, now: float) -> None:
        request = self._live.find(ack.rid)
        if request is None:
            return  # all was sent: nobody needs the credit any more
        self._outbound.acked(request, peer, ack.name, ack.seq, now)
        self._live.room_made(request, now)

    def _cancel(self, peer: Peer, cancel: Cancel, now: float) -> None:
        request = self._live.find(cancel.rid)
        if request is None:
            self._inbound.bury(cancel.rid, now)
            return
        if request.gateway is not peer:
            raise Nonsense("a Cancel from a gateway that did not submit the request")
        if cancel.target and request.owes_others(cancel.target):
            request.cut(cancel.target)
            self._live.room_made(request, now)
        else:
            self._live.end(request, StageEnd.CANCELLED, now)

    # Peers

    def _peer_up(self, peer: Peer, now: float) -> None:
        if not peer.address:
            return
        for rid in self._links.up(peer):
            request = self._live.find(rid)
            if request is None:
                continue
            try:
                self._outbound.resume(request, now)
                self._live.room_made(request, now)
            except Fault as fault:
                self._live.fail(request, fault, now)

    def _peer_down(self, peer: Peer, now: float, *, refused: bool) -> None:
        if peer.address:
            link = self._links.down(peer, refused=refused)
            if link is not None:
                for request in self._live.where(lambda r: r.owes(link)):
                    self._live.lose(request, link.stage, now)
        elif peer.role is Role.GATEWAY:
            for request in self._live.where(lambda r: r.gateway is peer):
                self._live.end(request, StageEnd.LOST, now)
        else:
            self._inbound.producer_down(peer, now)
            for request in self._live.where(lambda r: r.needs_input_of(peer)):
                self._live.fail(request, lost(peer.stage), now, StageEnd.LOST)

    # Ends and answers

    def _fail_message(self, peer: Peer, message: Message, fault: Fault, now: float) -> None:
        """Ends the request that a message belongs to, or refuses the one that it would have started."""
        rid = getattr(message, "rid", "")
        request = self._live.find(rid)
        if request is not None:
            self._live.fail(request, fault, now)
        elif isinstance(message, Submit):
            self._inbound.bury(rid, now)
            self._live.refuse(peer, rid, fault)

    def _reject(self, peer: Peer, reason: str, now: float) -> None:
        self._metrics.rejected.inc()
        if now >= self._next_complaint:
            self._next_complaint = now + _COMPLAIN_S
            _log.warning("stage %s: dropped a message of %s: %s", self.stage, peer.name, reason)
