"""Which connections have something to flush, and in what order.

A send wakes libzmq's I/O thread, tens of microseconds of a core that the request itself may be waiting for. So what
moves a request forward leaves first, acknowledgements after it, and `Fed`, which nobody waits for, leaves with the next
other message to the same peer or after LAZY_S.
"""

from itertools import chain
from typing import Final

from omnipipe.wire.connection import Connection
from omnipipe.wire.messages import Ack, Fed

__all__ = ["LAZY_S", "Outgoing"]

LAZY_S: Final = 0.001

_DATA: Final = 0
_LAZY: Final = 2
_RANKS: Final[dict[type, int]] = {Ack: 1, Fed: _LAZY}


class Outgoing:
    def __init__(self) -> None:
        self._queues: tuple[list[Connection], list[Connection], list[Connection]] = ([], [], [])
        """By rank. A connection may be in several; the first to come flushes it."""
        self.lazy_at = 0.0
        """With something lazy waiting: when it leaves."""

    @property
    def has_lazy(self) -> bool:
        return bool(self._queues[_LAZY])

    def add(self, connection: Connection, kind: type, now: float) -> None:
        """A message of `kind` was added to what waits for the connection."""
        rank = _RANKS.get(kind, _DATA)
        if rank < connection.rank:
            connection.rank = rank
            queue = self._queues[rank]
            if rank == _LAZY and not queue:
                self.lazy_at = now + LAZY_S
            queue.append(connection)

    def is_due(self, now: float) -> bool:
        data, acks, lazy = self._queues
        return bool(data or acks or (lazy and now >= self.lazy_at))

    def take(self, now: float, *, all_of_it: bool) -> list[Connection]:
        """The connections to flush now, each once. Everything lazy goes once some of it is due."""
        data, acks, lazy = self._queues
        if all_of_it or (lazy and now >= self.lazy_at):
            self._queues = [], [], []
        else:
            self._queues = [], [], lazy
            lazy = []
        due = []
        for connection in chain(data, acks, lazy):
            if connection.rank != connection.CLEAN:
                connection.rank = connection.CLEAN
                due.append(connection)
        return due
