"""Which connections have something to flush, and in what order.

A send wakes its receiver, or libzmq's I/O thread: tens of microseconds of a core that the request itself may be waiting
for. So what moves a request forward leaves before what only reports on it.
"""

from typing import Final

from omnipipe.wire.connection import CLEAN, Connection
from omnipipe.wire.messages import Ack, Fed

__all__ = ["Outgoing"]

_RANKS: Final[dict[type, int]] = {Ack: 1, Fed: 1}


class Outgoing:
    def __init__(self) -> None:
        self._data: list[Connection] = []
        self._reports: list[Connection] = []
        """A connection may be in both; the first to come flushes it."""

    def __bool__(self) -> bool:
        return bool(self._data or self._reports)

    def add(self, connection: Connection, kind: type) -> None:
        """A message of `kind` was added to what waits for the connection."""
        rank = _RANKS.get(kind, 0)
        if rank < connection.rank:
            connection.rank = rank
            (self._reports if rank else self._data).append(connection)

    def take(self) -> list[Connection]:
        """All of them, each once, in the order to flush them."""
        due, self._data = self._data, []
        for connection in due:
            connection.rank = CLEAN
        if self._reports:
            reports, self._reports = self._reports, []
            for connection in reports:
                if connection.rank != CLEAN:
                    connection.rank = CLEAN
                    due.append(connection)
        return due
