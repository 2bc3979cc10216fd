"""A request whose answer comes in one go, seen through without a task of its own: what there is to do is done where its
last byte is read, and where its last piece has come. To make a task, and to wake it through every coroutine that it is
in, takes a good part of what a small request costs.

Only for what waits for nothing but the pipeline. Whatever else comes up - an error to be told, a client that does not
take its answer - goes on in a task (`Host.go_on`), where it can wait.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from omnipipe.coordinator.flight import Flight
from omnipipe.errors import ErrorKind
from omnipipe.gateway.departure import Departure
from omnipipe.gateway.exchange import Connection, Exchange, InTask
from omnipipe.gateway.openai.order import Order
from omnipipe.gateway.post import count_tokens
from omnipipe.observe.metrics import RouteMetrics

__all__ = ["Host", "Taskless", "Work", "fail"]

Work = Callable[[Exchange], Awaitable[None]]


class Host(Protocol):
    """Who handed over the exchange, and wants to hear of its end."""

    def go_on(self, exchange: Exchange, work: Work, in_task: InTask) -> None:
        """`work` in a task; errors that come out of it are told to the client, and the end is recorded."""

    def record(self, exchange: Exchange) -> None: ...


class Taskless:
    __slots__ = ("_connection", "_exchange", "_flight", "_host", "_in_task", "_metrics", "_order")

    def __init__(
        self,
        host: Host,
        in_task: InTask,
        connection: Connection,
        exchange: Exchange,
        order: Order[Any],
        metrics: RouteMetrics,
    ) -> None:
        """Of an order of one choice, no stream, whose answer is light. Raises RequestError when the pipeline refuses
        it; then nothing has begun."""
        self._host = host
        self._in_task = in_task
        self._connection = connection
        self._exchange = exchange
        self._order = order
        self._metrics = metrics
        flight = order.served.coordinator.open(order.requests[0])
        metrics.in_flight.inc()
        self._flight: Flight | None = flight
        """None: it is over here."""
        connection.watch(self._on_left)
        flight.then(self._on_end)

    def _on_left(self) -> None:
        exchange = self._exchange
        exchange.failed = ErrorKind.CANCELLED
        self._let_go()
        self._host.record(exchange)

    def _on_end(self) -> None:
        flight = self._flight
        if flight is None:
            return
        self._let_go()
        exchange, answer = self._exchange, self._order.answer
        try:
            writers = [answer.writer(0)]
            writers[0].keep(flight.result())
            body = answer.whole(writers)
        except Exception as error:  # the boundary to the event loop; in its task it is told, and logged if it is a bug
            self._host.go_on(exchange, partial(fail, error), self._in_task)
            return
        count_tokens(writers, self._metrics)
        if exchange.wrote(body):
            self._host.record(exchange)
        else:
            self._host.go_on(exchange, partial(_answer, body), self._in_task)

    def _let_go(self) -> None:
        flight, self._flight = self._flight, None
        if flight is not None:
            self._connection.unwatch()
            self._metrics.in_flight.dec()
            flight.close()


async def fail(error: Exception, exchange: Exchange) -> None:
    """The work of telling it."""
    raise error


async def _answer(body: bytes, exchange: Exchange) -> None:
    with Departure(exchange):
        await exchange.answer(200, body)
