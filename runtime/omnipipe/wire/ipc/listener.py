"""The socket that is dialled, and everybody who came in by it."""

import errno
import logging
import socket
import time
from collections.abc import Sequence
from typing import Final

from omnipipe.wire.addresses import ipc_path, prepare_ipc_folder
from omnipipe.wire.connection import Connection
from omnipipe.wire.errors import PeerLost, WireError
from omnipipe.wire.greeting import MAX_CONNECTIONS, Greeter
from omnipipe.wire.hub import Hub
from omnipipe.wire.ipc.stream import Stream
from omnipipe.wire.tensors import Buffer
from omnipipe.wire.waiter import Waiter

__all__ = ["IpcListener"]

log = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_BUDGET: Final = 64
"""Let in before others get their turn."""
_HELLO_BYTES: Final = 64 << 10
"""What a stranger may send at once; a Hello is far smaller."""
_HELLO_S: Final = 10.0
"""From connecting to Hello."""
_PAUSE_S: Final = 0.5
"""Without descriptors nobody can be let in; one may become free."""


class IpcListener:
    """`lines.Door`."""

    def __init__(self, hub: Hub, waiter: Waiter, address: str, max_packet_bytes: int) -> None:
        self.address: Final = address
        self.hub: Final = hub
        self.greeter: Final = Greeter(hub)
        self.max_packet_bytes: Final = max_packet_bytes
        self._waiter = waiter
        self._guests: set[Guest] = set()
        self._strangers: dict[Guest, float] = {}
        """Those who have not said Hello -> until when they may."""
        self._paused_until = 0.0
        path = ipc_path(address)
        assert path is not None
        prepare_ipc_folder(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path.unlink(missing_ok=True)  # of one that was killed, or is on its way out
            self._socket.bind(str(path))
            path.chmod(0o600)
            self._file = path, path.stat().st_ino
            self._socket.listen(_BACKLOG)
        except OSError as error:
            self._socket.close()
            raise WireError(f"cannot listen on {address}: {error.strerror}") from error
        self._socket.setblocking(False)
        waiter.add(self._socket.fileno(), self._let_in)

    def tick(self) -> None:
        now = self.hub.now
        if self._paused_until and now >= self._paused_until:
            self._paused_until = 0.0
            self._waiter.add(self._socket.fileno(), self._let_in)
        for guest in [guest for guest, until in self._strangers.items() if now >= until]:
            guest.leave(0.0)

    def close(self, linger_s: float) -> None:
        self._remove_file()
        end = time.monotonic() + linger_s
        for guest in list(self._guests):
            guest.leave(max(0.0, end - time.monotonic()))
        if not self._paused_until:
            self._waiter.remove(self._socket.fileno())
        self._socket.close()

    # For guests

    @property
    def connected(self) -> int:
        return len(self._guests) - len(self._strangers)

    def introduced(self, guest: "Guest") -> None:
        del self._strangers[guest]

    def left(self, guest: "Guest") -> None:
        self._guests.discard(guest)
        self._strangers.pop(guest, None)

    # Details

    def _let_in(self) -> None:
        for _ in range(_BUDGET):
            try:
                connected, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.ECONNABORTED, errno.EINTR):
                    continue
                log.warning("%s: cannot let anybody in: %s", self.address, error.strerror)
                self._waiter.remove(self._socket.fileno())
                self._paused_until = self.hub.now + _PAUSE_S
                return
            if len(self._guests) >= 2 * MAX_CONNECTIONS:
                connected.close()
                continue
            guest = Guest(self, connected, self._waiter)
            self._guests.add(guest)
            self._strangers[guest] = self.hub.now + _HELLO_S

    def _remove_file(self) -> None:
        """Not when a successor listens there already."""
        path, inode = self._file
        try:
            if path.stat().st_ino == inode:
                path.unlink()
        except FileNotFoundError:
            pass


class Guest:
    """One who came in. `connection.Link`."""

    def __init__(self, host: IpcListener, connected: socket.socket, waiter: Waiter) -> None:
        self._host = host
        self._connection: Connection | None = None
        self._stream = Stream(connected, waiter, _HELLO_BYTES, self._packet, self._ended, self._writable)

    def leave(self, linger_s: float) -> None:
        self._host.left(self)
        self._stream.close(linger_s)

    def transmit(self, connection: Connection, frames: list[Buffer]) -> bool:
        return self._stream.send(frames)

    def part(self, connection: Connection) -> None:
        self._say(self._host.greeter.given_up())
        self.leave(0.0)

    def avoid_memory(self, connection: Connection) -> None:
        self._host.greeter.avoid_memory(connection.peer.name)

    def _packet(self, header: Buffer, frames: Sequence[Buffer], nbytes: int) -> None:
        if self._connection is not None:
            self._host.hub.arrived(self._connection, header, frames, nbytes)
            return
        host = self._host
        said = host.greeter.hello(header, frames, nbytes)
        if said is None:
            return
        reason = host.greeter.refusal(said, host.connected)
        if reason is not None:
            self._say(host.greeter.refused(reason))
            self.leave(0.0)
            return
        self._connection, answer = host.greeter.welcome(said, self, b"")
        host.introduced(self)
        self._stream.allow(host.max_packet_bytes)
        self._say(answer)
        host.hub.open(self._connection)
        host.hub.beat(self._connection)

    def _ended(self, reason: str, broken: bool) -> None:
        self._host.left(self)
        if broken:
            self._host.hub.rejections.add(self._connection.peer.name if self._connection else "a stranger", reason)
        if self._connection is not None:
            self._host.hub.lose(self._connection, reason)

    def _writable(self) -> None:
        if self._connection is not None:
            self._host.hub.resume(self._connection)

    def _say(self, frames: list[Buffer]) -> None:
        try:
            self._stream.send(frames)
        except PeerLost:
            pass  # gone already, which is said when all it sent has been read
