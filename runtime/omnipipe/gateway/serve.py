"""The whole life of a gateway process: connect to the stages, listen, say so, drain when told to, end.

SIGTERM, SIGINT      readiness off; after the lame-duck time nothing more admitted, running requests finish within
                     the grace period
the same again       stop now
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from itertools import islice

from omnipipe.coordinator.connection import connect
from omnipipe.families.registry import find_family, load_requests
from omnipipe.gateway.access_log import AccessLog
from omnipipe.gateway.app import create_app
from omnipipe.gateway.media import MediaResolver
from omnipipe.gateway.routes import Scrape
from omnipipe.gateway.served import Leaving, Served
from omnipipe.gateway.server import GatewayError, Server, open_listener
from omnipipe.gateway.settings import GatewaySettings
from omnipipe.observe.events import EventLog, Events, NoEvents
from omnipipe.observe.metrics import Registry
from omnipipe.observe.scrape import scrape_all
from omnipipe.settings import COLLECT_EVERY
from omnipipe.spec.plan import Plan

__all__ = ["CUT_SHORT", "GatewayError", "run_gateway"]

_log = logging.getLogger("omnipipe.gateway")

_LOOK_EVERY_S = 0.05
"""At the pipelines, until they can be asked: a start takes seconds."""

CUT_SHORT = 4
"""Exit code, as `omnipipe stage` has it: a second signal, or the grace period was over."""


def run_gateway(plans: Sequence[Plan], settings: GatewaySettings) -> int:
    """Serves until told to stop. The exit code: 0 after an orderly end, CUT_SHORT when requests did not finish."""
    with closing(open_listener(settings)) as listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(plans, settings, listener))


async def _serve(plans: Sequence[Plan], settings: GatewaySettings, listener: socket.socket) -> int:
    registry = Registry()
    starter = _Starter(settings.ready_fd)
    stage_admin = _admin_by_pipeline(plans, settings.stage_admin)
    access_log = AccessLog(sys.stdout.buffer) if settings.access_log else None
    events = _events(settings)
    async with AsyncExitStack() as stack:
        stack.callback(events.close)
        stack.callback(starter.close)

        def unloaded(plan: Plan) -> None:
            stage_admin.pop(plan.pipeline, None)
            starter.tell(f"deleted {plan.pipeline}")

        pipelines = [
            await stack.enter_async_context(_served(plan, settings, registry, events, unloaded)) for plan in plans
        ]
        leaving = Leaving()
        app = create_app(
            pipelines,
            settings,
            registry=registry,
            scrape=_scraper(registry, stage_admin),
            access_log=access_log,
            leaving=leaving,
        )
        server = Server(app, settings)
        drain = _Drain(pipelines, server, leaving, settings)
        gc.freeze()  # all that is there by now stays: a full collection need not look through it, tens of ms a time
        gc.set_threshold(COLLECT_EVERY)
        routable = asyncio.create_task(_tell_when_routable(pipelines, starter))
        with _told_to_stop(drain):
            await server.run_on(listener, lambda: _announce(listener, starter))
            await drain.finished()
        routable.cancel()
    if access_log is not None:
        access_log.flush()
    return CUT_SHORT if drain.cut_short else 0


def _events(settings: GatewaySettings) -> Events:
    if settings.events_dir is None:
        return NoEvents()
    return EventLog(settings.events_dir, "gateway", every_request=settings.events_of_all)


async def _tell_when_routable(pipelines: Sequence[Served], starter: "_Starter") -> None:
    """Stages that are ready have yet to be connected to, and to be heard of: only then is a request taken."""
    while not all(served.coordinator.health().ready for served in pipelines):  # noqa: ASYNC110  # has no event for it
        await asyncio.sleep(_LOOK_EVERY_S)
    starter.tell("routable")


class _Starter:
    """Who started this process, if it wants to hear of it: `ready`, `routable`, `deleted <pipeline>`."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def tell(self, words: str) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, f"{words}\n".encode())
        except OSError:  # it has gone
            self.close()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _admin_by_pipeline(plans: Sequence[Plan], stage_admin: Sequence[str]) -> dict[str, Sequence[str]]:
    """`serve` gives one for each replica of each stage of each plan, in order; what else there is belongs to none."""
    left = iter(stage_admin)
    found = {plan.pipeline: tuple(islice(left, sum(len(stage.addresses) for stage in plan.stages))) for plan in plans}
    return {**found, "": tuple(left)}


def _scraper(registry: Registry, stage_admin: Mapping[str, Sequence[str]]) -> Scrape:
    """`/metrics` for this process and, when it speaks for them, the stages on its machine."""

    async def scrape() -> bytes:
        own = registry.render()
        addresses = [address for some in stage_admin.values() for address in some]
        return (await scrape_all(own.decode(), addresses)).encode() if addresses else own

    return scrape


@asynccontextmanager
async def _served(
    plan: Plan, settings: GatewaySettings, registry: Registry, events: Events, unloaded: Callable[[Plan], None]
) -> AsyncIterator[Served]:
    """`unloaded`: hears of the pipeline's deletion, when nothing needs its stages any more."""
    family = find_family(plan.family)
    if family is None:
        raise GatewayError(f"the plan of {plan.pipeline} needs the family {plan.family!r}, which is not installed here")
    requests = load_requests(family)
    async with connect(plan, curve_dir=settings.curve_dir, registry=registry, events=events) as coordinator:

        async def unload() -> None:
            await coordinator.close()
            unloaded(plan)

        yield Served(plan, coordinator, requests, unload, MediaResolver(plan))


class _Drain:
    """The way from serving to stopped, in one task."""

    def __init__(
        self, pipelines: Sequence[Served], server: Server, leaving: Leaving, settings: GatewaySettings
    ) -> None:
        self._pipelines = pipelines
        self._server = server
        self._leaving = leaving
        self._lame_duck_s = settings.lame_duck_s
        self._grace_s = settings.grace_s
        self._task: asyncio.Task[None] | None = None
        self.cut_short = False
        """Requests were ended before they were done."""

    def on_signal(self) -> None:
        if self._task is None:
            self._leaving.begun = True
            self._task = asyncio.get_running_loop().create_task(self._drain())
        else:
            self.cut_short = self.cut_short or any(served.coordinator.health().in_flight for served in self._pipelines)
            self._task.cancel()
            self._server.stop(now=True)

    async def finished(self) -> None:
        """Ends the task, if there is one."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _drain(self) -> None:
        if self._lame_duck_s:
            _log.info("leaving: not ready any more, serving for another %g s", self._lame_duck_s)
            self._server.part_after_answers()
            await asyncio.sleep(self._lame_duck_s)
            self._server.part()
        _log.info("draining: running requests have %g s to finish", self._grace_s)
        async with asyncio.TaskGroup() as group:
            drains = [group.create_task(served.coordinator.drain(self._grace_s)) for served in self._pipelines]
        self.cut_short = not all(drain.result() for drain in drains)
        self._server.stop(now=False)


@contextmanager
def _told_to_stop(drain: _Drain) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain.on_signal)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # the end has begun and is bounded; do not leave it half done


def _announce(listener: socket.socket, starter: _Starter) -> None:
    host, port = listener.getsockname()[:2]
    _log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    starter.tell("ready")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed: a sixth to a third less CPU for each frame."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop
