"""What the POST routes on bare ASGI share: from bytes to an order, and counting what became of it.

`hot` answers with streams, `whole` in one go.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from omnipipe.gateway.body import read_body
from omnipipe.gateway.departure import Departure
from omnipipe.gateway.exchange import Exchange
from omnipipe.gateway.openai.answer import Counted
from omnipipe.gateway.openai.order import CallerBody, Draft, Limits
from omnipipe.gateway.openai.parse import BodyParser
from omnipipe.gateway.openai.refusals import invalid
from omnipipe.gateway.request_ids import sane_request_id
from omnipipe.gateway.served import ModelTable, Served
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.metrics import GatewayMetrics, RouteMetrics

__all__ = ["BodyT", "PostRoute", "count_tokens"]

BodyT = TypeVar("BodyT", bound=CallerBody)
OrderT = TypeVar("OrderT")

MakeOrder = Callable[[BodyT, Served, str, int, Limits], OrderT | Draft[OrderT]]


class PostRoute(ABC, Generic[BodyT, OrderT]):
    def __init__(
        self,
        path: str,
        body: type[BodyT] | None,
        order: MakeOrder[BodyT, OrderT],
        models: ModelTable,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
    ) -> None:
        """`body`: a struct, or a union of structs; None for a route that reads its bodies in a way of its own."""
        self.path = path
        self.parse = None if body is None else BodyParser(body)
        self._order = order
        self._models = models
        self._metrics = metrics
        self.max_body_bytes = settings.max_body_bytes
        self.body_timeout_s = settings.body_timeout_s
        self._limits = Limits(settings.max_choices, events=settings.events_dir is not None)

    async def __call__(self, exchange: Exchange) -> None:
        await self.carry_out(self.ordered(exchange, await self.read(exchange)), exchange)

    def ordered(self, exchange: Exchange, body: BodyT) -> OrderT | Draft[OrderT]:
        if body.request_id is not None:
            exchange.request_id = _checked_request_id(body.request_id)
        served = self._models.find(body.model)
        exchange.model = served.name
        return self._order(body, served, exchange.request_id, int(time.time()), self._limits)

    async def carry_out(self, order: OrderT | Draft[OrderT], exchange: Exchange) -> None:
        """In the task of the request."""
        metrics = self.metrics(exchange)
        metrics.in_flight.inc()
        try:
            with Departure(exchange):
                if isinstance(order, Draft):
                    order = order.finish(await order.served.resolver.resolve(order.prompt))
                await self.answer(exchange, order, metrics)
        finally:
            metrics.in_flight.dec()

    def metrics(self, exchange: Exchange) -> RouteMetrics:
        return self._metrics.route(exchange.model, self.path)

    async def read(self, exchange: Exchange) -> BodyT:
        assert self.parse is not None, "a route without a body's type reads for itself"
        data = await read_body(exchange, limit=self.max_body_bytes, timeout_s=self.body_timeout_s)
        return self.parse(data)

    @abstractmethod
    async def answer(self, exchange: Exchange, order: OrderT, metrics: RouteMetrics) -> None: ...


def count_tokens(answers: Sequence[Counted], metrics: RouteMetrics) -> None:
    for answer in answers:
        usage = answer.tally.usage
        if usage is not None:
            metrics.prompt_tokens.inc(usage.prompt_tokens)
            metrics.completion_tokens.inc(usage.completion_tokens)


def _checked_request_id(given: str) -> str:
    """The schema's pattern lets a line end pass after the last character; a header must not hold one."""
    if sane_request_id(given.encode()) is None:
        raise invalid("'request_id' must be 1 to 128 letters, digits or any of ._:-", "request_id")
    return given
