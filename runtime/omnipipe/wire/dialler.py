"""The side that dials: one address, a new DEALER for each attempt, again and again until it is hung up."""

from collections.abc import Callable, Sequence
from typing import Final

import zmq

from omnipipe.wire.addresses import is_tcp
from omnipipe.wire.codec import Packet
from omnipipe.wire.connection import Connection
from omnipipe.wire.curve import CurveKeys
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.handshake import FROM_LISTENER, hello
from omnipipe.wire.hub import Hub
from omnipipe.wire.messages import WIRE_VERSION, Message, Refuse, Welcome
from omnipipe.wire.port import Peer, PeerDown, Role
from omnipipe.wire.sockets import (
    DISCONNECTED,
    HANDSHAKE_FAILED,
    NOW,
    Context,
    Socket,
    close_with_monitor,
    dialler_socket,
    open_monitor,
    read_monitor,
    read_rest,
    readable,
    send_frames,
)
from omnipipe.wire.tensors import Buffer
from omnipipe.wire.waiter import Waiter

__all__ = ["Dialler"]

_BUDGET: Final = 1000
"""Packets read before others get their turn."""
_FIRST_RETRY_S: Final = 0.05
_LAST_RETRY_S: Final = 2.0
_ANSWER_S: Final = 3.0
"""From dialling to Welcome. A listener that takes longer is not polling."""


