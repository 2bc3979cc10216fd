"""The lease: one leads, the others wait, and who cannot renew stops in time."""

import pytest

from omnipipe_operator.cluster.errors import Unavailable
from omnipipe_operator.cluster.kinds import LEASE, Kind
from omnipipe_operator.cluster.memory import MemoryCluster
from omnipipe_operator.errors import LeaseLost
from omnipipe_operator.leader import Leader, LeaseSettings
from omnipipe_operator.observed import Object

SETTINGS = LeaseSettings("system", renew_s=0.0, retry_s=0.0)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Cut(MemoryCluster):
    """Does not answer while it is told so."""

    cut = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        if self.cut:
            raise Unavailable("no answer")
        return await super().get(kind, namespace, name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster() -> Cut:
    return Cut()


async def test_one_leads_and_the_other_waits_until_the_lease_runs_out(cluster: Cut, clock: Clock) -> None:
    first, second = Leader(cluster, "first", SETTINGS, clock), Leader(cluster, "second", SETTINGS, clock)
    await first.acquire()
    assert first.leading

    assert not await second._try()
    clock.now += 14.9
    assert not await second._try()
    clock.now += 0.2
    assert await second._try()
    assert [leader.leading for leader in (first, second)] == [False, True]
    with pytest.raises(LeaseLost):
        first.permit()
    lease = await cluster.get(LEASE, "system", "omnipipe-operator")
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("second", 1)


async def test_a_renewed_lease_does_not_run_out(cluster: Cut, clock: Clock) -> None:
    first, second = Leader(cluster, "first", SETTINGS, clock), Leader(cluster, "second", SETTINGS, clock)
    await first.acquire()
    for _ in range(10):
        clock.now += 5.0
        assert await first._try()
        assert not await second._try()
    assert first.leading


async def test_who_cannot_renew_stops_before_another_may_begin(cluster: Cut, clock: Clock) -> None:
    leader = Leader(cluster, "first", SETTINGS, clock)
    await leader.acquire()
    cluster.cut = True

    clock.now += 9.0
    assert not await leader._try()
    leader.permit()
    clock.now += 1.1
    with pytest.raises(LeaseLost):
        leader.permit()
    with pytest.raises(LeaseLost):
        await leader.hold()


async def test_a_released_lease_is_taken_at_once(cluster: Cut, clock: Clock) -> None:
    first, second = Leader(cluster, "first", SETTINGS, clock), Leader(cluster, "second", SETTINGS, clock)
    await first.acquire()
    assert not await second._try()

    await first.release()

    assert not first.leading
    assert await second._try()
