"""Noticing a client that leaves while its answer is being made.

    with Departure(exchange):     # ClientLeft comes out of it the moment the client is gone
        ...

It cancels the request's own task, whatever that is waiting for - admission, the next piece, room in the socket - so
that `finally` blocks free the work at once. Our own server (`protocol`) tells of a lost connection directly, which costs
nothing while the client stays. Any other ASGI server tells it through `receive`, where a task has to wait.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from omnipipe.gateway.exchange import ClientLeft, Exchange, Receive

__all__ = ["STATE_KEY", "Connection", "Departure"]

STATE_KEY = "omnipipe.connection"
"""Where in a scope's `state` our server leaves its Connection."""


class Connection(Protocol):
    """What our server says of the connection that a request came over. It answers one request at a time."""

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Calls once, when the connection is lost; at once when it already is."""

    def unwatch(self) -> None: ...


class Departure:
    __slots__ = ("_connection", "_owner", "_receive", "_task", "left")

    def __init__(self, exchange: Exchange) -> None:
        owner = asyncio.current_task()
        assert owner is not None, "a request is answered in a task"
        self._owner = owner
        self._receive = exchange.receive
        self._connection: Connection | None = exchange.scope.get("state", {}).get(STATE_KEY)
        self._task: asyncio.Task[None] | None = None
        self.left = False

    def __enter__(self) -> None:
        if self._connection is not None:
            self._connection.watch(self._on_left)
        else:
            self._task = self._owner.get_loop().create_task(self._wait(self._receive))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.unwatch()
        if self._task is not None:
            self._task.cancel()
        if self.left and kind is asyncio.CancelledError and self._owner.uncancel() == 0:
            raise ClientLeft from error

    def _on_left(self) -> None:
        self.left = True
        self._owner.cancel()

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._on_left()
