"""One pipeline's Coordinator on an asyncio loop: the wire's pump, one timer for all deadlines, look-ups, drain, close.

    async with Coordinator(plan, wire, metrics, events) as coordinator:      # or connection.connect(plan)
        flight = await coordinator.submit(request)

It holds no logic about requests: that is behind `dispatch`. A gateway that serves several pipelines has one
each.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from omnipipe.coordinator.discovery import RESOLVE_EVERY_S, Discovery, Lookup
from omnipipe.coordinator.dispatch import Dispatcher
from omnipipe.coordinator.flight import Health, OmniRequest
from omnipipe.coordinator.inbound import Inbound
from omnipipe.coordinator.live import LiveFlight, Phase
from omnipipe.coordinator.starts import REPLICA_WAIT_S
from omnipipe.observe.events import Events
from omnipipe.observe.metrics import CoordinatorMetrics
from omnipipe.spec.plan import Plan
from omnipipe.wire.aio import AioPump
from omnipipe.wire.port import Event, Wire

__all__ = ["Coordinator"]

log = logging.getLogger(__name__)

EVENTS_FLUSH_S = 1.0
"""Request events reach the disk about so late."""


class Coordinator:
    """`flight.ServedPipeline` over a wire, which it owns from then on."""

    def __init__(
        self,
        plan: Plan,
        wire: Wire,
        metrics: CoordinatorMetrics,
        events: Events,
        *,
        clock: Callable[[], float] = time.monotonic,
        lookup: Lookup | None = None,
        resolve_every_s: float = RESOLVE_EVERY_S,
        replica_wait_s: float = REPLICA_WAIT_S,
    ) -> None:
        self._plan = plan
        self._wire = wire
        self._events = events
        self._clock = clock
        self._pump = AioPump(wire, self._on_events)
        self._dispatcher = Dispatcher(
            plan,
            wire,
            metrics,
            events,
            send=self._pump.send,
            clock=clock,
            name=uuid.uuid4().hex[:12],
            replica_wait_s=replica_wait_s,
        )
        self._dispatcher.ends.on_idle = self._on_idle
        self._inbound = Inbound(self._dispatcher, metrics)
        self._discovery = Discovery(plan, self._on_found, lookup=lookup, every_s=resolve_every_s)
        self._resolving: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._flusher: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._closed = False

    @property
    def plan(self) -> Plan:
        return self._plan

    async def start(self) -> None:
        """Dials every replica; does not wait for them: see `health`. Raises WireError for an address that can never
        work."""
        if self._loop is not None or self._closed:
            raise RuntimeError("a Coordinator starts once")
        self._loop = asyncio.get_running_loop()
        self._discovery.announce_fixed()
        self._pump.start()
        self._pump.wake_flush()
        self._flush_events()
        if self._discovery.has_names:
            self._resolving = self._loop.create_task(self._discovery.run(), name=f"resolve {self._plan.pipeline}")

    def open(self, request: OmniRequest) -> LiveFlight:
        flight = self._dispatcher.open(request)
        self._arm()
        return flight

    async def submit(self, request: OmniRequest) -> LiveFlight:
        flight = self.open(request)
        if flight.phase is Phase.QUEUED:
            try:
                await flight.started()
            except asyncio.CancelledError:
                flight.close()
                raise
        return flight

    def health(self) -> Health:
        return self._dispatcher.health()

    async def drain(self, grace_s: float) -> bool:
        finished = True
        self._dispatcher.drain()
        if self.health().in_flight:
            self._idle.clear()
            try:
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("%d requests outlived the grace of %g s", self.health().in_flight, grace_s)
                finished = False
        self._dispatcher.abort_all()
        return finished

    async def close(self) -> None:
        """Ends what still runs, at once, and everything it opened. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._dispatcher.drain()
        self._dispatcher.abort_all()
        if self._resolving is not None:
            self._resolving.cancel()
            await asyncio.wait([self._resolving])
        for timer in (self._timer, self._flusher):
            if timer is not None:
                timer.cancel()
        self._pump.stop()
        self._wire.close()
        self._events.flush()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self.start()
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _on_events(self, events: list[Event]) -> None:
        self._inbound.handle(events)
        self._arm()

    def _on_found(self, stage: str, addresses: list[str], *, complete: bool) -> None:
        if not complete:
            addresses = list(dict.fromkeys(addresses + self._dispatcher.working_addresses(stage)))
        self._dispatcher.set_addresses(stage, addresses)
        self._pump.wake_flush()

    def _on_idle(self) -> None:
        self._idle.set()

    def _arm(self) -> None:
        """One timer, for whatever is due first."""
        due = self._dispatcher.next_due()
        if due is None or self._loop is None or self._closed or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(0.0, due - self._clock()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._dispatcher.sweep()
        self._arm()

    def _flush_events(self) -> None:
        if self._loop is not None:
            self._events.flush()
            self._flusher = self._loop.call_later(EVENTS_FLUSH_S, self._flush_events)
