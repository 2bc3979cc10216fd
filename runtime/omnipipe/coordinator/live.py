"""A request that was submitted: what the dispatcher knows of it, and the reader's end of it (`flight.Flight`).

Pieces go from the wire's callback straight into a list that the reader takes whole, with one Future while he waits:
many pieces cost one wake. A wake goes through every coroutine between the task and the Future, which is most of what a
small piece costs; so a reader can have them handed to him from within the callback (`pour`). What happens to the
request is decided in `starts` and `ends`.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from omnipipe.coordinator.attempt import Attempt, Incoming
from omnipipe.coordinator.deadlines import Entry
from omnipipe.coordinator.flight import OmniRequest, Piece, Sink
from omnipipe.coordinator.replicas import Replica
from omnipipe.coordinator.walk import Walk
from omnipipe.errors import RequestError

__all__ = ["LiveFlight", "Owner", "Phase"]


class Phase(Enum):
    QUEUED = 1  # waits for a slot or a replica
    RUNNING = 2  # an attempt is on the stages
    RETRYING = 3  # holds its slot, waits for a replica
    OVER = 4


class Owner(Protocol):
    def credit(self, incoming: Incoming, rid: str) -> None:
        """The reader has everything up to `incoming.next_seq`."""

    def leave(self, flight: "LiveFlight") -> None:
        """The reader wants no more."""


class LiveFlight:
    __slots__ = (
        "_owner", "admitted_at", "arrived_at", "attempt", "avoid", "deadline", "done", "entire", "error", "handed",
        "lost", "news", "phase", "ready", "relax_at", "request", "request_id", "retries", "sink", "start", "timeout_s",
        "timer", "traced", "trouble", "waiter", "waiting_since", "walk",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, request: OmniRequest, walk: Walk, now: float, timeout_s: float, *, traced: bool
    ) -> None:
        self._owner = owner
        self.request = request
        self.request_id = request.request_id
        self.walk = walk
        self.traced = traced
        """Its events are recorded."""
        self.timeout_s = timeout_s
        self.deadline = now + timeout_s
        self.arrived_at = now
        self.admitted_at: float | None = None
        """Since when it holds a slot."""
        self.waiting_since = now
        """When it joined the queue, or began to wait for a retry."""
        self.phase = Phase.QUEUED
        self.timer: Entry | None = None
        self.attempt: Attempt | None = None
        self.retries = 0
        self.avoid: frozenset[Replica[Attempt]] = frozenset()
        """Replicas that an attempt was lost on."""
        self.relax_at = 0.0
        """From then on a replica to avoid is better than none."""
        self.ready: list[Piece] = []
        self.news = False
        """Pieces have come that the reader has not been told of: `heard` is still to be called."""
        self.sink: Sink | None = None
        """Gets pieces as they come."""
        self.trouble: Exception | None = None
        """What the sink raised."""
        self.handed = False
        """The reader has had a piece: no attempt can be made unseen any more."""
        self.entire = False
        """The reader wants all or nothing."""
        self.error: RequestError | None = None
        self.lost: RequestError | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.start: asyncio.Future[None] | None = None
        self.done: Callable[[], None] | None = None
        """Is to be called after the end."""

    @property
    def has_begun(self) -> bool:
        """Whether its reader gets a part of the answer, whatever becomes of the rest."""
        return self.handed or (bool(self.ready) and not self.entire)

    def take(self) -> list[Piece] | None:
        """`next` without the waiting: None when there is nothing yet."""
        ready = self.ready
        if ready:
            self.ready = []
            self.handed = True
            self._credit()
            return ready
        if self.error is not None:
            raise self.error
        return [] if self.phase is Phase.OVER else None

    async def next(self) -> list[Piece]:
        while (pieces := self.take()) is None:
            await self._stir()
        return pieces

    async def pour(self, sink: Sink) -> bool:
        while True:
            pieces = self.take()
            if pieces is not None:
                if not pieces:
                    return False
                if not sink(pieces):
                    return True
                continue
            self.sink = sink
            try:
                await self._stir()
                if self.trouble is not None:
                    raise self.trouble
                if self.sink is not sink:  # `heard` took it away: it is full
                    return True
            finally:
                self.sink = None

    async def whole(self) -> list[Piece]:
        """They stay in `ready` until the end: a new attempt clears it, and the reader has not noticed a thing."""
        self.entire = True
        self._credit()
        while self.phase is not Phase.OVER:
            await self._stir()
        return self.result()

    def then(self, done: Callable[[], None]) -> None:
        self.entire = True
        self.done = done
        if self.phase is Phase.OVER:
            self.wake()
        else:
            self._credit()

    def result(self) -> list[Piece]:
        if (error := self.error or self.lost) is not None:
            raise error
        return self.take() or []

    async def started(self) -> None:
        """Waits until it has been admitted and submitted; raises what it ended with if that came first."""
        while self.phase is Phase.QUEUED:
            self.start = asyncio.get_running_loop().create_future()
            await self.start
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self._owner.leave(self)

    def _credit(self) -> None:
        attempt = self.attempt
        if attempt is not None and attempt.credit_due:
            attempt.credit_due = False
            for incoming in attempt.incoming.values():
                if incoming.next_seq >= incoming.ack_at:
                    self._owner.credit(incoming, attempt.rid)

    async def _stir(self) -> None:
        """Until something has happened."""
        if self.waiter is not None:
            raise RuntimeError("a flight has one reader at a time")
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def heard(self) -> None:
        """What has come is in `ready`, all that came together. Never raises."""
        self.news = False
        sink = self.sink
        if sink is not None and self.ready:
            pieces, self.ready = self.ready, []
            self.handed = True
            self._credit()
            try:
                if sink(pieces):
                    return
            except Exception as error:  # the boundary to the reader, who gets to see it where he waits
                self.trouble = error
            self.sink = None
        elif self.entire:
            self._credit()
            return
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def wake(self) -> None:
        """Lets whoever waits look again."""
        for future in (self.waiter, self.start):
            if future is not None and not future.done():
                future.set_result(None)
        if self.done is not None and self.phase is Phase.OVER:
            asyncio.get_running_loop().call_soon(self.done)
            self.done = None
