"""A DEALER that dials one address once."""

from collections.abc import Callable
from typing import Final

import zmq

from omnipipe.wire.errors import PeerLost
from omnipipe.wire.hub import Hub
from omnipipe.wire.keys import CurveKeys
from omnipipe.wire.lines import Caller
from omnipipe.wire.tcp.raw import (
    DISCONNECTED,
    HANDSHAKE_FAILED,
    NOW,
    Context,
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

__all__ = ["TcpLine"]

_BUDGET: Final = 1000
"""Packets read before others get their turn."""


class TcpLine:
    """`lines.Line`."""

    def __init__(
        self,
        hub: Hub,
        context: Context,
        waiter: Waiter,
        address: str,
        keys: CurveKeys | None,
        caller: Caller,
        unfinished: Callable[[Callable[[], bool]], None],
        closed: Callable[["TcpLine"], None],
    ) -> None:
        """`unfinished` takes `receive` when it stopped before the end."""
        self._hub = hub
        self._waiter = waiter
        self._address = address
        self._caller = caller
        self._unfinished = unfinished
        self._on_closed = closed
        self._open = True
        self.touched = False
        """Sent on since the last look for something to read."""
        self._socket = dialler_socket(context, address, hub.transport.max_message_bytes, keys)
        self._monitor = open_monitor(self._socket)
        waiter.add(self._socket.fileno(), self._readable)
        waiter.add(self._monitor.fileno(), self._monitor_readable)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close(0.0)
            raise PeerLost(f"cannot dial {address}: {error.strerror}") from error

    def send(self, frames: list[Buffer]) -> bool:
        self.touched = True
        return send_frames(self._socket, b"", frames)

    def close(self, linger_s: float) -> None:
        if self._open:
            self._open = False
            self._waiter.remove(self._socket.fileno())
            self._waiter.remove(self._monitor.fileno())
            close_with_monitor(self._socket, self._monitor, linger_s)
            self._on_closed(self)

    def look_again(self) -> None:
        """After sends, which may have swallowed the wake-up."""
        self.touched = False
        if self._open and readable(self._socket):
            self._readable()

    def receive(self) -> bool:
        """Reads what is there; True when its turn ended before that."""
        for _ in range(_BUDGET):
            if not self._open:
                return False
            try:
                header = self._socket.recv(NOW)
            except zmq.Again:  # a wake-up for something else
                return False
            frames, nbytes = read_rest(self._socket)
            self._caller.packet(header, frames, nbytes)
            if self._is_read():
                return False
        return True

    def _is_read(self) -> bool:
        return not self._open or not readable(self._socket)

    def _readable(self) -> None:
        if self.receive():
            self._unfinished(self.receive)

    def _monitor_readable(self) -> None:
        for event, _ in read_monitor(self._monitor):
            while self.receive():
                pass  # what the peer said before it went counts; it is bounded by libzmq's mark
            if not self._open:
                return  # one of those messages ended it already
            if event & HANDSHAKE_FAILED:
                self._hub.counters.handshakes_failed += 1
                self._caller.ended(f"{self._address} refused our key, or speaks with another kind of security", False)
            elif event == DISCONNECTED:
                self._caller.ended("connection lost", False)
            else:
                self._caller.ended(f"nobody listens at {self._address}", False)
            return
