"""What becomes of what the engine gives: emissions to where they go, ends to the requests they end.

A result that cannot be handled ends its request, and no other.
"""

import logging

from omnipipe.engines.engine import Consumed, Emission, Failure, Finished, Pause, Result, Work
from omnipipe.errors import ErrorKind
from omnipipe.observe.metrics import StageEnd
from omnipipe.stage.errors import Fault, internal
from omnipipe.stage.inbound import Inbound
from omnipipe.stage.live import Live
from omnipipe.stage.outbound import Outbound
from omnipipe.stage.request import Request
from omnipipe.wire.messages import Failed

__all__ = ["Results"]

_log = logging.getLogger(__name__)


class Results:
    def __init__(self, stage: str, work: list[Work], live: Live, inbound: Inbound, outbound: Outbound) -> None:
        self._stage = stage
        self._work = work
        self._live = live
        self._inbound = inbound
        self._outbound = outbound

    def take(self, results: list[Result], now: float) -> None:
        for result in results:
            request = self._live.find(result.rid)
            if request is None:
                continue  # ended while the engine was busy with it
            try:
                if isinstance(result, Emission):
                    full = self._outbound.emit(request, result.port, result.value, result.last, result.meta, now)
                    if full and not request.paused:
                        request.paused = True
                        self._work.append(Pause(request.rid))
                elif isinstance(result, Finished):
                    self._finished(request, now)
                elif isinstance(result, Consumed):
                    self._inbound.consumed(request, result)
                else:
                    self._failed_in_engine(request, result, now)
            except Fault as fault:
                self._live.fail(request, fault, now)
            except Exception:  # the boundary of one request: a bug here must not end the others
                _log.exception("stage %s: a result could not be handled", self._stage, extra={"rid": result.rid})
                self._live.fail(request, internal(self._stage), now)

    def _finished(self, request: Request, now: float) -> None:
        request.finished = True
        if request.open:
            ports = sorted({flow.leg.port for flow in request.outflows if not flow.closed})
            _log.error("stage %s: done without ending %s", self._stage, ", ".join(ports), extra={"rid": request.rid})
            raise internal(self._stage)
        self._inbound.finished(request)
        if not request.unsent:
            self._live.end(request, StageEnd.DONE, now)

    def _failed_in_engine(self, request: Request, failure: Failure, now: float) -> None:
        request.finished = True
        error = failure.error
        failed = Failed(
            request.rid,
            self._stage,
            ErrorKind(error.kind).value,
            str(error.message),
            error.kind is ErrorKind.UNAVAILABLE,
            None if error.param is None else str(error.param),
            None if error.code is None else str(error.code),
        )  # a program's author may have put anything there, and the other side takes text alone
        self._outbound.tell(request.gateway, failed)
        self._live.end(request, StageEnd.EXPIRED if error.kind is ErrorKind.DEADLINE else StageEnd.FAILED, now)
