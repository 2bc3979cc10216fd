"""The requests that are in a stage, and how each leaves it: done, failed, cancelled, lost.

`end` is the one place where a request leaves. Whoever finds that something is wrong with one - `router` in what peers
say, `results` in what the engine gives - says so here, and goes on with the others.
"""

import math
from collections.abc import Callable

from omnipipe.engines.engine import Drop, Resume, Work
from omnipipe.errors import ErrorKind
from omnipipe.observe.events import EventName, Events
from omnipipe.observe.metrics import StageEnd, StageMetrics
from omnipipe.stage.early import Grave
from omnipipe.stage.errors import Fault, lost
from omnipipe.stage.inbound import Inbound
from omnipipe.stage.outbound import Outbound
from omnipipe.stage.request import Request
from omnipipe.wire.messages import Failed
from omnipipe.wire.port import Peer

__all__ = ["Live"]


class Live:
    def __init__(
        self, stage: str, work: list[Work], inbound: Inbound, outbound: Outbound, metrics: StageMetrics, events: Events
    ) -> None:
        self._stage = stage
        self._work = work
        self._inbound = inbound
        self._outbound = outbound
        self._metrics = metrics
        self._events = events
        self._requests: dict[str, Request] = {}
        self.soonest = math.inf
        """No deadline is before it. It may be that of a request that has gone: then one look is for nothing."""
        self.find = self._requests.get
        """By rid; None when it is not here (any more)."""
        self.count = self._requests.__len__
        """Requests that have not ended here."""

    def add(self, request: Request) -> None:
        self._requests[request.rid] = request
        self.soonest = min(self.soonest, request.deadline)

    def where(self, holds: Callable[[Request], bool]) -> list[Request]:
        """A list of its own: they may end while it is gone through."""
        return [request for request in self._requests.values() if holds(request)]

    def expire(self, now: float) -> None:
        """Ends those that are past their deadline."""
        if now < self.soonest:
            return
        for request in self.where(lambda request: request.deadline <= now):
            fault = Fault(ErrorKind.DEADLINE, "the request's deadline has passed")
            self.fail(request, fault, now, StageEnd.EXPIRED)
        self.soonest = min((request.deadline for request in self._requests.values()), default=math.inf)

    def room_made(self, request: Request, now: float) -> None:
        """After credit or a connection came: what waited may have gone, and the engine may go on."""
        if request.finished:
            if not request.unsent:
                self.end(request, StageEnd.DONE, now)
        elif request.paused and not any(flow.is_full() for flow in request.outflows):
            request.paused = False
            self._work.append(Resume(request.rid))

    def lose(self, request: Request, target: str, now: float) -> None:
        """A replica that it still needed is gone. What it owes to others goes on, unless the gateway says otherwise:
        only there is it known whether the request may be run again."""
        fault = lost(target)
        if not request.owes_others(target):
            self.fail(request, fault, now, StageEnd.LOST)
            return
        request.cut(target)
        failed = Failed(request.rid, self._stage, fault.kind.value, fault.message, fault.retryable, target=target)
        self._outbound.tell(request.gateway, failed)
        self.room_made(request, now)

    def fail(self, request: Request, fault: Fault, now: float, end: StageEnd = StageEnd.FAILED) -> None:
        self.refuse(request.gateway, request.rid, fault)
        self.end(request, end, now)

    def end(self, request: Request, end: StageEnd, now: float) -> None:
        """The one place where a request leaves."""
        rid = request.rid
        del self._requests[rid]
        if request.begun and not request.finished:
            self._work.append(Drop(rid))
        if request.spoken_for or end is not StageEnd.DONE:
            request.fed_due = False
        if end is not StageEnd.DONE:
            self._inbound.bury(rid, now)
        elif request.awaiting:
            self._inbound.bury(rid, now, Grave.SATED)
        self._metrics.ended(end)
        if request.traced:
            self._events.record(request.request_id, rid, EventName.STAGE_DONE, outcome=end.value)

    def refuse(self, peer: Peer, rid: str, fault: Fault) -> None:
        self._outbound.tell(
            peer, Failed(rid, self._stage, fault.kind.value, fault.message, fault.retryable, code=fault.code)
        )
