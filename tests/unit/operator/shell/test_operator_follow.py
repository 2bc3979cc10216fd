"""A follower keeps the cache as the cluster is, also over what happened while it could not watch."""

import asyncio
from collections.abc import AsyncIterator, Callable

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.cluster.errors import Gone, NoSuchKind
from omnipipe_operator.cluster.kinds import CHILD_KINDS, OPTIONAL_KINDS, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.cluster.port import Change, Page
from omnipipe_operator.follow import Follower
from omnipipe_operator.observed import Object
from omnipipe_operator.optional import OptionalKinds

CONFIG = next(kind for kind in CHILD_KINDS if kind.name == "ConfigMap")
KEY = Key("ns", "chat")


class Forgetful(MemoryCluster):
    """Has no history to resume from, once."""

    gone = False
    has_kind = True

    async def watch(self, kind: Kind, namespace: str | None, labels: str, since: str) -> AsyncIterator[Change]:
        async for change in super().watch(kind, namespace, labels, since):
            if self.gone:
                self.gone = False
                raise Gone("too old", 410)
            yield change

    async def pages(self, kind: Kind, namespace: str | None, labels: str = "") -> AsyncIterator[Page]:
        if not self.has_kind:
            raise NoSuchKind("no such path", 404)
        async for page in super().pages(kind, namespace, labels):
            yield page


def config(name: str, labels: dict[str, str] | None = None) -> Object:
    ours = {"app.kubernetes.io/managed-by": "omnipipe", "omnipipe.dev/pipeline": "chat"}
    head = {"name": name, "namespace": "ns", "labels": ours if labels is None else labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head}


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - what is looked at has no event
            await asyncio.sleep(0.005)


async def test_it_lists_watches_and_lists_again_when_history_is_lost() -> None:
    cluster, cache = Forgetful(), Cache()
    told: set[Key] = set()
    await cluster.create(CONFIG, config("a"))
    await cluster.create(CONFIG, config("theirs", {}))
    follower = Follower(cluster, cache, CONFIG, None, told.update, lambda *_: None)
    running = asyncio.create_task(follower.run())

    def names() -> list[str]:
        return [child["metadata"]["name"] for child in cache.children(KEY)]

    try:
        await until(follower.synced.is_set)
        assert (names(), told) == (["a"], {KEY})

        await cluster.create(CONFIG, config("b"))
        await until(lambda: names() == ["a", "b"])

        cluster.gone = True
        told.clear()
        await cluster.remove(CONFIG, "ns", "b")
        await until(lambda: names() == ["a"])
        assert told == {KEY}
        await cluster.create(CONFIG, config("c"))
        await until(lambda: names() == ["a", "c"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_kind_that_is_missing_for_a_while_is_waited_for() -> None:
    cluster, cache = Forgetful(), Cache()
    await cluster.create(CONFIG, config("a"))
    cluster.has_kind = False
    follower = Follower(cluster, cache, CONFIG, "ns", lambda _: None, lambda *_: None)
    running = asyncio.create_task(follower.run())
    try:
        await until(follower.synced.is_set)
        cluster.has_kind = True
        await until(lambda: len(cache) == 1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_optional_kinds_come_and_go() -> None:
    cluster = MemoryCluster()
    optional = OptionalKinds(cluster)

    assert await optional.look() == (frozenset(OPTIONAL_KINDS), frozenset())
    route = next(kind for kind in OPTIONAL_KINDS if kind.name == "HTTPRoute")
    cluster.kinds.discard(route.key)

    assert await optional.look() == (frozenset(), frozenset({route}))
    assert route.key not in optional.keys()  # noqa: SIM118 - not a dict
