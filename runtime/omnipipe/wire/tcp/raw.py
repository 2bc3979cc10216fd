"""The only calls that make or read libzmq sockets. Traps that are handled here, once:

- A ROUTER without MANDATORY drops silently what it cannot route; with it, the send raises.
- A socket's descriptor is edge-triggered: read to the end (`zmq.Again`) every time, and look again after each send.
- libzmq's own reconnects would keep queued messages of a dead connection for the next one: they are off, a connection
  that ended is closed, and the next one gets a new socket.
- Send queues are not bounded by libzmq (its marks count messages, not bytes): `connection` does that.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from omnipipe.wire.codec import MAX_FRAMES
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.keys import CurveKeys
from omnipipe.wire.tcp.curve import protect_dialler, protect_listener
from omnipipe.wire.tensors import Buffer

__all__ = [
    "CONNECT_FAILED",
    "DISCONNECTED",
    "HANDSHAKE_FAILED",
    "NOW",
    "Context",
    "Socket",
    "bound_address",
    "close_with_monitor",
    "descriptor_of",
    "dialler_socket",
    "listener_socket",
    "open_monitor",
    "read_monitor",
    "read_rest",
    "readable",
    "send_frames",
]

Context = zmq.Context["zmq.Socket[bytes]"]
Socket = zmq.Socket[bytes]

DISCONNECTED: Final = int(zmq.EVENT_DISCONNECTED)
CONNECT_FAILED: Final = int(zmq.EVENT_CLOSED)
HANDSHAKE_FAILED: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENTS: Final = DISCONNECTED | CONNECT_FAILED | HANDSHAKE_FAILED
_RECEIVE_MARK: Final = 1000
"""Packets of one connection that libzmq reads ahead of us; beyond it the peer's sends back up."""
_CONNECT_TIMEOUT_MS: Final = 2000
_NEVER_MS: Final = 24 * 3600 * 1000
"""Between libzmq's own attempts to reconnect. Its value for "never" throws away what came and was not read yet."""
_NO_FRAMES: Final[tuple[Buffer, ...]] = ()
_SMALL_BYTES: Final = 16 << 10
"""A small frame may sit anywhere in libzmq's read buffer: copied, it is aligned and does not keep that buffer."""
NOW: Final = int(zmq.NOBLOCK)  # plain integers: the enum's operators cost more than the calls they are for
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_READABLE: Final = int(zmq.POLLIN)
_send: Final = zmq.backend.Socket.send  # without the layer above it, for kinds of sockets that are not used here


def listener_socket(context: Context, address: str, max_frame_bytes: int, keys: CurveKeys | None) -> Socket:
    socket = context.socket(zmq.ROUTER)
    with ExitStack() as undo:
        undo.callback(socket.close, 0)
        _common(socket, address, max_frame_bytes)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        if keys is not None:
            protect_listener(socket, keys)
        undo.pop_all()
    return socket


def dialler_socket(context: Context, address: str, max_frame_bytes: int, keys: CurveKeys | None) -> Socket:
    socket = context.socket(zmq.DEALER)
    _common(socket, address, max_frame_bytes)
    socket.setsockopt(zmq.RECONNECT_IVL, _NEVER_MS)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, _CONNECT_TIMEOUT_MS)
    if keys is not None:
        protect_dialler(socket, keys)
    return socket


def _common(socket: Socket, address: str, max_frame_bytes: int) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, _RECEIVE_MARK)
    socket.setsockopt(zmq.MAXMSGSIZE, max_frame_bytes)
    socket.setsockopt(zmq.IPV6, int("[" in address))


def open_monitor(socket: Socket) -> Socket:
    monitor = socket.get_monitor_socket(_EVENTS)
    readable(monitor)  # libzmq signals only a reader that has looked once and found nothing
    return monitor


def read_monitor(monitor: Socket) -> list[tuple[int, int]]:
    """(event, descriptor) of everything that has happened to the socket's connections."""
    happened: list[tuple[int, int]] = []
    while True:
        try:
            event = parse_monitor_message(monitor.recv_multipart(NOW))
        except zmq.Again:
            return happened
        happened.append((int(event["event"]), int(event["value"])))


def bound_address(socket: Socket) -> str:
    """With the port that was really bound."""
    return str(socket.getsockopt_string(zmq.LAST_ENDPOINT)).rstrip("\0")


def close_with_monitor(socket: Socket, monitor: Socket, linger_s: float = 0.0) -> None:
    socket.disable_monitor()
    monitor.close(0)
    socket.close(int(linger_s * 1000))


def readable(socket: Socket) -> bool:
    return bool(socket.getsockopt(zmq.EVENTS) & _READABLE)  # type: ignore[operator]


def descriptor_of(frame: zmq.Frame) -> int:
    """The connection that a message came over, as the monitor calls it; -1 when that is gone already."""
    try:
        return int(frame.get("__fd"))
    except (zmq.ZMQError, ValueError):
        return -1


def read_rest(socket: Socket) -> tuple[Sequence[Buffer], int]:
    """The frames after the one that was just read; nothing is waited for, a packet arrives whole. Returns their bytes
    as well, those of frames beyond MAX_FRAMES included, which are read and dropped (the decoder sees one too many)."""
    if not socket.getsockopt(zmq.RCVMORE):
        return _NO_FRAMES, 0
    frames: list[Buffer] = []
    nbytes = 0
    while socket.getsockopt(zmq.RCVMORE):
        frame = socket.recv(NOW, copy=False)
        size = len(frame)
        nbytes += size
        if len(frames) <= MAX_FRAMES:
            frames.append(frame.bytes if size < _SMALL_BYTES else frame.buffer)
    return frames, nbytes


def send_frames(socket: Socket, route: bytes, frames: list[Buffer]) -> bool:
    """One packet, whole or not at all. `route` is for a ROUTER, empty for a DEALER. False: not now."""
    try:
        if route:
            _send(socket, route, _MORE)
        last = len(frames) - 1
        if last:
            for frame in frames[:last]:
                _send(socket, frame, _MORE)
        _send(socket, frames[last], NOW)
    except zmq.Again:
        return False
    except zmq.ZMQError as error:
        raise PeerLost(f"cannot send: {error.strerror}") from error
    return True
