"""Makes hostile packets out of valid ones: cut, flipped, spliced, reordered, retyped, with frames lost or swapped.

Deterministic for a seed. `Packets.valid` are what peers of ours really send; `next` is one of them, mistreated.
"""

import random
import struct
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from omnipipe.wire.codec import Packet, PacketEncoder, Share
from omnipipe.wire.handshake import hello
from omnipipe.wire.messages import (
    Ack,
    Beat,
    Cancel,
    Chunk,
    Failed,
    Fed,
    Message,
    Output,
    Payload,
    Refuse,
    Submit,
    Welcome,
)
from omnipipe.wire.port import Identity, Role
from omnipipe.wire.value import Tensor

__all__ = ["Packets", "RawPacket"]

RawPacket = list[bytes]
"""Frame 0 and the buffers."""

_NASTY: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, 2**64 - 1, -(2**63), 1e308, float("nan"), float("inf"), "", "\0", "é" * 300, b"", b"\xff",
    [], {}, {"": {}}, [[[[]]]], Ext(1, b""), Ext(2, b"\0\0"), Ext(3, b"\1\0"), Ext(-1, b"\0\0\0\0"), Ext(100, b"x"),
    Ext(1, struct.pack("<BBBqq", 1, 2, 0, 2**62, 2**62) + b"\0\0"), Ext(1, struct.pack("<BBBq", 8, 1, 1, -1)),
    Ext(1, b"\1\0\2" + bytes(38)),
)  # fmt: skip


class Packets:
    def __init__(self, seed: int, *, share: Share | None = None, borrower: int = 0) -> None:
        self._random = random.Random(seed)
        self._encoder = PacketEncoder(max_message_bytes=64 << 20, inline_limit_bytes=2 << 10, share=share)
        self._borrower = borrower
        self.valid = [self._packet(messages) for messages in _conversations()]
        self._trees: list[list[Any]] = [msgspec.msgpack.decode(packet[0], ext_hook=_ext) for packet in self.valid]
        self._ways = (
            self._flip, self._flip, self._cut, self._insert, self._splice, self._retype, self._retype, self._shuffle,
            self._frames, self._extension, self._noise,
        )  # fmt: skip

    def next(self) -> RawPacket:
        which = self._random.randrange(len(self.valid))
        return self._random.choice(self._ways)(which)

    def _packet(self, messages: list[Message]) -> RawPacket:
        packet = Packet()
        for message in messages:
            self._encoder.add(packet, message, self._borrower)
        return [bytes(frame) for frame in packet.seal()]

    def _flip(self, which: int) -> RawPacket:
        header, *frames = self.valid[which]
        changed = bytearray(header)
        for _ in range(self._random.choice((1, 1, 1, 2, 8))):
            changed[self._random.randrange(len(changed))] = self._random.getrandbits(8)
        return [bytes(changed), *frames]

    def _cut(self, which: int) -> RawPacket:
        header, *frames = self.valid[which]
        return [header[: self._random.randrange(len(header))], *frames]

    def _insert(self, which: int) -> RawPacket:
        header, *frames = self.valid[which]
        at = self._random.randrange(len(header) + 1)
        return [header[:at] + self._random.randbytes(self._random.randrange(1, 9)) + header[at:], *frames]

    def _splice(self, which: int) -> RawPacket:
        header, *frames = self.valid[which]
        other = self._random.choice(self.valid)[0]
        return [header[: self._random.randrange(len(header))] + other[self._random.randrange(len(other)) :], *frames]

    def _noise(self, which: int) -> RawPacket:
        return [self._random.randbytes(self._random.randrange(64)), *self.valid[which][1:]]

    def _frames(self, which: int) -> RawPacket:
        """Right header, wrong buffers."""
        header, *frames = self.valid[which]
        match self._random.randrange(4):
            case 0:
                frames = frames[:-1]
            case 1:
                frames = frames[::-1]
            case 2:
                frames = [frame[: self._random.randrange(len(frame) + 1)] for frame in frames]
            case _:
                frames = [b"\xff\xfe", *frames]
        return [header, *frames]

    def _shuffle(self, which: int) -> RawPacket:
        """Messages or fields in another order, or twice."""
        tree = list(self._trees[which])
        if self._random.random() < 0.5 and tree:
            fields = list(tree[0])
            self._random.shuffle(fields)
            tree[0] = fields
        else:
            tree = tree * 2
            self._random.shuffle(tree)
        return [msgspec.msgpack.encode(tree), *self.valid[which][1:]]

    def _retype(self, which: int) -> RawPacket:
        """One node, anywhere, replaced by something nasty."""
        return [msgspec.msgpack.encode(self._replaced(self._trees[which])), *self.valid[which][1:]]

    def _extension(self, which: int) -> RawPacket:
        """A tensor whose own description is wrong."""
        return [msgspec.msgpack.encode(self._twisted(self._trees[which])), *self.valid[which][1:]]

    def _replaced(self, node: Any) -> Any:
        rng = self._random
        if isinstance(node, list) and node and rng.random() < 0.9:
            copy = list(node)
            at = rng.randrange(len(copy))
            copy[at] = self._replaced(copy[at])
            return copy
        if isinstance(node, dict) and node and rng.random() < 0.8:
            changed = dict(node)
            key = rng.choice(list(changed))
            changed[key] = self._replaced(changed[key])
            return changed
        return rng.choice(_NASTY)

    def _twisted(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._twisted(item) for item in node]
        if isinstance(node, dict):
            return {key: self._twisted(item) for key, item in node.items()}
        if isinstance(node, Ext):
            data = bytearray(node.data)
            if data:
                data[self._random.randrange(len(data))] = self._random.getrandbits(8)
            return Ext(node.code, bytes(data[: self._random.randrange(len(data) + 1)] if len(data) % 3 else data))
        return node


def _ext(code: int, data: memoryview) -> Ext:
    return Ext(code, bytes(data))


def _conversations() -> list[list[Message]]:
    small = Tensor("f32", (2, 3), memoryview(bytes(24)))
    large = Tensor("u8", (40, 100), memoryview(bytes(4000)))
    value = {
        "text": "hello",
        "n": [1, 2.5, None, True],
        "small": small,
        "large": large,
        "raw": b"bytes",
        "deep": [[{}]],
    }
    gateway = Identity("p", "r1", Role.GATEWAY, "gw")
    return [
        [hello(gateway, "a", "boot/pid:[1]/0/1/2/" + "ab" * 16)],
        [Welcome(1, "a-0", "shm", "boot/pid:[1]/0/1/2/" + "ab" * 16)],
        [Refuse("another revision")],
        [Beat(5, 0.1, 2, 1, True, 12345)],
        [Submit("r1", "q1", 9.5, {"a": "a-0"}, {"b": "ipc:///x"}, ["text"], {"temperature": 0.5}, value)],
        [Cancel("r1", "client left")],
        [Payload("r1", "a", "in", value)],
        [Payload("r1", "a", "in", ["x" * 70_000, b"y" * 70_000])],
        [Chunk("r1", "a", "in", n, "word", n == 3) for n in range(4)],
        [Ack("r1", "in", 3), Fed("r1", "a")],
        [Output("r1", "text", 0, "word"), Output("r1", "text", 1, "", True, {"usage": {"tokens": 3}})],
        [Failed("r1", "a", "internal", "it broke", True, "n", "c")],
        [Output(f"r{n}", "audio", n, large if n % 2 else small) for n in range(4)],
    ]
