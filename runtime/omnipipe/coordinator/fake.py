"""A ServedPipeline without stages or sockets, for those who build on a coordinator: the gateway and its tests.

It plays a script per request and remembers what was asked of it. It honours what `flight` promises (pieces in order,
one end, `close` wakes a waiting reader) and nothing more: no walks, no retries, no credit.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from omnipipe.coordinator.flight import Health, OmniRequest, Piece, Sink, StageHealth
from omnipipe.errors import ErrorKind, RequestError
from omnipipe.spec.plan import Plan

__all__ = ["FakeCoordinator", "FakeFlight", "Script", "Step", "text_script"]

Step = Piece | Sequence[Piece] | float | asyncio.Event | RequestError
"""A piece or several that become ready together; seconds to wait; an event to wait for; the error it ends with."""

Script = Sequence[Step]


def text_script(words: Sequence[str], *, output: str = "text", delay_s: float = 0.0) -> list[Step]:
    """One piece a word, `delay_s` before each; the last one brings the finish reason and the usage."""
    steps: list[Step] = []
    for word in words:
        if delay_s:
            steps.append(delay_s)
        steps.append(Piece(output, word, False, None))
    usage = {"prompt_tokens": len(words), "completion_tokens": len(words), "total_tokens": 2 * len(words)}
    steps.append(Piece(output, "", True, {"finish_reason": "stop", "usage": usage}))
    return steps


class FakeFlight:
    """Plays one script. `end` says how it ended: `result`, `error`, `closed`, or None while it has not."""

    def __init__(
        self, owner: "FakeCoordinator", request: OmniRequest, script: Script, admit_delay_s: float = 0.0
    ) -> None:
        self.request = request
        self.request_id = request.request_id
        self.taken: list[Piece] = []
        self.end: str | None = None
        self.error: RequestError | None = None
        self.lost: RequestError | None = None
        self.close_calls = 0
        self._owner = owner
        self._steps = list(script)
        self._stop = asyncio.Event()
        self._admit_delay_s = admit_delay_s
        self._player: asyncio.Task[list[Piece]] | None = None

    async def next(self) -> list[Piece]:
        while True:
            if self.error is not None:
                raise self.error
            if self.end is not None:
                return []
            if not self._steps:
                self._finish("result")
                return []
            match self._steps.pop(0):
                case Piece() as piece:
                    return self._take([piece])
                case RequestError() as error:
                    self.fail(error)
                case asyncio.Event() as gate:
                    await self._either(gate.wait())
                case float() | int() as seconds:
                    await self._either(asyncio.sleep(seconds))
                case pieces:
                    return self._take(list(pieces))

    async def pour(self, sink: Sink) -> bool:
        while pieces := await self.next():
            if not sink(pieces):
                return True
        return False

    async def whole(self) -> list[Piece]:
        pieces: list[Piece] = []
        while some := await self.next():
            pieces += some
        return pieces

    def then(self, done: Callable[[], None]) -> None:
        self._player = asyncio.get_running_loop().create_task(self._play())
        self._player.add_done_callback(lambda _: done())

    def result(self) -> list[Piece]:
        assert self._player is not None, "after `then`"
        return self._player.result()

    def close(self) -> None:
        self.close_calls += 1
        self._finish("closed")

    def fail(self, error: RequestError) -> None:
        """Ends the request in `error` now, as the death of a stage would."""
        if self.end is None:
            self.error = error
            self._finish("error")

    async def _play(self) -> list[Piece]:
        if self._admit_delay_s:
            await self._either(asyncio.sleep(self._admit_delay_s))
            if self.end is None:
                self._owner.admitted(self)
        return await self.whole()

    def _take(self, pieces: list[Piece]) -> list[Piece]:
        self.taken += pieces
        if not self._steps:
            self._finish("result")
        return pieces

    def _finish(self, end: str) -> None:
        if self.end is None:
            self.end = end
            self._stop.set()
            self._owner.gone(self)

    async def _either(self, wait: Coroutine[None, None, object]) -> None:
        """Waits for the script's wait or the end, whichever comes first."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(wait)
            stopping = group.create_task(self._stop.wait())
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            stopping.cancel()


class FakeCoordinator:
    """`script` is played for every request, or is asked for each one's script.

    `refuse` (settable) is raised by `submit` while it is not None. `submitted` holds every request that `submit` was
    called with, refused ones too; `flights` every flight it returned, in order.
    """

    def __init__(
        self,
        plan: Plan,
        script: Script | Callable[[OmniRequest], Script] = (),
        *,
        refuse: RequestError | None = None,
        admit_delay_s: float = 0.0,
        ready: bool = True,
    ) -> None:
        self._plan = plan
        self._script = script
        self._admit_delay_s = admit_delay_s
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._live: set[FakeFlight] = set()
        self.refuse = refuse
        self.ready = ready
        self.submitted: list[OmniRequest] = []
        self.flights: list[FakeFlight] = []

    @property
    def plan(self) -> Plan:
        return self._plan

    async def submit(self, request: OmniRequest) -> FakeFlight:
        self.submitted.append(request)
        if self._admit_delay_s:
            await asyncio.sleep(self._admit_delay_s)
        flight = self._made(request)
        self.admitted(flight)
        return flight

    def open(self, request: OmniRequest) -> FakeFlight:
        self.submitted.append(request)
        flight = self._made(request, self._admit_delay_s)
        if not self._admit_delay_s:
            self.admitted(flight)
        return flight

    def _made(self, request: OmniRequest, admit_delay_s: float = 0.0) -> FakeFlight:
        if self._draining:
            raise RequestError(ErrorKind.UNAVAILABLE, "This server is shutting down.", retry_after_s=1.0)
        if self.refuse is not None:
            raise self.refuse
        script = self._script(request) if callable(self._script) else self._script
        return FakeFlight(self, request, script, admit_delay_s)

    def health(self) -> Health:
        count = 1 if self.ready else 0
        stages = tuple(StageHealth(stage.name, 1, count, 0, 0) for stage in self._plan.stages)
        return Health(self.ready and not self._draining, self._draining, len(self._live), 0, stages)

    async def drain(self, grace_s: float) -> bool:
        self._draining = True
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            for flight in list(self._live):
                flight.fail(RequestError(ErrorKind.UNAVAILABLE, "This server is shutting down.", retry_after_s=1.0))
            return False
        return True

    def admitted(self, flight: FakeFlight) -> None:
        self.flights.append(flight)
        self._live.add(flight)
        self._idle.clear()

    def gone(self, flight: FakeFlight) -> None:
        """Called by a flight at its end."""
        self._live.discard(flight)
        if not self._live:
            self._idle.set()