class Dialler:
    def __init__(
        self,
        hub: Hub,
        context: Context,
        waiter: Waiter,
        address: str,
        stage: str,
        keys: CurveKeys | None,
        unfinished: Callable[[Callable[[], bool]], None],
    ) -> None:
        """`unfinished` takes `receive` when it stopped before the end."""
        self._hub = hub
        self._context = context
        self._waiter = waiter
        self._keys = keys if is_tcp(address) else None
        self._unfinished = unfinished
        self.address: Final = address
        self.stage: Final = stage
        self.connection: Connection | None = None
        self.touched = False
        """Sent on since the last look for something to read."""
        self._socket: Socket | None = None
        self._monitor: Socket | None = None
        self._retry_s = _FIRST_RETRY_S
        self._due = 0.0
        """Without a socket: when to dial again. With one but no connection: when to stop waiting for Welcome."""
        self._trouble = ""
        """What was last said about this address, so that it is said once."""
        self._offer_memory = hub.memory is not None
        self._dial()

    def tick(self) -> None:
        now = self._hub.now
        if self._socket is None:
            if now >= self._due:
                self._dial()
        elif self.connection is None and now >= self._due:
            self._fail(f"{self.address} did not answer within {_ANSWER_S:g} s")

    def look_again(self) -> None:
        """After sends, which may have swallowed the wake-up."""
        self.touched = False
        if self._socket is not None and readable(self._socket):
            self._readable()

    def receive(self) -> bool:
        """Reads what is there; True when its turn ended before that."""
        hub = self._hub
        for _ in range(_BUDGET):
            socket = self._socket
            if socket is None:
                return False
            try:
                header = socket.recv(NOW)
            except zmq.Again:  # a wake-up for something else
                return False
            frames, nbytes = read_rest(socket)
            if self.connection is not None:
                hub.arrived(self.connection, header, frames, nbytes)
            else:
                self._answered(header, frames, nbytes)
            if self._socket is not socket or not readable(socket):
                return False
        return True

    def transmit(self, connection: Connection, frames: list[Buffer]) -> bool:
        if self._socket is None or connection is not self.connection:
            raise PeerLost("the connection is closed")
        self.touched = True
        return send_frames(self._socket, b"", frames)

    def part(self, connection: Connection) -> None:
        if connection is self.connection:
            self.connection = None
            self._close(0.0)
            self._again(_FIRST_RETRY_S)

    def avoid_memory(self, connection: Connection) -> None:
        self._offer_memory = False

    def close(self, linger_s: float) -> None:
        """For good; what was flushed may still go within `linger_s`."""
        if self.connection is not None:
            self._hub.forget(self.connection)
            self.connection = None
        self._close(linger_s)

    def _dial(self) -> None:
        self._socket = dialler_socket(self._context, self.address, self._hub.transport.max_message_bytes, self._keys)
        self._monitor = open_monitor(self._socket)
        self._due = self._hub.now + _ANSWER_S
        self._waiter.add(self._socket.fileno(), self._readable)
        self._waiter.add(self._monitor.fileno(), self._monitor_readable)
        memory = self._hub.memory
        host = memory.host if memory is not None and self._offer_memory else ""
        try:
            self._socket.connect(self.address)
            self._say(hello(self._hub.identity, self.stage, host))
        except (zmq.ZMQError, PeerLost) as error:
            self._fail(f"cannot dial {self.address}: {error}")

    def _readable(self) -> None:
        if self.receive():
            self._unfinished(self.receive)

    def _monitor_readable(self) -> None:
        monitor = self._monitor
        if monitor is None:
            return
        for event, _ in read_monitor(monitor):
            while self.receive():
                pass  # what the peer said before it went counts; it is bounded by libzmq's mark
            if self._monitor is not monitor:
                return  # one of those messages ended it already
            if event & HANDSHAKE_FAILED:
                self._hub.counters.handshakes_failed += 1
                self._fail(f"{self.address} refused our key, or speaks with another kind of security")
            elif event == DISCONNECTED:
                self._fail("connection lost")
            else:
                self._fail(f"nobody listens at {self.address}")
            return

    def _answered(self, header: bytes, frames: Sequence[Buffer], nbytes: int) -> None:
        """Before Welcome: that or Refuse, nothing else."""
        hub = self._hub
        hub.counters.received_packets += 1
        hub.counters.received_bytes += len(header) + nbytes
        messages, bad = hub.decoder.decode(header, frames)
        for error in bad:
            hub.rejections.add(self.address, error)
        for message in messages:
            if isinstance(message, Refuse):
                hub.counters.received_messages += 1
                hub.counters.refused += 1
                self._fail(message.reason, refused=True)
            elif isinstance(message, Welcome) and self.connection is None:
                hub.counters.received_messages += 1
                self._welcomed(message)
            else:
                hub.rejections.add(self.address, f"{type(message).__name__} before Welcome")

    def _welcomed(self, said: Welcome) -> None:
        hub = self._hub
        if said.wire != WIRE_VERSION:
            self._fail(
                f"{said.peer} speaks wire version {said.wire}, this side {WIRE_VERSION}: upgrade the older one",
                refused=True,
            )
            return
        borrower = 0
        if said.transport == "shm":
            borrower = (hub.memory.reach(said.host) if hub.memory is not None and self._offer_memory else None) or 0
            if not borrower:
                self._offer_memory = False  # it maps ours, we cannot map its: dial again without
                self._close(0.0)
                self._again(_FIRST_RETRY_S)
                return
        self._retry_s = _FIRST_RETRY_S
        self._trouble = ""
        peer = Peer(name=said.peer, role=Role.STAGE, stage=self.stage, address=self.address)
        self.connection = Connection(peer, self, b"", FROM_LISTENER, borrower, hub.now)
        hub.open(self.connection)

    def _fail(self, reason: str, *, refused: bool = False) -> None:
        connection, self.connection = self.connection, None
        self._close(0.0)
        if connection is not None:
            self._hub.lose(connection, reason, refused=refused)
        elif reason != self._trouble:
            self._trouble = reason
            nobody = Peer(name="", role=Role.STAGE, stage=self.stage, address=self.address)
            self._hub.report(PeerDown(nobody, reason, refused))
        self._again(_LAST_RETRY_S if refused else self._retry_s)

    def _again(self, after_s: float) -> None:
        self._due = self._hub.now + after_s
        self._retry_s = min(self._retry_s * 2, _LAST_RETRY_S)

    def _say(self, message: Message) -> None:
        packet = Packet()
        self._hub.encoder.add(packet, message)
        assert self._socket is not None
        send_frames(self._socket, b"", packet.seal())
        self.touched = True

    def _close(self, linger_s: float) -> None:
        socket, monitor = self._socket, self._monitor
        if socket is None or monitor is None:
            return
        self._socket = self._monitor = None
        self._waiter.remove(socket.fileno())
        self._waiter.remove(monitor.fileno())
        close_with_monitor(socket, monitor, linger_s)
