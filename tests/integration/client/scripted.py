"""A server that does what a test tells it to, byte by byte, and says what it was sent and who went away."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

__all__ = ["DEADLINE_S", "Peer", "Request", "ScriptedServer"]

DEADLINE_S = 60.0
"""For anything that takes a moment on an idle machine."""
LINES = "application/x-ndjson; charset=utf-8"


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


class Gone(Exception):
    """The other side closed the connection."""


class Peer:
    """One client, for one of its requests."""

    def __init__(self, sock: socket.socket, request: Request) -> None:
        self.sock = sock
        self.request = request

    def answer(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        self.head(status, content_type, **{"content-length": str(len(body))}, **headers)
        self.sock.sendall(body)

    def head(self, status: int, content_type: str, **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {content_type}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode())

    def stream(self, *chunks: bytes) -> None:
        """Begins one, which `end` ends."""
        self.head(200, LINES, transfer_encoding="chunked", x_request_id="r-1")
        for chunk in chunks:
            self.chunk(chunk)

    def chunk(self, data: bytes) -> None:
        self.sock.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        self.sock.sendall(b"0\r\n\r\n")

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)

    def wait_until_gone(self) -> None:
        self.sock.settimeout(DEADLINE_S)
        with contextlib.suppress(ConnectionError):
            while self.sock.recv(1 << 16):
                pass


Script = Callable[[Peer], None]


class ScriptedServer:
    """One script a request, in order. What a script raises fails the test, but for a client that is gone."""

    def __init__(self, *scripts: Script, reads: bool = True, late_s: float = 0.0) -> None:
        self._scripts: queue.SimpleQueue[Script] = queue.SimpleQueue()
        for script in scripts:
            self._scripts.put(script)
        self._reads = reads
        """Whether it takes requests in before it does as told."""
        self._late_s = late_s
        """Until then it refuses connections."""
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="scripted-server")]
        self._sockets: list[socket.socket] = []
        self._faults: list[Exception] = []
        self.requests: list[Request] = []
        self.gone = threading.Semaphore(0)
        """Released for every script that ended."""
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._threads[0].join()
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        if self._faults:
            raise self._faults[0]

    def wait_for_ends(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.gone.acquire(timeout=DEADLINE_S), "a script has not ended"

    def _accept(self) -> None:
        self._stop.wait(self._late_s)
        self._listener.listen()
        while not self._stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="scripted-connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock:
            try:
                while True:
                    request = _read(sock) if self._reads else Request("", {}, b"")
                    self.requests.append(request)
                    script = self._scripts.get(timeout=DEADLINE_S)
                    try:
                        script(Peer(sock, request))
                    finally:
                        self.gone.release()
                    if not self._reads:
                        return
            except (Gone, ConnectionError):
                pass
            except Exception as error:  # the edge of this thread: the test hears of it when the server ends
                if not self._stop.is_set():
                    self._faults.append(error)


def _read(sock: socket.socket) -> Request:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in rest)}
    while len(body) < int(headers.get("content-length", "0")):
        body += _some(sock)
    return Request(line, headers, body)


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(1 << 16)
    if not data:
        raise Gone
    return data
