"""/livez, /readyz and /metrics of a stage, on a port or a unix socket of their own.

Served from threads beside the I/O loop, so that they answer while the loop is stuck: that is when they matter. Just
enough HTTP for a probe, a scrape and curl; connections, their number and their time are bounded. Must not change
anything in the stage.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from omnipipe.stage.errors import ExitCode, StageError

__all__ = ["AdminServer", "Probes"]

_log = logging.getLogger(__name__)

_MAX_CONNECTIONS = 16
"""A kubelet, a Prometheus or two, and a person; the next one is hung up on."""
_CONNECTION_S = 2.0
"""For one connection, however its bytes trickle."""
_MAX_HEAD_BYTES = 8 << 10
_UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Probes:
    """What is asked of the stage. Called from the server's threads."""

    not_live: Callable[[], str | None]
    """Why the process should be restarted; None: it is well."""
    not_ready: Callable[[], str | None]
    """Why it should get no new requests; None: it takes them."""
    metrics: Callable[[], bytes]
    metrics_type: str


class AdminServer:
    def __init__(self, address: str, probes: Probes) -> None:
        """Listens. Raises StageError when the address cannot be used."""
        self._probes = probes
        self._closing = False
        self._slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._unix_path = Path(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else None
        try:
            self._socket = _listen(address)
        except (OSError, ValueError) as error:
            text = getattr(error, "strerror", None) or error
            raise StageError(ExitCode.START_FAILED, f"cannot listen on admin address {address}: {text}") from error
        self._thread = threading.Thread(target=self._accept, name="admin", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """As given, with the port that was really taken."""
        if self._unix_path is not None:
            return f"{_UNIX}{self._unix_path}"
        host, port, *_ = self._socket.getsockname()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Takes no more connections; those that are open end within `_CONNECTION_S` by themselves."""
        self._closing = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # not every system wakes `accept` this way; the thread looks up again within a second
        self._thread.join()
        self._socket.close()
        if self._unix_path is not None:
            self._unix_path.unlink(missing_ok=True)

    def _accept(self) -> None:
        self._socket.settimeout(1.0)
        while not self._closing:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if not self._closing:
                    _log.warning("the admin server could not take a connection: %s", error)
                    time.sleep(0.1)  # out of descriptors, most likely: do not spin
                continue
            if self._slots.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(connection,), name="admin-connection", daemon=True).start()
            else:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                deadline = time.monotonic() + _CONNECTION_S
                head = _read_head(connection, deadline)
                if head is not None:
                    _write(connection, self._answer(head), deadline)
        except OSError:
            pass  # the other side left, or was too slow
        except Exception:  # the boundary of one connection
            _log.exception("the admin server could not answer")
        finally:
            self._slots.release()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if path not in (b"/livez", b"/readyz", b"/metrics"):
            return _response(HTTPStatus.NOT_FOUND, b"here are /livez, /readyz and /metrics\n")
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n", allow=True)
        if path == b"/metrics":
            response = _response(HTTPStatus.OK, self._probes.metrics(), self._probes.metrics_type)
        else:
            trouble = self._probes.not_live() if path == b"/livez" else self._probes.not_ready()
            status = HTTPStatus.OK if trouble is None else HTTPStatus.SERVICE_UNAVAILABLE
            response = _response(status, f"{trouble or 'ok'}\n".encode())
        return response.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == b"HEAD" else response


def _listen(address: str) -> socket.socket:
    if address.startswith(_UNIX):
        path = address.removeprefix(_UNIX)
        Path(path).unlink(missing_ok=True)  # of a process that was killed: the folder is ours alone
        listener = socket.socket(socket.AF_UNIX)
        try:
            mask = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(mask)
            listener.listen(_MAX_CONNECTIONS)
        except OSError:
            listener.close()
            raise
        return listener
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("it is neither host:port nor unix:/path")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, int(port)), family=family, backlog=_MAX_CONNECTIONS)


def _read_head(connection: socket.socket, deadline: float) -> bytes | None:
    """Up to the empty line; None when it does not come in time or is too long."""
    head = b""
    while b"\r\n\r\n" not in head:
        left = deadline - time.monotonic()
        if left <= 0 or len(head) > _MAX_HEAD_BYTES:
            return None
        connection.settimeout(left)
        data = connection.recv(4096)
        if not data:
            return None
        head += data
    return head


def _write(connection: socket.socket, response: bytes, deadline: float) -> None:
    connection.settimeout(max(0.05, deadline - time.monotonic()))
    connection.sendall(response)
    connection.shutdown(socket.SHUT_WR)


def _response(
    status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8", *, allow: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
        f"{'allow: GET, HEAD' if allow else 'cache-control: no-store'}\r\n\r\n"
    )
    return head.encode() + body
