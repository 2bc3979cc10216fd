"""`lines.Sockets` over libzmq: its context, and what its edge-triggered descriptors ask of a loop."""

from collections.abc import Callable
from typing import Final

import zmq

from omnipipe.wire.hub import Hub
from omnipipe.wire.keys import CurveKeys
from omnipipe.wire.lines import Caller
from omnipipe.wire.tcp.curve import Zap
from omnipipe.wire.tcp.line import TcpLine
from omnipipe.wire.tcp.listener import TcpListener
from omnipipe.wire.waiter import Waiter

__all__ = ["TcpSockets"]


class TcpSockets:
    def __init__(self, hub: Hub, waiter: Waiter, curve: CurveKeys | None) -> None:
        self._hub = hub
        self._waiter = waiter
        self._curve = curve
        self._context: Final = zmq.Context()
        self._lines: set[TcpLine] = set()
        self._listener: TcpListener | None = None
        self._zap: Zap | None = None
        self._unfinished: list[Callable[[], bool]] = []

    @property
    def unfinished(self) -> bool:
        """There is more to read that nothing will wake us for: `go_on`."""
        return bool(self._unfinished)

    def listen(self, address: str) -> TcpListener:
        if self._curve is not None:
            self._zap = Zap(self._context, self._curve)
            self._waiter.add(self._zap.socket.fileno(), self._zap.receive)
        self._listener = TcpListener(
            self._hub, self._context, self._waiter, address, self._curve, self._unfinished.append
        )
        return self._listener

    def call(self, address: str, caller: Caller) -> TcpLine:
        line = TcpLine(
            self._hub,
            self._context,
            self._waiter,
            address,
            self._curve,
            caller,
            self._unfinished.append,
            self._lines.discard,
        )
        self._lines.add(line)
        return line

    def settle(self) -> None:
        """Looks again at every socket that was sent on: a send may swallow a wake-up."""
        if self._listener is not None and self._listener.touched:
            self._listener.look_again()
        for line in [line for line in self._lines if line.touched]:
            line.look_again()

    def go_on(self) -> None:
        """Reads on where a turn ended before everything was read."""
        unfinished = self._unfinished[:]
        self._unfinished.clear()
        for receive in unfinished:
            if receive():
                self._unfinished.append(receive)

    def close(self) -> None:
        """After the door and the lines."""
        if self._zap is not None:
            self._waiter.remove(self._zap.socket.fileno())
            self._zap.close()
        self._context.term()  # bounded: every socket is closed, with a linger
