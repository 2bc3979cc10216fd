"""One connected Unix socket: packets in, packets out, never blocking. Must not know what a packet says."""

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Final

from omnipipe.wire.errors import PeerLost
from omnipipe.wire.ipc.framing import Splitter, preamble
from omnipipe.wire.tensors import Buffer
from omnipipe.wire.waiter import Waiter

__all__ = ["OnPacket", "Stream"]

OnPacket = Callable[[Buffer, Sequence[Buffer], int], None]
"""(frame 0, buffer frames, bytes of these)"""

_CHUNK: Final = 64 << 10
_CHUNKS: Final = 16
"""Read before others get their turn."""
_BUFFER_BYTES: Final = 1 << 20
"""What the kernel may hold for us, where it grants so much: a large packet then takes fewer turns."""
_MAX_PARTS: Final = 512
"""The kernel takes 1,024 in one call."""
_SMALL_BYTES: Final = 16 << 10
"""Joined to its preamble, a packet leaves in the cheaper of the two calls."""
_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET})


class Stream:
    """`on_packet` may be exchanged at any time, and may close the stream."""

    def __init__(
        self,
        connected: socket.socket,
        waiter: Waiter,
        max_packet_bytes: int,
        on_packet: OnPacket,
        on_end: Callable[[str, bool], None],
        on_writable: Callable[[], None],
    ) -> None:
        """`on_end` says why nothing more comes, and whether that is because what came made no sense: after everything
        that came, and not after `close`. `on_writable`: a `send` that did not go may be tried again."""
        connected.setblocking(False)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self.on_packet = on_packet
        self._on_end = on_end
        self._on_writable = on_writable
        self._waiter = waiter
        self._socket: socket.socket | None = connected
        self._fd = connected.fileno()
        self._splitter = Splitter(max_packet_bytes)
        self._unsent: list[memoryview] = []
        """The rest of a packet that the kernel had no room for."""
        self._waits = False
        """For room to write."""
        waiter.add(self._fd, self._ready)

    def allow(self, max_packet_bytes: int) -> None:
        """From the next packet on."""
        self._splitter.max_packet_bytes = max_packet_bytes

    def send(self, frames: Sequence[Buffer]) -> bool:
        """One packet, whole or not at all. False: not now. Raises PeerLost."""
        if self._socket is None:
            raise PeerLost("the connection is closed")
        if self._unsent:
            return False
        head = preamble(frames)
        parts: list[Buffer] = [head, *frames]
        try:
            if len(frames) == 1 and len(frames[0]) <= _SMALL_BYTES:
                parts = [head + frames[0]]
                sent = self._socket.send(parts[0])
            else:
                sent = self._socket.sendmsg(parts[:_MAX_PARTS])
        except BlockingIOError:
            self._wait_for_room(True)
            return False
        except OSError as error:
            if error.errno in _GONE:
                return True  # lost on its way; what the peer said before it went is read first, then its end
            raise PeerLost(f"cannot send: {error.strerror}") from error
        self._keep(parts, sent)
        return True

    def close(self, linger_s: float) -> None:
        """What was sent may still leave within `linger_s`."""
        connected, self._socket = self._socket, None
        if connected is None:
            return
        self._waiter.remove(self._fd)
        if self._unsent and linger_s > 0:
            connected.settimeout(linger_s)
            try:
                for part in self._unsent:
                    connected.sendall(part)
            except OSError:
                pass  # it was not read in time, or will never be
        self._unsent.clear()
        connected.close()

    # Details

    def _keep(self, parts: Sequence[Buffer], sent: int) -> None:
        """For later, what of these was not sent."""
        for part in parts:
            size = part.nbytes if isinstance(part, memoryview) else len(part)
            if sent >= size:
                sent -= size
                continue
            view = memoryview(part)
            self._unsent.append((view if view.nbytes == len(view) else view.cast("B"))[sent:])
            sent = 0
        if self._unsent:
            self._wait_for_room(True)

    def _wait_for_room(self, waits: bool) -> None:
        if waits is not self._waits:
            self._waits = waits
            self._waiter.watch_room(self._fd, waits)

    def _ready(self) -> None:
        if self._waits:
            self._push()
        for _ in range(_CHUNKS):
            if not self._receive():
                return

    def _push(self) -> None:
        connected = self._socket
        assert connected is not None
        while self._unsent:
            try:
                sent = connected.sendmsg(self._unsent[:_MAX_PARTS])
            except BlockingIOError:
                return
            except OSError:
                self._unsent.clear()  # as in `send`
                break
            parts, self._unsent = self._unsent, []
            self._keep(parts, sent)
        self._wait_for_room(False)
        self._on_writable()

    def _receive(self) -> bool:
        """Whether there may be more at once."""
        connected = self._socket
        if connected is None:
            return False
        assembly = self._splitter.assembly
        try:
            if assembly is not None:
                size = connected.recvmsg_into(assembly.missing[:_MAX_PARTS])[0]
            else:
                data = connected.recv(_CHUNK)
                size = len(data)
        except BlockingIOError:
            return False
        except OSError:
            size = 0
        if not size:
            self._end("connection lost", False)
            return False
        if assembly is None:
            for packet in self._splitter.split(data):
                self.on_packet(*packet)
                if self._socket is None:
                    return False
            if self._splitter.bad is not None:
                self._end(str(self._splitter.bad), True)
                return False
            return size == _CHUNK
        assembly.filled(size)
        if not assembly.missing:
            self._splitter.assembly = None
            self.on_packet(*assembly.packet())
        return True

    def _end(self, reason: str, broken: bool) -> None:
        self.close(0.0)
        self._on_end(reason, broken)
