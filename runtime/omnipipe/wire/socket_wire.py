"""The real Wire: sockets under one poll loop, on the caller's thread.

    wire = SocketWire(identity, "ipc:///run/…/thinker-0.sock", plan.transport)
    wire.dial("ipc:///run/…/talker-0.sock", "talker")
    while True:
        for event in wire.poll(1.0): ...

`ipc` and `tcp` have the sockets, `dialler` what is dialled, `hub` the connections; here is only the loop and what keeps
time.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.addresses import check_address, is_tcp
from omnipipe.wire.counters import Counters
from omnipipe.wire.dialler import Dialler
from omnipipe.wire.errors import WireError
from omnipipe.wire.hub import Hub
from omnipipe.wire.ipc.sockets import IpcSockets
from omnipipe.wire.keys import CurveKeys
from omnipipe.wire.lines import Door, Sockets
from omnipipe.wire.messages import Beat, Message
from omnipipe.wire.port import Event, Identity, Peer
from omnipipe.wire.shm.exchange import open_exchange
from omnipipe.wire.value import ITEM_BYTES, Tensor
from omnipipe.wire.waiter import Waiter

if TYPE_CHECKING:
    from omnipipe.wire.tcp.sockets import TcpSockets

__all__ = ["SocketWire"]

_LINGER_S: Final = 0.2
"""How long what was flushed may take to leave after `hang_up` and `close`."""
_TICKS_A_BEAT: Final = 4


class SocketWire:
    """`port.Wire`."""

    def __init__(
        self,
        identity: Identity,
        listen: str | None,
        transport: TransportPlan,
        curve: CurveKeys | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises WireError when `listen` cannot be had. `curve` protects TCP connections, and only those."""
        self.identity: Final = identity
        self.counters: Final = Counters()
        self._transport = transport
        self._curve = curve
        self._clock = clock
        self._closed = False
        self._waiter = Waiter()
        self._memory = open_exchange(transport.shm_bytes, self.counters)
        self._hub = Hub(identity, transport, self._memory, self.counters, clock, self._happened)
        self._ipc = IpcSockets(self._hub, self._waiter)
        self._tcp: TcpSockets | None = None
        """When an address asks for it."""
        self._dialled: dict[str, Dialler] = {}
        self._door: Door | None = None
        now = clock()
        self._polled = now
        self._polling = False
        self._tick_s = min(transport.heartbeat_s / _TICKS_A_BEAT, 0.05)
        self._next_tick = now
        self._next_beat = now + transport.heartbeat_s
        with ExitStack() as undo:
            undo.callback(self.close)
            if listen is not None:
                self._door = self._sockets(listen).listen(listen)
            undo.pop_all()

    @property
    def listening(self) -> str:
        """The address that others dial, with the real port; empty for one that only dials."""
        return "" if self._door is None else self._door.address

    def dial(self, address: str, stage: str) -> None:
        """Raises WireError for an address that can never work."""
        sockets = self._sockets(address)
        if address not in self._dialled:
            self._hub.now = self._clock()
            self._dialled[address] = Dialler(self._hub, sockets, address, stage)

    def hang_up(self, address: str) -> None:
        dialler = self._dialled.pop(address, None)
        if dialler is not None:
            self.flush()
            dialler.close(_LINGER_S)

    def send(self, peer: Peer, message: Message) -> None:
        self._hub.send(peer, message)

    def flush(self) -> None:
        if self._hub.outgoing:
            self._hub.flush()
        if self._tcp is not None:
            self._waiter.wake()  # sends may have swallowed the sign that something came: let the next poll look

    def poll(self, timeout_s: float) -> list[Event]:
        if self._closed:
            return []
        self._polling = True
        hub, waiter, tcp = self._hub, self._waiter, self._tcp
        now = hub.now = self._clock()
        self._excuse_if_late(now - self._polled)
        deadline = now + timeout_s
        self._settle()
        while True:
            wait_s = 0.0
            if not (hub.events or waiter.woken or (tcp is not None and tcp.unfinished)):
                wait_s = max(0.0, min(deadline, self._next_tick) - now)
            ready = waiter.wait(wait_s)
            before, now = now, self._clock()
            hub.now = now
            self._excuse_if_late(now - before - wait_s)
            if ready:
                waiter.run(ready)
            if tcp is not None and tcp.unfinished:
                tcp.go_on()
            if now >= self._next_tick:
                self._tick(now)
            self._settle()
            if hub.events or waiter.woken or now >= deadline:
                break
        waiter.woken = self._polling = False
        if hub.outgoing or (tcp is not None and tcp.unfinished):
            waiter.wake()
        self._polled = now
        events, hub.events = hub.events, []
        return events

    def wake(self) -> None:
        self._waiter.wake()

    def set_load(self, *, progress: int, step_s: float, queued: int, running: int, accepting: bool) -> None:
        turned = accepting != self._hub.load.accepting
        self._hub.load = Beat(progress=progress, step_s=step_s, queued=queued, running=running, accepting=accepting)
        if turned:
            self._hub.beat_all()
            if self._tcp is not None:
                self._waiter.wake()  # as in `flush`

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> Tensor | None:
        """A tensor in shared memory, to be filled through `numpy()` before it is sent, which then copies nothing.
        None when there is no shared memory or no room in it: make an ordinary one."""
        nbytes = ITEM_BYTES[dtype]
        for size in shape:
            nbytes *= size
        return None if self._memory is None or nbytes == 0 else self._memory.allocate(dtype, shape, nbytes)

    def fileno(self) -> int:
        return self._waiter.fileno()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._hub.flush()
        for dialler in self._dialled.values():
            dialler.close(_LINGER_S)
        if self._door is not None:
            self._door.close(_LINGER_S)
        if self._tcp is not None:
            self._tcp.close()
        self._waiter.close()
        if self._memory is not None:
            self._memory.close()

    def _sockets(self, address: str) -> Sockets:
        check_address(address)
        if not is_tcp(address):
            return self._ipc
        if self._transport.curve and self._curve is None:
            raise WireError(f"{address}: the plan asks for CURVE on TCP and this process was given no keys")
        if self._tcp is None:
            from omnipipe.wire.tcp.sockets import TcpSockets  # brings libzmq and its threads: not without need

            self._tcp = TcpSockets(self._hub, self._waiter, self._curve)
        return self._tcp

    def _happened(self) -> None:
        """An event that did not come from a poll: the next one is to return at once."""
        if not self._polling:
            self._waiter.wake()

    def _settle(self) -> None:
        """Sends what is queued."""
        if self._hub.outgoing:
            self._hub.flush()
        if self._tcp is not None:
            self._tcp.settle()

    def _excuse_if_late(self, lost_s: float) -> None:
        if lost_s > self._transport.heartbeat_s:
            self._hub.excuse(lost_s)

    def _tick(self, now: float) -> None:
        self._next_tick = now + self._tick_s
        if now >= self._next_beat:
            self._next_beat = now + self._transport.heartbeat_s
            self._hub.beat_all()
        self._hub.judge()
        for dialler in list(self._dialled.values()):
            dialler.tick()
        if self._door is not None:
            self._door.tick()
        self._hub.tidy()
