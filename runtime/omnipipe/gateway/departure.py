"""Noticing a client that leaves while its answer is being made.

    with Departure(exchange):     # ClientLeft comes out of it the moment the client is gone
        ...

It cancels the request's own task, whatever that is waiting for - admission, the next piece, room in the socket - so
that `finally` blocks free the work at once. Our own server (`protocol`) tells of a lost connection directly, at no cost
while the client stays. Any other ASGI server tells it through `receive`, where a task has to wait.
"""

import asyncio
from types import TracebackType

from omnipipe.gateway.exchange import ClientLeft, Exchange, Receive

__all__ = ["Departure"]


class Departure:
    __slots__ = ("_connection", "_owner", "_receive", "_task", "left")

    def __init__(self, exchange: Exchange) -> None:
        owner = asyncio.current_task()
        assert owner is not None, "a request is answered in a task"
        self._owner = owner
        self._receive = exchange.receive
        self._connection = exchange.connection
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
