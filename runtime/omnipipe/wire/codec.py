"""Messages to packets and back: `Packet`, `PacketEncoder`, `PacketDecoder`. No sockets, no state between packets.

A packet is frame 0, a MessagePack array of tagged structs, and buffer frames that extensions in it refer to (see
`tensors`). Bytes from a peer raise BadMessage here or come out as messages of known types with checked values;
nothing in them can name code, a file or more memory than they bring.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from omnipipe.wire.contents import LEAVES, VALUE_FIELDS, Long, admit, prepare
from omnipipe.wire.errors import BadMessage, TooBig
from omnipipe.wire.messages import Message
from omnipipe.wire.shm.loan import Offer
from omnipipe.wire.tensors import (
    BYTES,
    FRAME,
    HERE,
    HERE_BYTES,
    SHARED,
    TENSOR,
    TEXT,
    Borrow,
    Buffer,
    check_outgoing,
    frame_index,
    pack_tensor,
    read_extension,
)
from omnipipe.wire.value import Tensor

__all__ = [
    "FULL_BYTES",
    "HEADER_BYTES",
    "MAX_FRAMES",
    "MAX_HEADER_BYTES",
    "Packet",
    "PacketDecoder",
    "PacketEncoder",
    "Share",
]

HEADER_BYTES: Final = 8 << 20
"""Frame 0 at most: a byte of MessagePack can become 64 of Python objects, so it is bounded well below a buffer. Long
strings, bytes and tensors travel outside it."""
MAX_FRAMES: Final = 4096
"""Buffer frames in a packet at most."""
FULL_BYTES: Final = 1 << 20
FULL_FRAMES: Final = 256
FULL_COUNT: Final = 4096
FULL_LENT_BYTES: Final = 4 << 20
"""A packet that has reached one of these takes no more messages, and leaves at once: its receiver can begin while the
sender still copies. The last is for tensors in shared memory, where a packet for each costs more than it gains while
they are not much larger."""

_EMPTY: Final = b"\xdc\x00\x00"  # array16 of n messages; n is written when the packet leaves
MAX_HEADER_BYTES: Final = HEADER_BYTES + len(_EMPTY) + FULL_BYTES
"""Frame 0 of a packet that was almost full when the largest message came."""
_COUNT: Final = struct.Struct(">H")
_UNDECODABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

Share = Callable[[Tensor, int, list[Offer]], bytes | None]
"""(tensor, borrower's pid, packet's offers) -> descriptor; None: it has to travel in the message."""


class Packet:
    """Messages for one peer that travel together."""

    __slots__ = ("count", "frames", "header", "lent", "nbytes", "offers")

    def __init__(self) -> None:
        self.header = bytearray(_EMPTY)
        self.count = 0
        self.frames: list[Buffer] = []
        self.nbytes = len(_EMPTY)
        """Of all frames."""
        self.lent = 0
        """Bytes of its tensors in shared memory."""
        self.offers: list[Offer] = []
        """Loans of shared memory that its tensors stand for."""

    @property
    def full(self) -> bool:
        return (
            self.nbytes >= FULL_BYTES
            or (self.lent >= FULL_LENT_BYTES and (self.count > 1 or self.lent >= 2 * FULL_LENT_BYTES))
            or len(self.frames) >= FULL_FRAMES
            or self.count >= FULL_COUNT
        )

    def seal(self) -> list[Buffer]:
        """The frames to send."""
        _COUNT.pack_into(self.header, 1, self.count)
        return [self.header, *self.frames]


class PacketEncoder:
    """Adds messages to packets. One a wire; not for several threads."""

    def __init__(self, *, max_message_bytes: int, inline_limit_bytes: int, share: Share | None = None) -> None:
        self._max_message_bytes = max_message_bytes
        self._inline_limit_bytes = inline_limit_bytes
        self._share = share
        self._encode_into = msgspec.msgpack.Encoder(enc_hook=self._extension).encode_into
        self._packet = Packet()
        self._borrower = 0

    def add(self, packet: Packet, message: Message, borrower: int = 0) -> None:
        """Encodes now, so that what the caller does to the message later has no effect; only tensors' buffers are
        referred to until they are sent. `borrower` is the pid of a peer that maps our memory, 0: none.

        Raises TypeError (with the path) or TooBig, and leaves the packet as it was."""
        names = VALUE_FIELDS.get(type(message))
        if names is not None:
            message = _prepared(message, names)
        header = packet.header
        start, frames, nbytes = len(header), len(packet.frames), packet.nbytes
        lent, offers = packet.lent, len(packet.offers)
        self._packet, self._borrower = packet, borrower
        try:
            self._encode_into(message, header, -1)
            grown = len(header) - start
            packet.nbytes += grown
            if packet.nbytes - nbytes > self._max_message_bytes or grown > HEADER_BYTES:
                raise TooBig(_too_big(type(message).__name__, packet.nbytes - nbytes, self._max_message_bytes))
            if len(packet.frames) - frames > MAX_FRAMES - FULL_FRAMES:
                raise TooBig(f"{type(message).__name__} holds more than {MAX_FRAMES - FULL_FRAMES} separate buffers")
        except BaseException as error:
            del header[start:]
            del packet.frames[frames:]
            for offer in packet.offers[offers:]:
                offer.withdraw()
            del packet.offers[offers:]
            packet.nbytes, packet.lent = nbytes, lent
            if isinstance(error, (OverflowError, UnicodeEncodeError)):
                raise TypeError(f"{type(message).__name__}: {error}") from error
            raise
        packet.count += 1

    def _extension(self, value: object) -> msgspec.msgpack.Ext:
        if isinstance(value, Long):
            return msgspec.msgpack.Ext(TEXT if value.is_text else BYTES, self._frame(value.data))
        if not isinstance(value, Tensor):
            raise TypeError(f"{type(value).__name__} cannot travel")
        check_outgoing(value)
        nbytes = value.data.nbytes
        if nbytes <= HERE_BYTES:
            return msgspec.msgpack.Ext(TENSOR, pack_tensor(value, HERE, value.data.tobytes()))
        if self._borrower and self._share is not None and nbytes >= self._inline_limit_bytes:
            descriptor = self._share(value, self._borrower, self._packet.offers)
            if descriptor is not None:
                self._packet.lent += nbytes
                return msgspec.msgpack.Ext(TENSOR, pack_tensor(value, SHARED, descriptor))
        return msgspec.msgpack.Ext(TENSOR, pack_tensor(value, FRAME, self._frame(value.data)))

    def _frame(self, data: Buffer) -> bytes:
        frames = self._packet.frames
        if len(frames) >= MAX_FRAMES:
            raise TooBig(f"a message holds more than {MAX_FRAMES - FULL_FRAMES} separate buffers")
        frames.append(data)
        self._packet.nbytes += data.nbytes if isinstance(data, memoryview) else len(data)
        return frame_index(len(frames) - 1)


class PacketDecoder:
    """Packets back to messages."""

    def __init__(self, borrow: Borrow | None = None) -> None:
        self._borrow = borrow
        self._decode = msgspec.msgpack.Decoder(list[Message], ext_hook=self._extension).decode
        self._decode_one = msgspec.msgpack.Decoder(Message, ext_hook=self._extension).decode
        self._split = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
        self._frames: Sequence[Buffer] = ()
        self._may_borrow = False
        self._taken: dict[bytes, tuple[memoryview, object]] = {}

    def decode(
        self, header: Buffer, frames: Sequence[Buffer], *, may_borrow: bool = False
    ) -> tuple[list[Message], list[BadMessage]]:
        """The packet's good messages in order, and a reason for each bad one (one for all when frame 0 is no array)."""
        self._frames, self._may_borrow = frames, may_borrow and self._borrow is not None
        try:
            if len(header) > MAX_HEADER_BYTES or len(frames) > MAX_FRAMES:
                raise BadMessage(f"a packet of {len(header)} bytes before {len(frames)} buffers")
            try:
                messages = self._decode(header)
                for message in messages:
                    _check(message)
            except (BadMessage, *_UNDECODABLE):
                return self._one_by_one(header)
        except BadMessage as error:
            return [], [error]
        finally:
            self._frames = ()
            if self._taken:
                self._taken.clear()
        return messages, []

    def _one_by_one(self, header: Buffer) -> tuple[list[Message], list[BadMessage]]:
        """A packet with something bad in it: the good messages still count."""
        try:
            raws = self._split(header)
        except _UNDECODABLE as error:
            raise BadMessage(f"not a packet: {error}") from error
        good: list[Message] = []
        bad: list[BadMessage] = []
        for raw in raws:
            try:
                message = self._decode_one(raw)
                _check(message)
                good.append(message)
            except BadMessage as error:
                bad.append(error)
            except _UNDECODABLE as error:
                bad.append(BadMessage(f"not a message: {error}"))
        return good, bad

    def _extension(self, code: int, data: memoryview) -> object:
        return read_extension(code, data, self._frames, self._borrow_once if self._may_borrow else None)

    def _borrow_once(self, descriptor: memoryview, nbytes: int) -> tuple[memoryview, object]:
        """A packet with something bad in it is read twice, a loan can be taken only once."""
        key = bytes(descriptor)
        taken = self._taken.get(key)
        if taken is None:
            assert self._borrow is not None
            taken = self._taken[key] = self._borrow(descriptor, nbytes)
        return taken


def _check(message: Message) -> None:
    names = VALUE_FIELDS.get(type(message))
    if names is not None:
        for name in names:
            value = getattr(message, name)
            if type(value) not in LEAVES:
                admit(value)


def _prepared(message: Message, names: tuple[str, ...]) -> Message:
    for name in names:
        value = getattr(message, name)
        if value is None:
            continue
        fit = prepare(value, name)
        if fit is not value:
            message = msgspec.structs.replace(message, **{name: fit})
    return message


def _too_big(kind: str, nbytes: int, limit: int) -> str:
    if nbytes > limit:
        return f"{kind} of {nbytes} bytes; max_message_bytes is {limit}"
    return f"{kind} holds {nbytes} bytes of lists and numbers; more than {HEADER_BYTES} belongs in a tensor"
