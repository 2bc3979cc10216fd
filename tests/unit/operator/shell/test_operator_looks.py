"""What the operator reads of objects that are not its own, and for how long it goes by it."""

from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from omnipipe_operator.cache import Cache, Key
from omnipipe_operator.cluster.errors import ClusterError, Forbidden, Unavailable
from omnipipe_operator.cluster.kinds import PIPELINE, SECRET, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.crashes import LastWords
from omnipipe_operator.gateways import Gateways
from omnipipe_operator.look import Looker, Memory, _settled
from omnipipe_operator.observed import Object, Ref
from omnipipe_operator.podwarnings import PodWarnings

KEY = Key("ns", "chat")
TOKEN = Ref("v1", "Secret", "token")
HEAD = {"apiVersion": PIPELINE.api_version, "kind": PIPELINE.name, "metadata": {"name": "chat", "namespace": "ns"}}


class Counting(MemoryCluster):
    error: ClusterError | None = None
    asked = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return await super().get(kind, namespace, name)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("omnipipe_operator.look.time", found)
    return found


@pytest.fixture
async def cluster() -> Counting:
    found = Counting()
    head = {"name": "token", "namespace": "ns"}
    await found.create(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": head, "data": {"hf": "c2VjcmV0"}})
    return found


async def named(cluster: Counting, memory: Memory, refs: Sequence[Ref] = (TOKEN,)) -> dict[Ref, Any]:
    async with aiohttp.ClientSession() as session:
        looker = Looker(
            cluster, Cache(), Gateways(session), LastWords(cluster), PodWarnings(cluster), lambda _: refs, frozenset
        )
        return dict((await looker.look(KEY, HEAD, memory)).named)


async def test_of_a_secret_only_its_keys_are_known(cluster: Counting) -> None:
    found = await named(cluster, Memory())

    assert found[TOKEN]["data"] == {"hf": ""}


async def test_a_secret_without_data_has_no_keys(cluster: Counting) -> None:
    await cluster.edit(SECRET, "ns", "token", lambda live: live.pop("data"))

    assert (await named(cluster, Memory()))[TOKEN]["data"] == {}


async def test_what_was_read_is_known_for_four_seconds(cluster: Counting, clock: Clock) -> None:
    memory = Memory()
    await named(cluster, memory)
    clock.now += 4.0
    await named(cluster, memory)
    assert cluster.asked == 1

    clock.now += 0.1
    await cluster.remove(SECRET, "ns", "token")
    assert await named(cluster, memory) == {}
    assert cluster.asked == 2


async def test_what_nobody_refers_to_any_longer_is_forgotten(cluster: Counting, clock: Clock) -> None:
    memory = Memory()
    await named(cluster, memory)
    await named(cluster, memory, ())

    assert memory.named == {}


async def test_what_may_not_be_read_is_not_there_and_a_server_that_is_away_is_waited_for(
    cluster: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.error = Forbidden("not allowed", 403)
    assert await named(cluster, Memory()) == {}
    assert "ns/chat: cannot read Secret token: not allowed" in caplog.text

    cluster.error = Unavailable("away", 503)
    with pytest.raises(Unavailable):
        await named(cluster, Memory())


@pytest.mark.parametrize(
    ("ready", "progressing", "settled"),
    [("True", "False", True), ("True", None, True), ("True", "True", False), ("False", "False", False),
     (None, None, False)],
)  # fmt: skip
def test_settled_is_what_is_ready_and_rolls_nothing_out(
    ready: str | None, progressing: str | None, settled: bool
) -> None:
    given = {"Ready": ready, "Progressing": progressing}
    conditions = [{"type": kind, "status": status} for kind, status in given.items() if status is not None]

    assert _settled({**HEAD, "status": {"conditions": conditions}}) is settled
    assert _settled(HEAD) is False
