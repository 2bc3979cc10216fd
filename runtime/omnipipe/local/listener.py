"""The listening socket of a run. The supervisor opens it and the gateway inherits it: a port that is taken is known
before anything starts, and connections wait in the queue while a crashed gateway is started again."""

import os
import socket

from omnipipe.local.errors import StartFailed

__all__ = ["listen", "url_of"]

_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise StartFailed(f"cannot listen on {host}: {error.strerror}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        hint = "choose another with --port; --port 0 takes any free one"
        raise StartFailed(f"cannot listen on {host} port {port}: {reason}; {hint}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """As somebody on this machine would type it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
