"""A Wire on an asyncio loop: one reader callback, one flush an iteration, one timer. No task, no thread.

Where a send may swallow the wake-up of something that came meanwhile, as libzmq's do, the wire makes its descriptor
readable again when it is flushed. So every send goes through the pump, which flushes after it.
"""

import asyncio
from collections.abc import Callable

from omnipipe.wire.messages import Message
from omnipipe.wire.port import Event, Peer, Wire

__all__ = ["AioPump"]


class AioPump:
    """Feeds `on_events` from the loop's own callbacks; never twice at once. Does not own the wire: close that after
    `stop`."""

    def __init__(self, wire: Wire, on_events: Callable[[list[Event]], None], *, tick_s: float = 0.05) -> None:
        self.wire = wire
        self._on_events = on_events
        self._tick_s = tick_s
        """How late a heartbeat, a redial or the notice of a death may be; well under `heartbeat_s`."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fd = -1

    def start(self) -> None:
        """On the running loop."""
        if self._loop is not None:
            raise RuntimeError("this pump runs already")
        self._loop = asyncio.get_running_loop()
        self._fd = self.wire.fileno()
        self._loop.add_reader(self._fd, self._turn)
        self._tick()

    def stop(self) -> None:
        """Idempotent. What was sent but not flushed stays with the wire, whose `close` flushes it."""
        if self._loop is None:
            return
        self._loop.remove_reader(self._fd)
        for handle in (self._soon, self._timer):
            if handle is not None:
                handle.cancel()
        self._loop = self._soon = self._timer = None

    def send(self, peer: Peer, message: Message) -> None:
        """`Wire.send`, flushed once at the end of this loop iteration with everything else that is sent in it."""
        self.wire.send(peer, message)
        if self._soon is None:
            self.wake_flush()

    def wake_flush(self) -> None:
        """After calls on the wire itself (`dial`, `send`, `set_load`): flush in this loop iteration."""
        if self._soon is None and self._loop is not None:
            self._soon = self._loop.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._soon = None
        self.wire.flush()

    def _turn(self) -> None:
        events = self.wire.poll(0)
        if events:
            self._on_events(events)

    def _tick(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(self._tick_s, self._tick)
            self._turn()
