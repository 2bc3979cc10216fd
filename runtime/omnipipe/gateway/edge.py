"""The outermost layer: whoever answers, each request gets an id, is let in or not, ends in one envelope and is counted.

It hands the routes on bare ASGI to `post` and everything else to the framework. Nothing above it may raise.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import Protocol, runtime_checkable

from omnipipe.errors import ErrorKind, RequestError
from omnipipe.gateway.access_log import AccessLog
from omnipipe.gateway.body import Unread
from omnipipe.gateway.errors import INTERNAL_MESSAGE, from_status
from omnipipe.gateway.exchange import CLIENT_LEFT_STATUS, ASGIApp, ClientLeft, Exchange, InTask, Receive, Scope, Send
from omnipipe.gateway.keys import KeyRing
from omnipipe.gateway.request_ids import new_request_id, sane_request_id
from omnipipe.gateway.taskless import Host, Work, fail
from omnipipe.observe.metrics import UNKNOWN_MODEL, GatewayMetrics, Outcome

__all__ = ["OPEN_PATHS", "BareRoute", "Edge"]

_log = logging.getLogger("omnipipe.gateway")

OPEN_PATHS = frozenset({"/health", "/livez", "/readyz", "/metrics"})
"""Answered without a key: probes and scrapers have none."""

_ROUTES = OPEN_PATHS | {"/v1/models", "/openapi.json", "/openapi.yaml"}
_OTHER_ROUTE = "other"


class BareRoute(Protocol):
    """A POST route that is answered ahead of the framework."""

    @property
    def path(self) -> str: ...

    async def __call__(self, exchange: Exchange) -> None: ...


@runtime_checkable
class QuickRoute(Protocol):
    """One that may not need a task."""

    def at_once(self, exchange: Exchange, host: Host, in_task: InTask) -> Work | None: ...


class Edge:
    """An ASGI application."""

    def __init__(
        self,
        framework: ASGIApp,
        hot: Mapping[str, BareRoute],
        keys: KeyRing,
        metrics: GatewayMetrics,
        access_log: AccessLog | None,
        *,
        trust_request_id: bool,
    ) -> None:
        self._framework = framework
        self._hot = hot
        self._quick = {path: route for path, route in hot.items() if isinstance(route, QuickRoute)}
        self._keys = keys
        self._asks_for_key = bool(keys)
        self._metrics = metrics
        self._access_log = access_log
        self._trust_request_id = trust_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
            return
        await self._see_through(self._opened(scope, receive, send), self._answer)

    def at_once(self, scope: Scope, receive: Receive, send: Send, in_task: InTask) -> ASGIApp | None:
        """`protocol.AtOnce`."""
        route = self._quick.get(scope["path"])
        if route is None or scope["method"] != "POST":
            return self
        exchange = self._opened(scope, receive, send)
        try:
            self._let_in(exchange)
            left = route.at_once(exchange, self, in_task)
        except Exception as error:  # the boundary to the event loop; in its task it is told, and logged if it is a bug
            left = partial(fail, error)
        return None if left is None else self._going_on(exchange, left)

    def go_on(self, exchange: Exchange, work: Work, in_task: InTask) -> None:
        in_task(self._going_on(exchange, work))

    def record(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.began
        outcome = _outcome(exchange)
        metrics = self._metrics.route(exchange.model or UNKNOWN_MODEL, self._route(exchange.path))
        metrics.ended(outcome, seconds)
        metrics.response_bytes.inc(exchange.sent_bytes)
        if self._access_log is not None:
            self._access_log.record(exchange, exchange.status or CLIENT_LEFT_STATUS, outcome, seconds)

    def _opened(self, scope: Scope, receive: Receive, send: Send) -> Exchange:
        exchange = Exchange(scope, receive, send)
        given = exchange.client_request_id
        exchange.request_id = (sane_request_id(given) if given and self._trust_request_id else None) or new_request_id()
        return exchange

    def _let_in(self, exchange: Exchange) -> None:
        if self._asks_for_key and exchange.path not in OPEN_PATHS:
            self._keys.check(exchange.authorization)

    async def _answer(self, exchange: Exchange) -> None:
        self._let_in(exchange)
        hot = self._hot.get(exchange.path)
        if hot is None:
            await self._framework(exchange.scope, exchange.receive, exchange.forward)
        elif exchange.method == "POST":
            await hot(exchange)
        else:
            detail = f"Not allowed to {exchange.method} on {exchange.path} (HINT: perhaps you meant to POST?)"
            await exchange.answer(405, from_status(405, detail), (b"allow", b"POST"))

    def _going_on(self, exchange: Exchange, work: Work) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._see_through(exchange, work)

        return app

    async def _see_through(self, exchange: Exchange, work: Work) -> None:
        try:
            await work(exchange)
        except ClientLeft:
            exchange.failed = ErrorKind.CANCELLED
        except Unread as error:
            await exchange.refuse_body(error)
        except RequestError as error:
            await exchange.fail(error)
        except asyncio.CancelledError:
            exchange.failed = ErrorKind.CANCELLED
            raise
        except Exception:  # a bug of ours or a family's: this request fails, the process goes on
            _log.exception("request %s failed", exchange.request_id)
            await exchange.fail(RequestError(ErrorKind.INTERNAL, INTERNAL_MESSAGE))
        finally:
            self.record(exchange)

    def _route(self, path: str) -> str:
        if path in self._hot or path in _ROUTES:
            return path
        return "/v1/models/{model}" if path.startswith("/v1/models/") else _OTHER_ROUTE


def _outcome(exchange: Exchange) -> Outcome:
    if exchange.failed is ErrorKind.CANCELLED:
        return Outcome.CLIENT_LEFT
    status = exchange.status
    if exchange.failed is not None and status < 400:
        return Outcome.TIMEOUT if exchange.failed is ErrorKind.DEADLINE else Outcome.SERVER_ERROR
    if status < 400:
        return Outcome.OK
    if status in (429, 503):
        return Outcome.REFUSED
    if status in (408, 504):
        return Outcome.TIMEOUT
    return Outcome.CLIENT_ERROR if status < 500 else Outcome.SERVER_ERROR
