"""POST /generate: the route, which looks at what kind of body there is."""

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.exchange import Exchange
from omnipipe.gateway.hot import HotRoute
from omnipipe.gateway.native.form import is_form, read_form
from omnipipe.gateway.native.form_order import form_order
from omnipipe.gateway.native.form_request import FormBody, form_body
from omnipipe.gateway.native.lines import LinesWriter
from omnipipe.gateway.native.prompt_answer import PromptWriter
from omnipipe.gateway.native.prompt_order import prompt_order
from omnipipe.gateway.native.prompt_request import PromptBody
from omnipipe.gateway.openai.order import Order
from omnipipe.gateway.served import ModelTable
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.metrics import GatewayMetrics, RouteMetrics

__all__ = ["GenerateRoute"]

_PATH = "/generate"


class GenerateRoute:
    """A form or a JSON document."""

    path = _PATH

    def __init__(self, models: ModelTable, settings: GatewaySettings, metrics: GatewayMetrics) -> None:
        self._forms = _FormRoute(models, settings, metrics)
        self._prompts: HotRoute[PromptBody, PromptWriter] = HotRoute(
            _PATH, PromptBody, prompt_order, models, settings, metrics
        )

    async def __call__(self, exchange: Exchange) -> None:
        route = self._forms if is_form(exchange.content_type) else self._prompts
        await route(exchange)


class _FormRoute(HotRoute[FormBody, LinesWriter]):
    def __init__(self, models: ModelTable, settings: GatewaySettings, metrics: GatewayMetrics) -> None:
        super().__init__(_PATH, None, form_order, models, settings, metrics)
        self._running: set[str] = set()
        """Requests by id. Clients of this route know their requests by it, so two must not share one."""

    async def read(self, exchange: Exchange) -> FormBody:
        return form_body(await read_form(exchange, limit=self.max_body_bytes, timeout_s=self.body_timeout_s))

    async def answer(self, exchange: Exchange, order: Order[LinesWriter], metrics: RouteMetrics) -> None:
        request_id = exchange.request_id
        if request_id in self._running:
            raise RequestError(
                ErrorKind.CONFLICT, f"A request with the id {request_id} is running.", param="request_id"
            )
        self._running.add(request_id)
        try:
            await super().answer(exchange, order, metrics)
        finally:
            self._running.discard(request_id)
