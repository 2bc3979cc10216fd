"""The operator's own HTTP port: `/livez`, `/readyz` and `/metrics`. Nothing here is for people outside the cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from omnipipe_operator.errors import StartFailed
from omnipipe_operator.metrics import CONTENT_TYPE, Metrics
from omnipipe_operator.process_settings import Listen

__all__ = ["Problem", "serve_probes"]

Problem = Callable[[], str | None]
"""Why it is not alive, or not ready; None when it is."""
_SHUTDOWN_S: Final = 1.0


@asynccontextmanager
async def serve_probes(listen: Listen, alive: Problem, ready: Problem, metrics: Metrics) -> AsyncIterator[Listen]:
    """Where it listens, with the port that was found when 0 was asked for. Raises StartFailed."""

    def probe(problem: Problem) -> Callable[[web.Request], object]:
        async def answer(_request: web.Request) -> web.Response:
            words = problem()
            return web.Response(text=f"{words or 'ok'}\n", status=503 if words else 200)

        return answer

    async def scrape(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    for path, handler in (("/livez", probe(alive)), ("/readyz", probe(ready)), ("/metrics", scrape)):
        app.router.add_get(path, handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, listen.host, listen.port)
        try:
            await site.start()
        except OSError as error:
            raise StartFailed(f"cannot listen on {listen}: {error.strerror or error}") from error
        yield Listen(listen.host, runner.addresses[0][1])
    finally:
        await runner.cleanup()
