"""Where packets end on a stream, however the bytes come."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnipipe.wire.codec import MAX_FRAMES, MAX_HEADER_BYTES
from omnipipe.wire.ipc.framing import Splitter, preamble
from omnipipe.wire.tensors import Buffer

MOST = 1 << 20

frames = st.lists(st.binary(max_size=40) | st.integers(0, 12_000).map(bytes), min_size=1, max_size=5)


def on_the_wire(packet: list[bytes]) -> bytes:
    return preamble(packet) + b"".join(packet)


def read(splitter: Splitter, data: bytes) -> list[list[bytes]]:
    """Gives the bytes to whoever wants them now, as a stream does."""
    found: list[tuple[Buffer, list[Buffer], int]] = []
    while data:
        assembly = splitter.assembly
        if assembly is None:
            found += [(header, list(rest), nbytes) for header, rest, nbytes in splitter.split(data)]
            return [plain(*packet) for packet in found]
        size = min(len(data), len(assembly.missing[0]))
        assembly.missing[0][:size] = data[:size]
        assembly.filled(size)
        data = data[size:]
        if not assembly.missing:
            splitter.assembly = None
            header, rest, nbytes = assembly.packet()
            found.append((header, list(rest), nbytes))
    return [plain(*packet) for packet in found]


def plain(header: Buffer, rest: list[Buffer], nbytes: int) -> list[bytes]:
    assert nbytes == sum(map(len, rest))
    return [bytes(header), *(bytes(frame) for frame in rest)]


@given(st.lists(frames, max_size=6), st.lists(st.integers(1, 20_000), min_size=1, max_size=20))
def test_packets_come_out_as_they_went_in_wherever_the_stream_is_cut(
    packets: list[list[bytes]], cuts: list[int]
) -> None:
    data = b"".join(map(on_the_wire, packets))
    splitter = Splitter(MOST)
    found, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found += read(splitter, data[at : at + size])
        at, turn = at + size, turn + 1
    assert found == packets
    assert splitter.bad is None


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (struct.pack("<II", MAX_HEADER_BYTES + 1, 0), "a packet of"),
        (struct.pack("<II", 8, MAX_FRAMES + 1), "before 4097 buffers"),
        (struct.pack("<IIQ", 8, 1, MOST), "is the most"),
        (struct.pack("<IIQQ", 8, 2, 2**64 - 1, 2**64 - 1), "is the most"),
        (struct.pack("<II", MOST + 1, 0), "is the most"),
        (b"GET / HTTP/1.1\r\n", "a packet of"),
    ],
)
def test_what_cannot_be_a_packet_of_ours_ends_the_reading_after_what_came_before(head: bytes, words: str) -> None:
    splitter = Splitter(MOST)
    assert read(splitter, on_the_wire([b"first"]) + head) == [[b"first"]]
    assert words in str(splitter.bad)
    assert splitter.assembly is None, "no memory was made for it"


def test_a_packet_that_is_not_here_takes_no_more_memory_than_it_says() -> None:
    splitter = Splitter(MOST)
    assert splitter.split(preamble([bytes(3), bytes(MOST - 3)]) + b"abc") == []
    assert splitter.assembly is not None
    assert sum(map(len, splitter.assembly.missing)) == MOST - 3
