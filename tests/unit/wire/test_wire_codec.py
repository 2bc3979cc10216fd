"""What goes in comes out, and what may not travel says where it was."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnipipe.wire.codec import HEADER_BYTES, Packet, PacketDecoder, PacketEncoder
from omnipipe.wire.contents import LONG_BYTES, MAX_DEPTH
from omnipipe.wire.errors import TooBig
from omnipipe.wire.messages import Ack, Beat, Cancel, Chunk, Failed, Fed, Message, Output, Payload, Submit
from omnipipe.wire.value import ITEM_BYTES, Tensor, Value


def encoder(max_message_bytes: int = 64 << 20) -> PacketEncoder:
    return PacketEncoder(max_message_bytes=max_message_bytes, inline_limit_bytes=1 << 10)


def through(*messages: Message) -> list[Message]:
    packet = Packet()
    for message in messages:
        encoder().add(packet, message)
    header, *frames = packet.seal()
    assert packet.nbytes == len(header) + sum(memoryview(f).nbytes for f in frames)
    decoded, bad = PacketDecoder().decode(bytes(header), frames)
    assert bad == []
    return decoded


def travelled(value: Value) -> Value:
    (message,) = through(Payload("r", "a", "in", value))
    assert isinstance(message, Payload)
    return message.value


def same(a: Value, b: Value) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and (a.dtype, a.shape, a.data.tobytes()) == (b.dtype, b.shape, b.data.tobytes())
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a == b or a != a)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(list(ITEM_BYTES)))
    shape = tuple(draw(st.lists(st.integers(0, 9), max_size=4)))
    nbytes = ITEM_BYTES[dtype]
    for size in shape:
        nbytes *= size
    return Tensor(dtype, shape, memoryview(b"\x07" * nbytes))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from(["x" * LONG_BYTES, b"y" * (LONG_BYTES + 1), "ä" * LONG_BYTES])
    | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=60)
@given(values)
def test_any_value_comes_back_the_same(value: Value) -> None:
    assert same(value, travelled(value))


def test_all_messages_of_a_packet_come_back_in_order() -> None:
    messages: list[Message] = [
        Submit("r", "q", 1.5, {"a": "a-0"}, {"b": "ipc:///x"}, ["text"], {"n": 3}, "hello", True),
        Payload("r", "a", "in", [1, 2.5, None]),
        Chunk("r", "a", "in", 7, b"bytes", True),
        Ack("r", "in", 7),
        Output("r", "text", 0, "word", True, {"finish_reason": "stop"}),
        Fed("r", "a"),
        Failed("r", "a", "internal", "it broke", True, "n", "code"),
        Cancel("r", "client left"),
        Beat(3, 0.5, 1, 2, False),
    ]
    assert through(*messages) == messages


def test_what_is_sent_is_what_it_was_when_it_was_sent() -> None:
    value: dict[str, Value] = {"n": 1}
    packet = Packet()
    encoder().add(packet, Payload("r", "a", "in", value))
    value["n"] = 2
    (message,), _ = PacketDecoder().decode(*_split(packet))
    assert isinstance(message, Payload)
    assert message.value == {"n": 1}


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (100, 7), (2, 0, 3)])
def test_numpy_arrays_come_back_equal_and_aligned(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    back = travelled({"pad": "x" * 5, "t": Tensor.from_numpy(array)})["t"].numpy()
    assert back.dtype == array.dtype
    assert back.shape == shape
    assert np.array_equal(back, array)
    assert back.flags.aligned


def test_a_transposed_array_travels_in_its_own_order() -> None:
    array = np.arange(12, dtype="i4").reshape(3, 4).T
    assert np.array_equal(travelled(Tensor.from_numpy(array)).numpy(), array)


def nested(depth: int) -> Value:
    value: Value = 1
    for _ in range(depth):
        value = [value]
    return value


def cyclic() -> Value:
    value: list[Value] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1, 2), "value: builtins.tuple cannot travel"),
        ({"a": [1, {2}]}, "value['a'][1]: builtins.set cannot travel"),
        ({"a": {1: 2}}, "value['a']: the key 1 is int; keys must be str"),
        ([np.float32(1)], "value[0]: numpy.float32 cannot travel"),
        (datetime.now(), "value: datetime.datetime cannot travel"),
        (Decimal(1), "value: decimal.Decimal cannot travel"),
        ([2**64], "Payload: "),
        (["\ud800"], "Payload: "),
        (["\ud800" * LONG_BYTES], "value: a string holds a lone surrogate"),
        (nested(MAX_DEPTH + 1), "nested more than 32 deep"),
        (cyclic(), "nested more than 32 deep"),
        (Tensor("f32", (3,), memoryview(b"1234")), "its buffer has 4 bytes"),
        (Tensor("f31", (1,), memoryview(b"1234")), "unknown dtype"),
        (Tensor("u8", (1,) * 17, memoryview(b"1")), "more than 16 dimensions"),
        (Tensor("u8", (2,), memoryview(b"1234")[::2]), "not contiguous"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_travel_is_a_type_error_that_says_where(value: Any, words: str) -> None:
    packet = Packet()
    encoder().add(packet, Cancel("before"))
    before = packet.nbytes
    with pytest.raises(TypeError) as error:
        encoder().add(packet, Payload("r", "a", "in", {"t": Tensor.from_numpy(np.zeros(600)), "v": value}["v"]))
    assert words in str(error.value)
    assert (packet.count, packet.nbytes, packet.frames) == (1, before, [])


def test_the_greatest_depth_travels() -> None:
    assert travelled(nested(MAX_DEPTH)) == nested(MAX_DEPTH)


def test_a_message_over_the_limit_is_refused_and_leaves_the_packet_as_it_was() -> None:
    small = encoder(max_message_bytes=10_000)
    packet = Packet()
    small.add(packet, Cancel("before"))
    for value in (b"x" * 100_000, "x" * 20_000, Tensor.from_numpy(np.zeros(5000)), [0.1] * 2000):
        with pytest.raises(TooBig, match="max_message_bytes is 10000"):
            small.add(packet, Payload("r", "a", "in", value))
    small.add(packet, Cancel("after"))
    messages, bad = PacketDecoder().decode(*_split(packet))
    assert (messages, bad) == ([Cancel("before"), Cancel("after")], [])


def test_a_long_list_of_numbers_belongs_in_a_tensor() -> None:
    with pytest.raises(TooBig, match="belongs in a tensor"):
        encoder().add(Packet(), Payload("r", "a", "in", [0.5] * (HEADER_BYTES // 8)))


def test_too_many_buffers_are_refused() -> None:
    many = [Tensor.from_numpy(np.zeros(100))] * 5000
    with pytest.raises(TooBig, match="separate buffers"):
        encoder().add(Packet(), Payload("r", "a", "in", many))


def test_one_bad_message_does_not_take_the_good_ones_with_it() -> None:
    header = msgspec.msgpack.encode([["cancel", "a", ""], ["nonsense", 1], ["cancel", 5, ""], ["cancel", "b", ""]])
    messages, bad = PacketDecoder().decode(header, [])
    assert messages == [Cancel("a"), Cancel("b")]
    assert len(bad) == 2


def _split(packet: Packet) -> tuple[bytes, list[Any]]:
    header, *frames = packet.seal()
    return bytes(header), frames
