"""The other end of an ipc:// address, in the hands of somebody who says what they like: right frames, wrong words."""

import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

__all__ = ["RawPeer", "listening"]

PATIENCE_S = 120.0


class RawPeer:
    """Frames are written by hand, as wire/ipc/framing.py says that they are."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.settimeout(PATIENCE_S)
        self._read = b""

    @classmethod
    def dial(cls, address: str) -> Self:
        dialler = socket.socket(socket.AF_UNIX)
        dialler.settimeout(PATIENCE_S)
        dialler.connect(address.removeprefix("ipc://"))
        return cls(dialler)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, frames: Sequence[bytes], while_full: Callable[[], None] | None = None) -> None:
        """`while_full` lets the reader read, when it lives in our own thread."""
        header, *buffers = frames
        head = struct.pack("<II", len(header), len(buffers)) + struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
        self.send_bytes(head + header + b"".join(buffers), while_full)

    def send_bytes(self, data: bytes, while_full: Callable[[], None] | None = None) -> None:
        if while_full is None:
            self._socket.sendall(data)
            return
        while data:
            if select.select([], [self._socket], [], 0.0)[1]:
                data = data[self._socket.send(data, socket.MSG_DONTWAIT) :]
            else:
                while_full()

    def receive(self) -> list[bytes]:
        """The next packet. Raises EOFError when there is none any more."""
        header, count = struct.unpack("<II", self._exactly(8))
        sizes = struct.unpack(f"<{count}Q", self._exactly(8 * count))
        return [self._exactly(size) for size in (header, *sizes)]

    def has_news(self, within_s: float) -> bool:
        return bool(self._read) or bool(select.select([self._socket], [], [], within_s)[0])

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            more = self._socket.recv(1 << 16)
            if not more:
                raise EOFError("the other side hung up")
            self._read += more
        taken, self._read = self._read[:size], self._read[size:]
        return taken


@contextmanager
def listening(address: str) -> Iterator[Callable[[], RawPeer]]:
    """What it gives takes in the next who dials."""
    path = Path(address.removeprefix("ipc://"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE_S)
        listener.bind(str(path))
        listener.listen()
        try:
            yield lambda: RawPeer(listener.accept()[0])
        finally:
            path.unlink()
