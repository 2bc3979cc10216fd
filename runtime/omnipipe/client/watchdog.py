"""Ends a blocking read when a call's total time is over.

httpx bounds each read, so a server that sends a byte now and then, or falls silent just before the end, could hold a
caller for twice the time. A timer shuts the connection down under the read; asyncio needs none of this.
"""

import socket
import threading

import httpx

from omnipipe.client.limits import Deadline

__all__ = ["Watchdog"]


class Watchdog:
    """Over one answer, from its headers to its end."""

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        self._socket = _socket_of(response)
        self._timer: threading.Timer | None = None
        left = deadline.remaining()
        if left is not None and self._socket is not None:
            self._timer = threading.Timer(left, self._end)
            self._timer.name = "omnipipe-deadline"
            self._timer.daemon = True  # a program that leaves does not wait for it
            self._timer.start()

    def call_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            if self._timer is not threading.current_thread():
                self._timer.join()
            self._timer = None

    def _end(self) -> None:
        assert self._socket is not None
        try:
            # Of the plain socket, also under TLS: a goodbye would be one more wait.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            pass  # closed already


def _socket_of(response: httpx.Response) -> socket.socket | None:
    """None: there is none of this request alone (HTTP/2, a transport of the caller's own)."""
    if response.http_version == "HTTP/2":
        return None
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("socket") if stream is not None else None
    return found if isinstance(found, socket.socket) else None
