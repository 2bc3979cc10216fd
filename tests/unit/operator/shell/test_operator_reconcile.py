"""Reconcile on an API server in memory: only differences are written, others' things are left alone, and a cache that
is behind does no harm."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.carry import Carrier, Stale
from omnipipe_operator.children import Owner, stamped
from omnipipe_operator.children.labels import Component
from omnipipe_operator.children.meta import metadata
from omnipipe_operator.cluster.errors import Invalid
from omnipipe_operator.cluster.kinds import CHILD_KINDS, EVENT, PIPELINE, POD, STAGE, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.cluster.port import Applied
from omnipipe_operator.crashes import LastWords
from omnipipe_operator.errors import LeaseLost
from omnipipe_operator.events import Recorder
from omnipipe_operator.follow import OURS, relist
from omnipipe_operator.gateways import Gateways
from omnipipe_operator.look import Looker
from omnipipe_operator.metrics import Metrics
from omnipipe_operator.observed import Decision, Note, Object, Observed, Ref, ref_of
from omnipipe_operator.podwarnings import PodWarnings
from omnipipe_operator.queue import WorkQueue
from omnipipe_operator.reconcile import Reconciler

CONFIG = next(kind for kind in CHILD_KINDS if kind.name == "ConfigMap")
KEY = Key("ns", "chat")


class Picky(MemoryCluster):
    refuses = ""

    def __init__(self) -> None:
        super().__init__()
        self.peeks: list[str] = []

    async def peek(self, kind: Kind, namespace: str, name: str) -> Object:
        self.peeks.append(name)
        return await super().peek(kind, namespace, name)

    async def apply(self, kind: Kind, value: Object, *, new: bool = False) -> Applied:
        if value["metadata"]["name"] == self.refuses:
            raise Invalid("spec.x: Invalid value", 422)
        return await super().apply(kind, value, new=new)


class Rig:
    """Decides that there be ConfigMaps with these names and this content, and counts them in the status."""

    def __init__(self) -> None:
        self.cluster, self.cache, self.queue = Picky(), Cache(), WorkQueue[Key]()
        self.wanted: dict[str, dict[str, str]] = {"a": {"x": "1"}, "b": {}}
        self.unwanted: list[str] = []
        self.notes: tuple[Note, ...] = ()
        self.seen: Observed | None = None
        self.leading = True

    async def __aenter__(self) -> "Rig":
        self.http = aiohttp.ClientSession()
        looker = Looker(
            self.cluster,
            self.cache,
            Gateways(self.http),
            LastWords(self.cluster),
            PodWarnings(self.cluster),
            lambda _: (),
            frozenset,
        )
        carrier = Carrier(self.cluster, self.cache, self.permit, lambda *_: None)
        self.reconciler = Reconciler(
            self.cache, self.queue, looker, self.decide, carrier, Recorder(self.cluster), Metrics()
        )
        head = {"name": "chat", "namespace": "ns"}
        await self.cluster.create(PIPELINE, {**_typed(PIPELINE), "metadata": head, "spec": {}})
        await self.sync()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    def permit(self) -> None:
        if not self.leading:
            raise LeaseLost("lost")

    def decide(self, observed: Observed) -> Decision:
        self.seen = observed
        owner = Owner.of(observed.pipeline)
        own = [child for child in observed.children if owner.owns(child)]
        apply = [self.config(owner, name, data) for name, data in self.wanted.items()]
        delete = tuple(ref_of(child) for child in own if child["metadata"]["name"] in self.unwanted)
        return Decision(tuple(apply), delete, {"readyStages": str(len(own))}, notes=self.notes)

    def config(self, owner: Owner, name: str, data: dict[str, str]) -> Object:
        return stamped({**_typed(CONFIG), "metadata": metadata(owner, name, Component.PLAN), "data": data})

    async def sync(self) -> None:
        for kind in (PIPELINE, CONFIG, POD, STAGE):
            await relist(self.cluster, self.cache, kind, None, "" if kind is PIPELINE else OURS)

    async def settle(self) -> list[tuple[str, str, str]]:
        """The writes until nothing is written any more."""
        before = len(self.cluster.writes)
        for _ in range(5):
            at = len(self.cluster.writes)
            try:
                await self.reconciler.reconcile(KEY)
            except Stale:
                continue
            if len(self.cluster.writes) == at:
                return self.cluster.writes[before:]
        raise AssertionError(f"it never settles: {self.cluster.writes[before:]}")

    async def edit(self, name: str, change: Callable[[Object], Any]) -> None:
        await self.cluster.edit(CONFIG, "ns", name, change)
        await self.sync()


def _typed(kind: Kind) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.name}


async def test_everything_is_written_once_and_seen_without_any_watch() -> None:
    async with Rig() as rig:
        writes = await rig.settle()

        assert sorted(set(writes)) == [
            ("apply", "ConfigMap", "a"), ("apply", "ConfigMap", "b"), ("status", "OmniPipeline", "chat")
        ]  # fmt: skip
        assert [write for write in writes if write[0] == "apply"] == [("apply", "ConfigMap", c) for c in "ab"]
        await rig.sync()
        assert await rig.settle() == []


async def test_what_is_not_there_is_made_without_asking_first() -> None:
    async with Rig() as rig:
        await rig.settle()

        assert rig.cluster.names(CONFIG) == ["a", "b"]
        assert rig.cluster.peeks == []


async def test_what_the_cache_lacks_and_the_server_has_is_looked_at_before_it_is_written() -> None:
    async with Rig() as rig:
        await rig.settle()
        rig.cache.drop(CONFIG, "ns", "a", version=10**9)

        assert [write for write in await rig.settle() if write[1] == "ConfigMap"] == [("apply", "ConfigMap", "a")]
        assert rig.cluster.peeks == ["a"]


async def test_after_its_own_writes_it_looks_again_without_being_told() -> None:
    async with Rig() as rig:
        await rig.reconciler.reconcile(KEY)
        assert await asyncio.wait_for(rig.queue.take(), 20) == KEY
        rig.queue.done(KEY)

        await rig.settle()
        while rig.queue._due:
            rig.queue.done(await rig.queue.take())
        await rig.reconciler.reconcile(KEY)
        assert not rig.queue._due


async def test_what_others_broke_is_repaired_and_what_they_added_is_left() -> None:
    async with Rig() as rig:
        await rig.settle()

        await rig.edit("a", lambda value: value["data"].update(x="9"))
        assert await rig.settle() == [("apply", "ConfigMap", "a")]

        await rig.edit("a", lambda value: value["metadata"]["labels"].update(theirs="yes"))
        assert await rig.settle() == []
        assert (await rig.cluster.get(CONFIG, "ns", "a"))["metadata"]["labels"]["theirs"] == "yes"

        await rig.cluster.remove(CONFIG, "ns", "b")
        await rig.sync()
        assert ("apply", "ConfigMap", "b") in await rig.settle()


async def test_a_field_that_is_no_longer_wanted_goes() -> None:
    async with Rig() as rig:
        rig.wanted["a"] = {"x": "1", "y": "2"}
        await rig.settle()

        rig.wanted["a"] = {"x": "1"}

        assert await rig.settle() == [("apply", "ConfigMap", "a")]
        assert (await rig.cluster.get(CONFIG, "ns", "a"))["data"] == {"x": "1"}


@pytest.mark.parametrize("label", ["omnipipe.dev/pipeline", "app.kubernetes.io/managed-by"])
async def test_a_child_without_its_labels_is_still_ours(label: str) -> None:
    async with Rig() as rig:
        await rig.settle()

        await rig.edit("a", lambda value: value["metadata"]["labels"].pop(label))

        assert ("apply", "ConfigMap", "a") in await rig.settle()
        assert label in (await rig.cluster.get(CONFIG, "ns", "a"))["metadata"]["labels"]


async def test_what_is_not_wanted_is_deleted_but_only_if_it_is_ours() -> None:
    async with Rig() as rig:
        await rig.settle()
        del rig.wanted["b"]
        rig.unwanted = ["b"]

        assert ("delete", "ConfigMap", "b") in await rig.settle()
        assert rig.cluster.names(CONFIG) == ["a"]


@pytest.mark.parametrize("theirs", [{}, {"labels": {"app.kubernetes.io/managed-by": "omnipipe"},
                                         "ownerReferences": [{"uid": "another", "controller": True}]}])  # fmt: skip
async def test_an_object_of_somebody_else_is_left_alone_and_shown(theirs: dict[str, Any]) -> None:
    async with Rig() as rig:
        head = {"name": "a", "namespace": "ns", **theirs}
        await rig.cluster.create(CONFIG, {**_typed(CONFIG), "metadata": head, "data": {"theirs": "1"}})

        writes = await rig.settle()

        assert ("apply", "ConfigMap", "a") not in writes
        assert ("apply", "ConfigMap", "b") in writes
        assert (await rig.cluster.get(CONFIG, "ns", "a"))["data"] == {"theirs": "1"}
        assert rig.seen is not None
        assert "b" in [child["metadata"]["name"] for child in rig.seen.children]
        assert Ref("v1", "ConfigMap", "a") in rig.seen.named


async def test_nothing_is_made_for_a_pipeline_that_has_gone_or_was_made_again_though_nobody_told() -> None:
    async with Rig() as rig:
        await rig.cluster.remove(PIPELINE, "ns", "chat")

        assert await rig.settle() == []
        assert rig.cluster.names(CONFIG) == []

    async with Rig() as rig:
        await rig.settle()
        await rig.cluster.remove(PIPELINE, "ns", "chat")
        head = {"name": "chat", "namespace": "ns"}
        await rig.cluster.create(PIPELINE, {**_typed(PIPELINE), "metadata": head, "spec": {"new": 1}})
        rig.cache.drop(CONFIG, "ns", "a")

        await rig.settle()

        uid = (await rig.cluster.get(PIPELINE, "ns", "chat"))["metadata"]["uid"]
        owners = [(await rig.cluster.get(CONFIG, "ns", name))["metadata"]["ownerReferences"] for name in ("a", "b")]
        assert [owner["uid"] for [owner] in owners] == [uid, uid]


async def test_nothing_is_written_without_the_lease() -> None:
    async with Rig() as rig:
        rig.leading = False

        with pytest.raises(LeaseLost):
            await rig.reconciler.reconcile(KEY)

        assert rig.cluster.names(CONFIG) == []


async def test_what_the_server_refuses_is_said_and_the_rest_goes_on() -> None:
    async with Rig() as rig:
        rig.cluster.refuses = "a"

        assert await rig.reconciler.reconcile(KEY) == "error"
        await rig.reconciler.reconcile(KEY)

        assert rig.cluster.names(CONFIG) == ["b"]
        assert rig.seen is not None
        assert rig.seen.refusals == {Ref("v1", "ConfigMap", "a"): "spec.x: Invalid value"}
        [event] = [await rig.cluster.get(EVENT, "ns", name) for name in rig.cluster.names(EVENT)]
        assert (event["type"], event["reason"]) == ("Warning", "ApplyRefused")
        rig.cluster.refuses = ""
        await rig.settle()
        assert rig.seen.refusals == {}
        assert rig.cluster.names(CONFIG) == ["a", "b"]


async def test_an_event_is_written_once_by_all_operators_together() -> None:
    async with Rig() as rig:
        rig.notes = (Note("Normal", "Hello", "there"),)
        await rig.settle()
        assert len(rig.cluster.names(EVENT)) == 1

        pipeline = rig.cache.pipeline(KEY)
        assert pipeline is not None
        await Recorder(rig.cluster).say(pipeline, rig.notes)

        assert len(rig.cluster.names(EVENT)) == 1
        rig.notes = (*rig.notes, Note("Warning", "Hello", "there"))
        await rig.settle()
        assert len(rig.cluster.names(EVENT)) == 2


async def test_the_last_words_of_a_crash_are_read_once() -> None:
    async with Rig() as rig:
        rig.cluster.logs["pod-1", "stage"] = "loading\n\nout of memory\n"
        state = {"name": "stage", "ready": False, "restartCount": 3, "lastState": {"terminated": {"exitCode": 1}}}
        labels = {"omnipipe.dev/pipeline": "chat", "app.kubernetes.io/managed-by": "omnipipe"}
        head = {"name": "pod-1", "namespace": "ns", "labels": labels}
        pod = {**_typed(POD), "metadata": head, "spec": {}, "status": {"containerStatuses": [state]}}
        await rig.cluster.create(POD, pod)
        await rig.sync()

        await rig.settle()
        rig.cluster.logs.clear()
        await rig.settle()

        assert rig.seen is not None
        assert rig.seen.last_log_lines == {"pod-1": "out of memory"}
