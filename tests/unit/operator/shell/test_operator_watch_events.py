"""Each event of a watch, one after another: what it does to the cache, and who is told."""

import asyncio
from collections.abc import AsyncIterator

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.cluster.kinds import CHILD_KINDS, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.cluster.port import Change
from omnipipe_operator.follow import Follower
from omnipipe_operator.observed import Object

CONFIG = next(kind for kind in CHILD_KINDS if kind.name == "ConfigMap")
KEY = Key("ns", "chat")


class Scripted(MemoryCluster):
    """Watches tell what they were given, and then stay open."""

    def __init__(self, *changes: Change) -> None:
        super().__init__()
        self.changes, self.told = list(changes), asyncio.Event()
        self.asked_since: list[str] = []

    async def watch(self, kind: Kind, namespace: str | None, labels: str, since: str) -> AsyncIterator[Change]:
        self.asked_since.append(since)
        for change in self.changes:
            yield change
        self.changes = []
        if len(self.asked_since) == 1:
            return  # as the server ends a watch every few minutes
        self.told.set()
        await asyncio.Event().wait()


def config(version: int, **more: object) -> Object:
    ours = {"app.kubernetes.io/managed-by": "omnipipe", "omnipipe.dev/pipeline": "chat"}
    head = {"name": "a", "namespace": "ns", "labels": ours, "resourceVersion": str(version), "uid": "u"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, **more}


async def after(*changes: Change) -> tuple[list[Object], list[set[Key]], list[tuple[str, str]], list[str]]:
    """What is known of the pipeline then, who was told, what was heard, and from where it was watched."""
    cluster, cache = Scripted(*changes), Cache()
    told: list[set[Key]] = []
    heard: list[tuple[str, str]] = []
    follower = Follower(
        cluster, cache, CONFIG, None, lambda keys: told.append(set(keys)), lambda *event: heard.append(event)
    )
    running = asyncio.create_task(follower.run())
    try:
        await asyncio.wait_for(cluster.told.wait(), 20)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return list(cache.children(KEY)), told, heard, cluster.asked_since


async def test_what_is_deleted_is_forgotten_and_its_pipeline_is_told() -> None:
    children, told, heard, _ = await after(Change("ADDED", config(5)), Change("DELETED", config(6)))

    assert children == []
    assert told[-2:] == [{KEY}, {KEY}]
    assert heard == [("ConfigMap", "ADDED"), ("ConfigMap", "DELETED")]


async def test_a_bookmark_tells_nobody_and_moves_the_place_to_go_on_from() -> None:
    bookmark = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"resourceVersion": "77"}}

    children, told, heard, since = await after(Change("ADDED", config(5)), Change("BOOKMARK", bookmark))

    assert [child["metadata"]["name"] for child in children] == ["a"]
    assert told[1:] == [{KEY}]
    assert heard[-1] == ("ConfigMap", "BOOKMARK")
    assert since == ["0", "77"]
