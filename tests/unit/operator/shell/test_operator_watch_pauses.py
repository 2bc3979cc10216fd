"""How long a watch that fails waits before it tries again: longer each time, spread, and never long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from omnipipe_operator.cache import Cache
from omnipipe_operator.cluster.errors import ClusterError, Forbidden, Unavailable
from omnipipe_operator.cluster.kinds import CHILD_KINDS, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.cluster.port import Page
from omnipipe_operator.follow import Follower


class Failing(MemoryCluster):
    def __init__(self, error: ClusterError | None) -> None:
        super().__init__()
        self.error = error

    async def pages(self, kind: Kind, namespace: str | None, labels: str = "") -> AsyncIterator[Page]:
        if self.error is not None:
            raise self.error
        yield Page([], "0")


async def pauses(error: ClusterError, count: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The first so many, without waiting for them."""
    slept: list[float] = []
    enough, sleep = asyncio.Event(), asyncio.sleep

    async def note(delay: float) -> None:
        slept.append(delay)
        if len(slept) >= count:
            enough.set()
            await sleep(60)
        await sleep(0)

    monkeypatch.setattr("omnipipe_operator.follow.asyncio.sleep", note)
    follower = Follower(Failing(error), Cache(), CHILD_KINDS[0], None, lambda _: None, lambda *_: None)
    running = asyncio.create_task(follower.run())
    try:
        await asyncio.wait_for(enough.wait(), 20)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return slept


async def test_each_pause_is_about_twice_the_one_before_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = await pauses(Unavailable("away", 503), 16, monkeypatch)

    for number, pause in enumerate(slept[:5]):
        assert 0.75 * 0.2 * 2**number <= pause <= 1.25 * 0.2 * 2**number
    longest = slept[-4:]
    assert all(7.5 <= pause <= 12.5 for pause in longest)
    assert len(set(longest)) > 1  # a thousand watches do not come back together


async def test_a_server_that_says_when_is_not_asked_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = await pauses(Unavailable("away", 503, 100.0), 3, monkeypatch)

    assert slept == [100.0] * 3


async def test_without_the_rights_it_asks_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = await pauses(Forbidden("no", 403), 3, monkeypatch)

    assert all(pause >= 10 for pause in slept)
