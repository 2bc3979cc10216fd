"""Frames that no peer of ours sends: each is one BadMessage, none is an exception. (The million is in integration.)"""

import struct

import msgspec
import pytest
from msgspec.msgpack import Ext

from omnipipe.wire.codec import HEADER_BYTES, MAX_FRAMES, PacketDecoder


def payload(value: object) -> bytes:
    return msgspec.msgpack.encode([["payload", "r", "a", "in", value]])


def tensor(dtype: int, shape: tuple[int, ...], where: int, tail: bytes) -> Ext:
    return Ext(1, struct.pack(f"<BBB{len(shape)}q", dtype, len(shape), where, *shape) + tail)


RAW = b"\x91\x95\xa7payload\xa1r\xa1a\xa2in"
FRAME_0 = struct.pack("<H", 0)

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "empty": (b"", []),
    "not an array": (b"\xc0", []),
    "cut off": (payload("hello")[:-2], []),
    "something after the end": (payload("hello") + b"\x00", []),
    "array of 4 billion": (b"\xdd\xff\xff\xff\xff", []),
    "list of 4 billion": (RAW + b"\xdd\xff\xff\xff\xff", []),
    "map of 4 billion": (RAW + b"\xdf\xff\xff\xff\xff", []),
    "string of 4 GiB": (RAW + b"\xdb\xff\xff\xff\xff", []),
    "extension of 4 GiB": (RAW + b"\xc9\xff\xff\xff\xff\x01", []),
    "lists in lists": (RAW + b"\x91" * 100_000 + b"\xc0", []),
    "maps in maps": (RAW + b"\x81\xa1k" * 100_000 + b"\xc0", []),
    "33 deep": (RAW + b"\x91" * 33 + b"\xc0", []),
    "not UTF-8": (RAW + b"\xa2\xff\xfe", []),
    "a timestamp": (RAW + b"\xd6\xff\x00\x00\x00\x00", []),
    "a broken timestamp": (RAW + b"\xc7\x05\xff\x00\x00\x00\x00\x00", []),
    "a number as key": (payload({1: 2}), []),
    "a list as key": (RAW + b"\x81\x90\xc0", []),
    "unknown extension": (payload(Ext(77, b"x")), []),
    "pickle's extension": (payload(Ext(-100, b"\x80\x04.")), []),
    "unknown tag": (msgspec.msgpack.encode([["eval", "1+1"]]), []),
    "no tag": (msgspec.msgpack.encode([[]]), []),
    "too many fields": (msgspec.msgpack.encode([["cancel", "r", "", 1, 2, 3]]), []),
    "too few fields": (msgspec.msgpack.encode([["payload", "r"]]), []),
    "a field of another type": (msgspec.msgpack.encode([["ack", "r", "in", "seven"]]), []),
    "empty extension": (payload(Ext(1, b"")), []),
    "short extension": (payload(Ext(1, b"\0\0")), []),
    "unknown dtype": (payload(tensor(99, (1,), 1, b"x")), []),
    "unknown place": (payload(tensor(1, (1,), 9, b"x")), []),
    "shared memory that was not agreed on": (payload(tensor(1, (1,), 2, bytes(38))), []),
    "17 dimensions": (payload(tensor(1, (1,) * 17, 1, b"x")), []),
    "fewer dimensions than it says": (payload(Ext(1, b"\x01\x05\x01" + bytes(8))), []),
    "negative dimension": (payload(tensor(1, (-1,), 1, b"")), []),
    "two negative dimensions": (payload(tensor(1, (-1, -1), 1, b"x")), []),
    "overflowing shape": (payload(tensor(5, (2**62, 2**62, 0), 1, b"x")), []),
    "shape beyond its bytes": (payload(tensor(1, (2**40,), 1, b"x")), []),
    "shape short of its bytes": (payload(tensor(1, (1,), 1, b"xyz")), []),
    "frame that is not there": (payload(tensor(1, (1,), 0, struct.pack("<H", 3))), [b"x"]),
    "frame of another size": (payload(tensor(1, (4,), 0, FRAME_0)), [b"xyz"]),
    "malformed frame reference": (payload(tensor(1, (1,), 0, b"\0")), [b"x"]),
    "text that is not UTF-8": (payload(Ext(3, FRAME_0)), [b"\xff\xfe"]),
    "bytes from nowhere": (payload(Ext(2, FRAME_0)), []),
    "a header that is too long": (b"\x90" + bytes(HEADER_BYTES * 2), []),
    "too many frames": (payload(1), [b""] * (MAX_FRAMES + 1)),
    "hello from the future": (msgspec.msgpack.encode([["hello", "one", 2, 3]]), []),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_hostile_bytes_are_one_bad_message(case: str) -> None:
    header, frames = CASES[case]
    messages, bad = PacketDecoder().decode(header, frames)
    assert messages == []
    assert len(bad) == 1


def test_frames_that_nobody_refers_to_are_harmless() -> None:
    messages, bad = PacketDecoder().decode(payload(1), [b"spare"])
    assert (len(messages), bad) == (1, [])
