"""The side that is dialled: one ROUTER, all its connections, who is let in."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import zmq

from omnipipe.wire.addresses import ipc_path, is_tcp, prepare_ipc_folder
from omnipipe.wire.codec import Packet
from omnipipe.wire.connection import Connection
from omnipipe.wire.curve import CurveKeys
from omnipipe.wire.errors import PeerLost, WireError
from omnipipe.wire.handshake import FROM_GATEWAY, FROM_UPSTREAM, refusal
from omnipipe.wire.hub import Hub
from omnipipe.wire.messages import WIRE_VERSION, Hello, Message, Refuse, Welcome
from omnipipe.wire.port import Peer, Role
from omnipipe.wire.sockets import (
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

__all__ = ["Listener"]

_BUDGET: Final = 1000
"""Packets read before others get their turn."""
_MAX_CONNECTIONS: Final = 4096


class Listener:
    """libzmq cannot close one connection of a ROUTER: one that is refused or given up stays until the peer goes, and
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
        self._waiter = waiter
        self._unfinished = unfinished
        self._by_route: dict[bytes, Connection] = {}
        self._ghosts: dict[bytes, bool] = {}
        """Route -> whether it had been let in before (what it still sends is late, not wrong)."""
        self._routes: dict[int, bytes] = {}
        """Descriptor (as the monitor and message properties call a connection) -> route."""
        self._inline_only: set[str] = set()
        """Names of peers whose memory could not be mapped although it could at Hello."""
        self._ended: list[bytes] = []
        self.touched = False
        """Sent on since the last look for something to read."""
        path = ipc_path(address)
        if path is not None:
            prepare_ipc_folder(path)
        self._socket = listener_socket(
            context, address, hub.transport.max_message_bytes, keys if is_tcp(address) else None
        )
        self._monitor = open_monitor(self._socket)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            close_with_monitor(self._socket, self._monitor)
            raise WireError(f"cannot listen on {address}: {error.strerror}") from error
        self._file: tuple[Path, int] | None = None
        if path is not None:
            path.chmod(0o600)
            self._file = path, path.stat().st_ino
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
            self._refuse(connection.route, "this connection was given up (silent or stalled): dial again")

    def avoid_memory(self, connection: Connection) -> None:
        self._inline_only.add(connection.peer.name)

    def close(self, linger_s: float) -> None:
        self._remove_file()
        self._waiter.remove(self._socket.fileno())
        self._waiter.remove(self._monitor.fileno())
        close_with_monitor(self._socket, self._monitor, linger_s)

    def _remove_file(self) -> None:
        """libzmq leaves it. Not when a successor listens there already."""
        if self._file is None:
            return
        path, inode = self._file
        try:
            if path.stat().st_ino == inode:
                path.unlink()
        except FileNotFoundError:
            pass

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
        hub = self._hub
        hub.counters.received_packets += 1
        hub.counters.received_bytes += len(header) + nbytes
        self._read_monitor()  # a descriptor may have been another connection's until just now
        was_in = self._ghosts.get(route)
        if was_in:
            hub.counters.late += 1
            return
        messages, bad = hub.decoder.decode(header, frames)
        for error in bad:
            hub.rejections.add("a stranger", error)
        for message in messages:
            if isinstance(message, Hello) and route not in self._by_route and was_in is None:
                self._greet(route, fd, message)
            else:
                hub.rejections.add("a stranger", f"{type(message).__name__} on a connection without Hello")

    def _greet(self, route: bytes, fd: int, said: Hello) -> None:
        hub = self._hub
        hub.counters.received_messages += 1
        if fd >= 0:
            self._routes[fd] = route
        reason = refusal(said, hub.identity)
        if reason is None and len(self._by_route) >= _MAX_CONNECTIONS:
            reason = f"{hub.identity.peer} has {_MAX_CONNECTIONS} connections already"
        if reason is not None:
            hub.counters.refused += 1
            self._ghost(route, was_in=False)
            self._refuse(route, reason)
            return
        role = Role(said.role)
        offered = hub.memory is not None and said.host and said.peer not in self._inline_only
        borrower = hub.memory.reach(said.host) if hub.memory is not None and offered else None
        connection = Connection(
            peer=Peer(name=said.peer, role=role, stage=said.own_stage, address=""),
            link=self,
            route=route,
            sayable=FROM_GATEWAY if role is Role.GATEWAY else FROM_UPSTREAM,
            borrower=borrower or 0,
            now=hub.now,
        )
        self._by_route[route] = connection
        host = hub.memory.host if hub.memory is not None and borrower else ""
        self._say(route, Welcome(WIRE_VERSION, hub.identity.peer, "shm" if borrower else "inline", host))
        hub.open(connection)
        hub.beat(connection)

    def _refuse(self, route: bytes, reason: str) -> None:
        self._say(route, Refuse(reason))

    def _say(self, route: bytes, message: Message) -> None:
        packet = Packet()
        self._hub.encoder.add(packet, message)
        try:
            send_frames(self._socket, route, packet.seal())
        except PeerLost:
            pass  # gone already; the monitor says so
        self.touched = True

    def _ghost(self, route: bytes, *, was_in: bool) -> None:
        if len(self._ghosts) >= _MAX_CONNECTIONS:
            del self._ghosts[next(iter(self._ghosts))]
        self._ghosts[route] = was_in
