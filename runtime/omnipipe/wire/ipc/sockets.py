"""`lines.Sockets` over Unix sockets."""

import socket
from contextlib import ExitStack
from typing import Final

from omnipipe.wire.addresses import ipc_path
from omnipipe.wire.codec import FULL_BYTES
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.hub import Hub
from omnipipe.wire.ipc.listener import IpcListener
from omnipipe.wire.ipc.stream import Stream
from omnipipe.wire.lines import Caller
from omnipipe.wire.waiter import Waiter

__all__ = ["IpcSockets"]


class IpcSockets:
    def __init__(self, hub: Hub, waiter: Waiter) -> None:
        self._hub = hub
        self._waiter = waiter
        self._max_packet_bytes: Final = hub.transport.max_message_bytes + 2 * FULL_BYTES
        """The largest message in a packet that was almost full."""

    def listen(self, address: str) -> IpcListener:
        return IpcListener(self._hub, self._waiter, address, self._max_packet_bytes)

    def call(self, address: str, caller: Caller) -> Stream:
        with ExitStack() as undo:
            try:
                connected = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                connected.setblocking(False)
                connected.connect(str(ipc_path(address)))
            except BlockingIOError as error:
                raise PeerLost(f"{address} lets too many wait") from error
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise PeerLost(f"nobody listens at {address}") from error
            except OSError as error:
                raise PeerLost(f"cannot dial {address}: {error.strerror}") from error
            undo.pop_all()
        return Stream(connected, self._waiter, self._max_packet_bytes, caller.packet, caller.ended, caller.writable)
