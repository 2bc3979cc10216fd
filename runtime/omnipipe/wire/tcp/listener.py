"""One ROUTER and all its connections."""

from collections.abc import Callable
from typing import Final

import zmq

from omnipipe.wire.connection import Connection
from omnipipe.wire.errors import PeerLost, WireError
from omnipipe.wire.greeting import MAX_CONNECTIONS, Greeter
from omnipipe.wire.hub import Hub
from omnipipe.wire.keys import CurveKeys
from omnipipe.wire.messages import Hello
from omnipipe.wire.tcp.raw import (
    DISCONNECTED,
    HANDSHAKE_FAILED,
    NOW,
    Context,
    bound_address,
    close_with_monitor,
    descriptor_of,
    listener_socket,
    open_monitor,
    read_monitor,
    read_rest,
    readable,
    send_frames,
)
from omnipipe.wire.tensors import Buffer
from omnipipe.wire.waiter import Waiter

__all__ = ["TcpListener"]

_BUDGET: Final = 1000
"""Packets read before others get their turn."""


class TcpListener:
    """`lines.Door` and, for all its connections, `connection.Link`.

    libzmq cannot close one connection of a ROUTER: one that is refused or given up stays until the peer goes, and
    is ignored (`_ghosts`)."""

    def __init__(
        self,
        hub: Hub,
        context: Context,
        waiter: Waiter,
        address: str,
        keys: CurveKeys | None,
        unfinished: Callable[[Callable[[], bool]], None],
    ) -> None:
        """`unfinished` takes `receive` when it stopped before the end."""
        self._hub = hub
        self._greeter = Greeter(hub)
        self._waiter = waiter
        self._unfinished = unfinished
        self._by_route: dict[bytes, Connection] = {}
        self._ghosts: dict[bytes, bool] = {}
        """Route -> whether it had been let in before (what it still sends is late, not wrong)."""
        self._routes: dict[int, bytes] = {}
        """Descriptor (as the monitor and message properties call a connection) -> route."""
        self._ended: list[bytes] = []
        self.touched = False
        """Sent on since the last look for something to read."""
        self._socket = listener_socket(context, address, hub.transport.max_message_bytes, keys)
        self._monitor = open_monitor(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            close_with_monitor(self._socket, self._monitor)
            raise WireError(f"cannot listen on {address}: {error.strerror}") from error
        self.address: Final = bound_address(self._socket)
        waiter.add(self._socket.fileno(), self._readable)
        waiter.add(self._monitor.fileno(), self._monitor_readable)

    def look_again(self) -> None:
        """After sends, which may have swallowed the wake-up."""
        self.touched = False
        if readable(self._socket):
            self._readable()

    def receive(self) -> bool:
        """Reads what is there; True when its turn ended before that."""
        socket, by_route, hub = self._socket, self._by_route, self._hub
        receive = socket.recv
        for _ in range(_BUDGET):
            try:
                route = receive(NOW)
            except zmq.Again:  # a wake-up for something else
                break
            connection = by_route.get(route)
            if connection is None:
                self._stranger(route)
            else:
                header = receive(NOW)
                frames, nbytes = read_rest(socket)
                hub.arrived(connection, header, frames, nbytes)
            if not readable(socket):
                break
        else:
            return True
        if self._ended:
            self._finish_ended()
        return False

    def transmit(self, connection: Connection, frames: list[Buffer]) -> bool:
        self.touched = True
        return send_frames(self._socket, connection.route, frames)

    def part(self, connection: Connection) -> None:
        if self._by_route.pop(connection.route, None) is not None:
            self._ghost(connection.route, was_in=True)
            self._say(connection.route, self._greeter.given_up())

    def avoid_memory(self, connection: Connection) -> None:
        self._greeter.avoid_memory(connection.peer.name)

    def tick(self) -> None:
        """Nothing is due: libzmq hangs up on who does not speak its protocol; who speaks it and says no Hello it could
        not be told to hang up on."""

    def close(self, linger_s: float) -> None:
        self._waiter.remove(self._socket.fileno())
        self._waiter.remove(self._monitor.fileno())
        close_with_monitor(self._socket, self._monitor, linger_s)

    def _readable(self) -> None:
        if self.receive():
            self._unfinished(self.receive)

    def _monitor_readable(self) -> None:
        self._read_monitor()
        self._readable()  # what a peer said before it went counts

    def _read_monitor(self) -> None:
        for event, fd in read_monitor(self._monitor):
            if event == DISCONNECTED:
                route = self._routes.pop(fd, None)
                if route is not None:
                    self._ended.append(route)
            elif event & HANDSHAKE_FAILED:
                self._hub.counters.handshakes_failed += 1

    def _finish_ended(self) -> None:
        while self._ended:
            route = self._ended.pop()
            self._ghosts.pop(route, None)
            connection = self._by_route.pop(route, None)
            if connection is not None:
                self._hub.lose(connection, "connection lost")

    def _stranger(self, route: bytes) -> None:
        """A packet from a connection that has not been let in: a Hello, or nothing we read."""
        first = self._socket.recv(NOW, copy=False)
        frames, nbytes = read_rest(self._socket)
        header, fd = first.bytes, descriptor_of(first)
        self._read_monitor()  # a descriptor may have been another connection's until just now
        was_in = self._ghosts.get(route)
        if was_in:
            self._hub.counters.late += 1
            return
        said = self._greeter.hello(header, frames, nbytes)
        if said is None:
            return
        if was_in is None:
            self._greet(route, fd, said)
        else:
            self._hub.rejections.add("a stranger", "Hello after a refusal")

    def _greet(self, route: bytes, fd: int, said: Hello) -> None:
        hub = self._hub
        if fd >= 0:
            self._routes[fd] = route
        reason = self._greeter.refusal(said, len(self._by_route))
        if reason is not None:
            self._ghost(route, was_in=False)
            self._say(route, self._greeter.refused(reason))
            return
        connection, answer = self._greeter.welcome(said, self, route)
        self._by_route[route] = connection
        self._say(route, answer)
        hub.open(connection)
        hub.beat(connection)

    def _say(self, route: bytes, frames: list[Buffer]) -> None:
        try:
            send_frames(self._socket, route, frames)
        except PeerLost:
            pass  # gone already; the monitor says so
        self.touched = True

    def _ghost(self, route: bytes, *, was_in: bool) -> None:
        if len(self._ghosts) >= MAX_CONNECTIONS:
            del self._ghosts[next(iter(self._ghosts))]
        self._ghosts[route] = was_in
