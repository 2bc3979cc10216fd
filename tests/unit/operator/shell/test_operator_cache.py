"""The cache: newest wins, whatever order news comes in."""

from typing import Any

import pytest

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.cluster.kinds import CHILD_KINDS, PIPELINE, POD, SECRET
from omnipipe_operator.observed import Object

DEPLOYMENT = CHILD_KINDS[0]
KEY = Key("ns", "chat")


def thing(version: int, uid: str = "u1", pipeline: str | None = "chat", **more: Any) -> Object:
    labels = {"omnipipe.dev/pipeline": pipeline} if pipeline else {}
    head = {"name": "one", "namespace": "ns", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": head, **more}


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_what_is_older_is_ignored(cache: Cache) -> None:
    assert cache.put(DEPLOYMENT, thing(5, n=5)) == {KEY}
    assert cache.put(DEPLOYMENT, thing(4, n=4)) == set()
    assert cache.put(DEPLOYMENT, thing(5, n=5)) == set()
    assert cache.drop(DEPLOYMENT, "ns", "one", 4) == set()

    [child] = cache.children(KEY)
    assert child["n"] == 5
    assert cache.drop(DEPLOYMENT, "ns", "one", 6) == {KEY}
    assert cache.children(KEY) == ()


def test_what_we_deleted_is_not_brought_back_by_late_news(cache: Cache) -> None:
    cache.put(DEPLOYMENT, thing(5))
    cache.drop(DEPLOYMENT, "ns", "one")

    assert cache.put(DEPLOYMENT, thing(6)) == set()
    assert cache.put(DEPLOYMENT, thing(8, uid="u2")) == {KEY}


def test_a_whole_list_tells_what_has_gone_but_not_of_what_is_newer(cache: Cache) -> None:
    cache.put(DEPLOYMENT, thing(5))
    newer = thing(20)
    newer["metadata"]["name"] = "two"
    cache.put(DEPLOYMENT, newer)

    assert cache.keep_only(DEPLOYMENT, None, set(), 10) == {KEY}

    assert [child["metadata"]["name"] for child in cache.children(KEY)] == ["two"]
    assert cache.keep_only(DEPLOYMENT, "elsewhere", set(), 30) == set()


def test_a_changed_label_concerns_both_pipelines(cache: Cache) -> None:
    cache.put(DEPLOYMENT, thing(5))

    assert cache.put(DEPLOYMENT, thing(6, pipeline="other")) == {KEY, Key("ns", "other")}
    assert cache.children(KEY) == ()
    assert cache.put(DEPLOYMENT, thing(7, pipeline=None)) == {Key("ns", "other")}


def test_pods_pipelines_and_children_are_told_apart(cache: Cache) -> None:
    pipeline = {**thing(1), "kind": "OmniPipeline"}
    pipeline["metadata"] = {**pipeline["metadata"], "name": "chat", "labels": {}}
    cache.put(PIPELINE, pipeline)
    cache.put(POD, {**thing(2), "kind": "Pod"})
    cache.put(DEPLOYMENT, thing(3))

    assert cache.keys() == [KEY]
    assert [pod["kind"] for pod in cache.pods(KEY)] == ["Pod"]
    assert [child["kind"] for child in cache.children(KEY)] == ["Deployment"]
    cache.forget_kind(DEPLOYMENT)
    assert cache.children(KEY) == ()


def test_secrets_are_known_by_their_keys_alone_and_managed_fields_not_at_all(cache: Cache) -> None:
    value = thing(1, data={"server.key": "c2VjcmV0"})
    value["metadata"]["managedFields"] = [{"manager": "x"}]
    cache.put(SECRET, value)

    [child] = cache.children(KEY)
    assert child["data"] == {"server.key": ""}
    assert "managedFields" not in child["metadata"]
