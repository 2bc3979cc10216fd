"""The operator as one process: puts its parts together, runs them, and ends with a reason when one of them does."""

import asyncio
import logging
import random
import signal
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, Literal

import aiohttp

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.carry import Carrier
from omnipipe_operator.cluster.access import Access, find_access
from omnipipe_operator.cluster.errors import Forbidden, NoSuchKind, Unavailable
from omnipipe_operator.cluster.kinds import CHILD_KINDS, PIPELINE, POD, STAGE, Kind
from omnipipe_operator.cluster.kube import KubeCluster
from omnipipe_operator.cluster.limit import RateLimit
from omnipipe_operator.cluster.port import Cluster, version_of
from omnipipe_operator.crashes import LastWords
from omnipipe_operator.decisions import Decide, Refers
from omnipipe_operator.errors import StartFailed
from omnipipe_operator.events import Recorder
from omnipipe_operator.follow import Follower, relist
from omnipipe_operator.gateways import Gateways
from omnipipe_operator.leader import Leader, LeaseSettings
from omnipipe_operator.look import Looker
from omnipipe_operator.metrics import Metrics
from omnipipe_operator.observed import Object
from omnipipe_operator.optional import OptionalKinds
from omnipipe_operator.podwarnings import PodWarnings
from omnipipe_operator.probes import serve_probes
from omnipipe_operator.process_settings import ProcessSettings
from omnipipe_operator.queue import WorkQueue
from omnipipe_operator.reconcile import Reconciler
from omnipipe_operator.watch import KopfWatch
from omnipipe_operator.webhook import serve_webhook

__all__ = ["Wrap", "operate"]

_logger = logging.getLogger(__name__)
_STUCK_S: Final = 120.0
"""Work that has been due for longer, with no worker turning: the process is of no use any more."""

Wrap = Callable[[Cluster], Cluster]


async def operate(
    settings: ProcessSettings, decide: Decide, refers: Refers, wrap: Wrap = lambda cluster: cluster
) -> None:
    """Until SIGTERM or SIGINT. `wrap` comes between the operator and its cluster: for tests that break things there."""
    access = await find_access(settings.kubeconfig, settings.context)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        limit = RateLimit(settings.calls_per_s, settings.call_burst)
        cluster = wrap(await stack.enter_async_context(KubeCluster(access, limit, metrics.called)))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        operator = _Operator(settings, access, cluster, http, metrics, decide, refers)
        if settings.webhook is not None:
            await stack.enter_async_context(serve_webhook(settings.webhook, metrics))
        listening = await stack.enter_async_context(
            serve_probes(settings.listen, operator.not_alive, operator.not_ready, metrics)
        )
        _logger.info("probes and metrics on %s, cluster %s by %s", listening, access.configuration.host, access.source)
        await operator.run_until_told()


