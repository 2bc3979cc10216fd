"""One request on its way, as the gateway sees it.

    flight = await coordinator.submit(OmniRequest(...))      # admission: RequestError(OVERLOADED, ...) when full
    try:
        while pieces := await flight.next():                 # all that is ready, in order; [] after the end
            ...
    finally:
        flight.close()                                       # after the end: nothing; before it: cancels everywhere

Many small pieces are best poured (`pour`). An answer that goes out in one go takes `whole`: then nothing has
reached the client before the end, and a replica that dies costs time alone; `then` and `result` are the same for who
has no task to wait in. All raise RequestError when the request
fails. Each accepted request ends exactly once: every output's last piece, one RequestError, or `close` by the caller.

Once a piece has been handed out, a stage that is lost takes only the outputs with it that need it: each of them ends in
a last piece without value or meta, the others go on, and `lost` says what happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from omnipipe.errors import RequestError
from omnipipe.spec.plan import Plan
from omnipipe.wire.value import Value

__all__ = ["Flight", "Health", "OmniRequest", "Piece", "ServedPipeline", "Sink", "StageHealth"]


class OmniRequest(msgspec.Struct, frozen=True):
    request_id: str
    """Echoed in `x-request-id`, logs and events."""
    value: Value
    inputs: frozenset[str]
    outputs: frozenset[str]
    """The pipeline outputs this request wants; at least one, all of the pipeline's."""
    stage_params: dict[str, dict[str, Value]] = msgspec.field(default_factory=dict)
    timeout_s: float | None = None
    """The client's own deadline; the pipeline's limit holds as well."""
    events: bool = False


class Piece(msgspec.Struct):
    output: str
    value: Value
    last: bool
    meta: dict[str, Value] | None
    """With `last`."""


Sink = Callable[[list[Piece]], bool]
"""Takes pieces from within a callback of the event loop: it must not wait. False: no more for now."""


class Flight(Protocol):
    request_id: str
    lost: RequestError | None
    """Why outputs ended before they were complete, though the request goes on: for the client, after all that comes."""

    async def next(self) -> list[Piece]:
        """Waits for pieces; returns all that are ready; an empty list after the end. Taking them gives credit back:
        a reader that does not call `next` pauses its own request on the stages, and nobody else's."""

    async def pour(self, sink: Sink) -> bool:
        """`next` for many small pieces: until the end, `sink` gets them the moment they come, without a task to wake.
        False: that was the end. True: `sink` has taken what it got and wants no more until it is asked again."""

    async def whole(self) -> list[Piece]:
        """Waits for the end; all pieces, in order. In place of `next`, not after it."""

    def then(self, done: Callable[[], None]) -> None:
        """`whole` without waiting: the loop calls `done` once, after the end, whatever that is."""

    def result(self) -> list[Piece]:
        """After `done`: what `whole` would have returned or raised."""

    def close(self) -> None:
        """Frees the request wherever it is. Idempotent; never blocks."""


@dataclass(frozen=True, slots=True)
class StageHealth:
    name: str
    replicas: int
    """Known: dialled or resolved."""
    routable: int
    """Up, accepting and not stalled."""
    queued: int
    running: int


@dataclass(frozen=True, slots=True)
class Health:
    ready: bool
    """Every stage has a routable replica."""
    draining: bool
    in_flight: int
    queued: int
    stages: tuple[StageHealth, ...]


class ServedPipeline(Protocol):
    """What a gateway needs of a Coordinator. Real: `coordinator.Coordinator`; fake: `fake.FakeCoordinator`."""

    @property
    def plan(self) -> Plan: ...

    async def submit(self, request: OmniRequest) -> Flight:
        """Admits the request, waiting in the bounded queue if need be. Raises RequestError: OVERLOADED (with
        retry_after_s), UNAVAILABLE, DEADLINE, UNPROCESSABLE (an output the pipeline does not have)."""

    def open(self, request: OmniRequest) -> Flight:
        """`submit` without waiting: one that has to queue says through its flight what becomes of it."""

    def health(self) -> Health: ...

    async def drain(self, grace_s: float) -> bool:
        """Admits nothing more, waits for what runs, then cancels the rest (RequestError UNAVAILABLE). Whether all of it
        finished by itself."""
