"""Where a packet ends on a stream of bytes. Pure.

    frame 0's bytes u32, number of buffer frames u32, bytes of each buffer frame u64 …, frame 0, buffer frames …

Whoever writes something else cannot be understood again, and is hung up on.
"""

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

from omnipipe.wire.codec import MAX_FRAMES, MAX_HEADER_BYTES
from omnipipe.wire.errors import BadMessage
from omnipipe.wire.tensors import Buffer

__all__ = ["Assembly", "RawPacket", "Splitter", "preamble"]

_HEAD: Final = struct.Struct("<II")
_LARGE: Final = 4 << 10
"""A packet that lacks more than this is read straight into buffers of its own."""
_NO_FRAMES: Final[tuple[Buffer, ...]] = ()

RawPacket = tuple[Buffer, Sequence[Buffer], int]
"""Frame 0, the buffer frames, and the bytes of these."""


def preamble(frames: Sequence[Buffer]) -> bytes:
    """What goes before the frames of a packet."""
    if len(frames) == 1:
        return _HEAD.pack(len(frames[0]), 0)
    sizes = [frame.nbytes if isinstance(frame, memoryview) else len(frame) for frame in frames[1:]]
    return _HEAD.pack(len(frames[0]), len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes)


class Assembly:
    """A large packet on its way: its frames have their memory, `missing` is what is still to be filled, in order."""

    def __init__(self, header: int, sizes: Sequence[int], start: memoryview) -> None:
        """`start` is what is here of it."""
        self._frames = [bytearray(header), *(bytearray(size) for size in sizes)]
        self._nbytes = sum(sizes)
        self.missing: list[memoryview] = [memoryview(frame) for frame in self._frames if frame]
        while start:
            first = self.missing[0]
            here = min(len(first), len(start))
            first[:here] = start[:here]
            start = start[here:]
            self.filled(here)

    def filled(self, nbytes: int) -> None:
        """So much of `missing` is here now."""
        while nbytes:
            first = self.missing[0]
            if nbytes < len(first):
                self.missing[0] = first[nbytes:]
                return
            nbytes -= len(first)
            del self.missing[0]

    def packet(self) -> RawPacket:
        return self._frames[0], self._frames[1:], self._nbytes


class Splitter:
    """Bytes to packets. What is left over is kept: the beginning of a packet in here, of a large one as `assembly`,
    which the caller fills and takes away. After `bad` nothing can be understood any more."""

    def __init__(self, max_packet_bytes: int) -> None:
        self.max_packet_bytes = max_packet_bytes
        self.assembly: Assembly | None = None
        self.bad: BadMessage | None = None
        self._rest = b""

    def split(self, data: bytes) -> list[RawPacket]:
        """The packets that end in `data`."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        packets: list[RawPacket] = []
        at, here = 0, len(data)
        while here - at >= _HEAD.size:
            header, count = _HEAD.unpack_from(data, at)
            begin = at + _HEAD.size
            end = begin + header
            if not count and end <= here:  # almost all
                packets.append((data[begin:end], _NO_FRAMES, 0))
                at = end
                continue
            try:
                sizes = self._sizes(data, begin, header, count)
            except BadMessage as bad:
                self.bad = bad
                return packets
            if sizes is None:
                break
            begin += 8 * count
            end = begin + header + sum(sizes)
            if end <= here:
                packets.append(_cut(data, begin, header, sizes))
                at = end
            elif end - here > _LARGE:
                self.assembly = Assembly(header, sizes, memoryview(data)[begin:])
                return packets
            else:
                break
        self._rest = data[at:]
        return packets

    def _sizes(self, data: bytes, at: int, header: int, count: int) -> Sequence[int] | None:
        """Of the buffer frames. None: they are not all here. Raises BadMessage for a packet larger than any of ours."""
        if header > MAX_HEADER_BYTES or count > MAX_FRAMES:
            raise BadMessage(f"a packet of {header} bytes before {count} buffers")
        if len(data) - at < 8 * count:
            return None
        sizes: tuple[int, ...] = struct.unpack_from(f"<{count}Q", data, at)
        if header + sum(sizes) > self.max_packet_bytes:
            raise BadMessage(f"a packet of {header + sum(sizes)} bytes; {self.max_packet_bytes} is the most")
        return sizes


def _cut(data: bytes, begin: int, header: int, sizes: Sequence[int]) -> RawPacket:
    """Frames are copied: they are aligned then, and do not keep what else came."""
    edges = list(accumulate(sizes, initial=begin + header))
    frames = [data[start:end] for start, end in pairwise(edges)]
    return data[begin : edges[0]], frames, edges[-1] - edges[0]
