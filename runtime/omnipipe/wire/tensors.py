"""How a tensor (or a long string) is written inside frame 0: a MessagePack extension, packed by hand.

    1 TENSOR   dtype u8, dimensions u8, where u8, shape i64 each, then by `where`
                 0 FRAME   frame u16              the n-th buffer frame of this packet
                 1 HERE    the bytes themselves   (small ones)
                 2 SHARED  a `shm.loan.Descriptor`
    2 BYTES    frame u16
    3 TEXT     frame u16, UTF-8

Any other extension is a BadMessage. Pure: no sockets, and shared memory only through the `borrow` that it is given.
"""

import struct
from collections.abc import Callable, Sequence
from math import prod
from typing import Final

from omnipipe.wire.errors import BadMessage
from omnipipe.wire.value import ITEM_BYTES, Tensor

__all__ = [
    "BYTES",
    "FRAME",
    "HERE",
    "HERE_BYTES",
    "MAX_DIMENSIONS",
    "SHARED",
    "TENSOR",
    "TEXT",
    "Borrow",
    "Buffer",
    "check_outgoing",
    "frame_index",
    "pack_tensor",
    "read_extension",
]

TENSOR: Final = 1
BYTES: Final = 2
TEXT: Final = 3

FRAME: Final = 0
HERE: Final = 1
SHARED: Final = 2

HERE_BYTES: Final = 512
"""Tensors up to this size travel inside frame 0: a frame of its own costs more than copying them."""
MAX_DIMENSIONS: Final = 16

Buffer = bytes | bytearray | memoryview
Borrow = Callable[[memoryview, int], tuple[memoryview, object]]
"""(descriptor, nbytes) -> (buffer, lease). Raises BadMessage."""

_DTYPES: Final = tuple(ITEM_BYTES)
_CODES: Final = {name: code for code, name in enumerate(_DTYPES)}
_ITEM: Final = tuple(ITEM_BYTES.values())
_FRAME: Final = struct.Struct("<H")
_HEADS: Final = tuple(struct.Struct(f"<BBB{n}q") for n in range(MAX_DIMENSIONS + 1))


def pack_tensor(tensor: Tensor, where: int, tail: bytes) -> bytes:
    shape = tensor.shape
    return _HEADS[len(shape)].pack(_CODES[tensor.dtype], len(shape), where, *shape) + tail


def check_outgoing(tensor: Tensor) -> None:
    """Raises TypeError when the tensor contradicts itself: the receiver would refuse it."""
    item = ITEM_BYTES.get(tensor.dtype)
    if item is None:
        raise TypeError(f"{tensor!r}: unknown dtype")
    if len(tensor.shape) > MAX_DIMENSIONS:
        raise TypeError(f"{tensor!r}: more than {MAX_DIMENSIONS} dimensions")
    if min(tensor.shape, default=0) < 0 or prod(tensor.shape) * item != tensor.data.nbytes:
        raise TypeError(f"{tensor!r}: its buffer has {tensor.data.nbytes} bytes")
    if not tensor.data.c_contiguous:
        raise TypeError(f"{tensor!r}: its buffer is not contiguous")


def frame_index(index: int) -> bytes:
    return _FRAME.pack(index)


def read_extension(code: int, data: memoryview, frames: Sequence[Buffer], borrow: Borrow | None) -> object:
    """The Tensor, str or bytes that an extension stands for. Raises BadMessage."""
    try:
        if code == TENSOR:
            return _read_tensor(data, frames, borrow)
        if code == BYTES:
            return bytes(frames[_index(data)])
        if code == TEXT:
            return str(frames[_index(data)], "utf-8")
    except (struct.error, IndexError) as error:
        raise BadMessage(f"extension {code}: {error}") from error
    except UnicodeDecodeError as error:
        raise BadMessage("a text frame is not UTF-8") from error
    raise BadMessage(f"unknown extension {code}")


def _read_tensor(data: memoryview, frames: Sequence[Buffer], borrow: Borrow | None) -> Tensor:
    dtype, dimensions, where = data[0], data[1], data[2]
    if dtype >= len(_DTYPES) or dimensions > MAX_DIMENSIONS:
        raise BadMessage(f"a tensor of dtype {dtype} with {dimensions} dimensions")
    head = _HEADS[dimensions]
    shape = head.unpack_from(data)[3:]
    if min(shape, default=0) < 0:
        raise BadMessage("a tensor with a negative dimension")
    nbytes = prod(shape) * _ITEM[dtype]
    rest = data[head.size :]
    lease: object = None
    if where == HERE:
        buffer = memoryview(bytes(rest))
    elif where == FRAME:
        buffer = memoryview(frames[_index(rest)])
    elif where == SHARED and borrow is not None:
        buffer, lease = borrow(rest, nbytes)
    else:
        raise BadMessage(f"a tensor in an unknown place ({where})")
    if buffer.nbytes != nbytes:
        raise BadMessage(f"a tensor of {nbytes} bytes in a buffer of {buffer.nbytes}")
    return Tensor(_DTYPES[dtype], shape, buffer, lease)


def _index(data: memoryview) -> int:
    if len(data) != _FRAME.size:
        raise BadMessage("a malformed frame reference")
    index: int = _FRAME.unpack(data)[0]
    return index
