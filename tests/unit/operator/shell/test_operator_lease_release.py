"""A lease that is given up, so that the next operator need not wait for it to run out."""

import logging

import pytest
from tests.unit.operator.shell.test_operator_leader import SETTINGS, Clock, Cut

from omnipipe_operator.cluster.kinds import LEASE
from omnipipe_operator.leader import Leader
from omnipipe_operator.observed import Object


async def lease(cluster: Cut) -> Object:
    spec: Object = (await cluster.get(LEASE, "system", "omnipipe-operator"))["spec"]
    return spec


async def test_a_released_lease_has_no_holder_and_is_over_in_a_second() -> None:
    cluster = Cut()
    first = Leader(cluster, "first", SETTINGS, Clock())
    await first.acquire()
    assert (await lease(cluster))["leaseDurationSeconds"] == 15

    await first.release()

    assert not first.leading
    assert ((await lease(cluster))["holderIdentity"], (await lease(cluster))["leaseDurationSeconds"]) == ("", 1)


async def test_who_does_not_lead_releases_nothing() -> None:
    cluster, clock = Cut(), Clock()
    first, second = Leader(cluster, "first", SETTINGS, clock), Leader(cluster, "second", SETTINGS, clock)
    await first.acquire()

    await second.release()
    assert (await lease(cluster))["holderIdentity"] == "first"

    clock.now += 12  # it could not renew for so long that it has stopped writing
    writes = len(cluster.writes)
    await first.release()
    assert len(cluster.writes) == writes


async def test_anothers_lease_is_left_alone() -> None:
    cluster, clock = Cut(), Clock()
    first = Leader(cluster, "first", SETTINGS, clock)
    await first.acquire()
    await cluster.edit(LEASE, "system", "omnipipe-operator", lambda live: live["spec"].update(holderIdentity="second"))

    await first.release()

    assert (await lease(cluster))["holderIdentity"] == "second"


async def test_a_lease_that_cannot_be_released_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cluster = Cut()
    first = Leader(cluster, "first", SETTINGS, Clock())
    await first.acquire()
    cluster.cut = True

    await first.release()

    assert "the lease was not released: no answer" in caplog.text


async def test_a_renewal_is_no_new_holder() -> None:
    cluster, clock = Cut(), Clock()
    first = Leader(cluster, "first", SETTINGS, clock)
    await first.acquire()
    before = await lease(cluster)
    clock.now += 5

    assert await first._try()

    after = await lease(cluster)
    assert after["leaseTransitions"] == before["leaseTransitions"] == 0
    assert after["acquireTime"] == before["acquireTime"]
