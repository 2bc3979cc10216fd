"""The routes whose answers come in one go, on bare ASGI like the hot ones: their bodies may be as large, and clients
leave them as well."""

from omnipipe.gateway.exchange import Exchange
from omnipipe.gateway.openai.order import WholeOrder
from omnipipe.gateway.post import BodyT, PostRoute, count_tokens
from omnipipe.observe.metrics import RouteMetrics

__all__ = ["WholeRoute"]


class WholeRoute(PostRoute[BodyT, WholeOrder]):
    """One POST route."""

    async def answer(self, exchange: Exchange, order: WholeOrder, metrics: RouteMetrics) -> None:
        flight = await order.served.coordinator.submit(order.request)
        try:
            order.answer.keep(await flight.whole())
        finally:
            flight.close()
        await exchange.answer(200, await order.answer.body())
        count_tokens([order.answer], metrics)