class _Operator:
    def __init__(
        self,
        settings: ProcessSettings,
        access: Access,
        cluster: Cluster,
        http: aiohttp.ClientSession,
        metrics: Metrics,
        decide: Decide,
        refers: Refers,
    ) -> None:
        self._settings, self._access, self._cluster, self._metrics = settings, access, cluster, metrics
        self._scopes: tuple[str | None, ...] = settings.namespaces or (None,)
        self._cache, self._queue = Cache(), WorkQueue[Key]()
        self._optional = OptionalKinds(cluster)
        self._gateways = Gateways(http)
        self._followers: dict[Follower, asyncio.Task[None]] = {}
        lease = settings.lease_namespace
        self._leader = Leader(cluster, settings.identity, LeaseSettings(lease)) if lease else None
        looker = Looker(
            cluster, self._cache, self._gateways, LastWords(cluster), PodWarnings(cluster), refers, self._optional.keys
        )
        self._reconciler = Reconciler(
            self._cache,
            self._queue,
            looker,
            decide,
            Carrier(cluster, self._cache, self._permit, lambda kind, verb: metrics.writes.labels(kind, verb).inc()),
            Recorder(cluster, lambda: metrics.writes.labels("Event", "create").inc()),
            metrics,
        )
        metrics.watch(lambda: self._queue.depth, lambda: self._queue.oldest_s, self._conditions)
        self._synced = False
        self._working = False

    def not_alive(self) -> str | None:
        if self._working and self._queue.oldest_s > _STUCK_S:
            return f"work has been waiting for {self._queue.oldest_s:.0f} s and no worker took it"
        return None

    def not_ready(self) -> str | None:
        if self._synced:
            return None
        missing = [str(follower) for follower in self._followers if not follower.synced.is_set()]
        return f"waiting for the first list of: {', '.join(missing) or 'pipelines'}"

    async def run_until_told(self) -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        running = asyncio.create_task(self._run(), name="operator")
        waiting = asyncio.create_task(told.wait(), name="signals")
        try:
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (running, waiting):
                task.cancel()
            ended = await asyncio.gather(running, waiting, return_exceptions=True)
            if self._leader is not None:
                await self._leader.release()
        if isinstance(ended[0], BaseException) and not isinstance(ended[0], asyncio.CancelledError):
            raise _first(ended[0])
        _logger.info("told to stop")

    async def _run(self) -> None:
        await self._check_rights()
        async with asyncio.TaskGroup() as tasks:
            watch = KopfWatch(self._access, self._settings.namespaces, self._deliver)
            await self._list_pipelines()
            tasks.create_task(watch.run(), name="kopf")
            self._follow(tasks, (POD, STAGE, *CHILD_KINDS))
            appeared, _ = await self._optional.look()
            self._follow(tasks, sorted(appeared, key=str))
            tasks.create_task(self._optional.watch(partial(self._kinds_changed, tasks)), name="kinds")
            for follower in list(self._followers):
                await follower.synced.wait()
            self._synced = True
            _logger.info("know %d objects of %d pipelines", len(self._cache), len(self._cache.keys()))
            if self._leader is not None:
                await self._leader.acquire()
                tasks.create_task(self._leader.hold(), name="lease")
            self._metrics.leader.set(1)
            self._working = True
            for number in range(self._settings.workers):
                tasks.create_task(self._reconciler.work(), name=f"worker {number}")
            tasks.create_task(self._resync(), name="resync")

    def _permit(self) -> None:
        if self._leader is not None:
            self._leader.permit()

    async def _check_rights(self) -> None:
        """What would fail for ever fails now, in words for whoever installs it."""
        try:
            async for _page in self._cluster.pages(PIPELINE, self._scopes[0]):
                break
        except NoSuchKind as error:
            raise StartFailed("the cluster has no OmniPipeline: install the CRDs (kubectl apply -f crds/)") from error
        except Forbidden as error:
            where = f"in namespace {self._scopes[0]}" if self._scopes[0] else "in all namespaces (or give --namespace)"
            raise StartFailed(f"{error}; the operator's service account needs that right {where}") from error
        except Unavailable as error:
            raise StartFailed(f"the API server at {self._access.configuration.host}: {error}") from error

    async def _list_pipelines(self) -> None:
        """Raises ClusterError. What vanished while nobody watched is found here."""
        for scope in self._scopes:
            _version, affected = await relist(self._cluster, self._cache, PIPELINE, scope)
            self._enqueue(affected)

    def _follow(self, tasks: asyncio.TaskGroup, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            for scope in self._scopes:
                follower = Follower(self._cluster, self._cache, kind, scope, self._enqueue, self._metrics.heard)
                self._followers[follower] = tasks.create_task(follower.run(), name=f"watch {follower}")

    def _kinds_changed(self, tasks: asyncio.TaskGroup, appeared: frozenset[Kind], vanished: frozenset[Kind]) -> None:
        for follower in [follower for follower in self._followers if follower.kind in vanished]:
            self._followers.pop(follower).cancel()
            self._cache.forget_kind(follower.kind)
        self._follow(tasks, sorted(appeared, key=str))
        self._enqueue(self._cache.keys())

    def _deliver(self, how: Literal["DELETED"] | None, value: Object) -> None:
        self._metrics.heard(PIPELINE.name, how or "CHANGED")
        metadata = value["metadata"]
        if how == "DELETED":
            self._enqueue(self._cache.drop(PIPELINE, metadata["namespace"], metadata["name"], version_of(value)))
        else:
            self._enqueue(self._cache.put(PIPELINE, value))

    def _enqueue(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)

    async def _resync(self) -> None:
        """Every pipeline once in each period, spread over the first half of it."""
        self._enqueue(self._cache.keys())
        while True:
            await asyncio.sleep(self._settings.resync_s)
            try:
                await self._list_pipelines()
            except Unavailable as error:
                _logger.info("resync: %s", error)
            keys = self._cache.keys()
            self._gateways.forget(pod["metadata"]["uid"] for key in keys for pod in self._cache.pods(key))
            for key in keys:
                self._queue.add(key, random.uniform(0, self._settings.resync_s / 2))

    def _conditions(self) -> dict[tuple[str, str], int]:
        counts: dict[tuple[str, str], int] = {}
        for key in self._cache.keys():  # noqa: SIM118 - not a dict
            pipeline = self._cache.pipeline(key) or {}
            for condition in pipeline.get("status", {}).get("conditions", ()):
                place = (condition["type"], condition["status"])
                counts[place] = counts.get(place, 0) + 1
        return counts


def _first(error: BaseException) -> BaseException:
    """What ended the process, out of the groups that tasks fail in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
