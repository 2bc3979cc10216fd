"""Noticing a client that leaves while its answer is being made.

    with departure(exchange.receive):     # ClientLeft comes out of it the moment the client is gone
        ...

ASGI tells it through `receive`, so somebody has to wait there: one task for each request in progress. It cancels the
request's own task, whatever that is waiting for - admission, the next piece, room in the socket - so that `finally`
blocks free the work at once.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from omnipipe.gateway.exchange import ClientLeft, Receive

__all__ = ["departure"]


@contextmanager
def departure(receive: Receive) -> Iterator[None]:
    watch = _Watch(receive)
    try:
        yield
    except asyncio.CancelledError as error:
        if watch.left and watch.owner.uncancel() == 0:
            raise ClientLeft from error
        raise
    finally:
        watch.task.cancel()


class _Watch:
    __slots__ = ("left", "owner", "task")

    def __init__(self, receive: Receive) -> None:
        owner = asyncio.current_task()
        assert owner is not None, "a request is answered in a task"
        self.owner = owner
        self.left = False
        self.task = owner.get_loop().create_task(self._wait(receive))

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self.owner.cancel()
