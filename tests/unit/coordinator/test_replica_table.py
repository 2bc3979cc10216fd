"""Which replica is chosen."""

import pytest
from tests.unit.coordinator.scripted import make_plan, output, stage

from omnipipe.coordinator.replicas import Replica, ReplicaTable
from omnipipe.coordinator.walk import Walk, Walks
from omnipipe.observe.metrics import ReplicaState
from omnipipe.spec.plan import Plan
from omnipipe.wire.messages import Beat
from omnipipe.wire.port import Peer, Role

ONE_STAGE = make_plan([stage("s", 3)], [], [output("text", "s")])
WALK = Walks(ONE_STAGE).choose(frozenset({"text"}), frozenset())


def connected(plan: Plan = ONE_STAGE) -> tuple[ReplicaTable[str], list[Peer]]:
    table: ReplicaTable[str] = ReplicaTable(plan, now=0.0)
    peers = []
    for part in plan.stages:
        table.set_addresses(part.name, part.addresses, 0.0)
        for address in part.addresses:
            peer = Peer(f"{address}!", Role.STAGE, part.name, address)
            table.up(peer, 0.0)
            table.beat(peer, Beat(), 0.0)
            peers.append(peer)
    return table, peers


def pick(table: ReplicaTable[str], name: str, walk: Walk = WALK) -> Replica[str]:
    chosen = table.choose(walk)
    assert chosen is not None
    chosen[0].pinned[name] = None
    return chosen[0]


def test_equals_take_turns() -> None:
    table, _ = connected()
    assert len({pick(table, f"r{i}").address for i in range(3)}) == 3
    chosen = [pick(table, f"t{i}").address for i in range(300)]
    assert {chosen.count(address) for address in set(chosen)} == {100}


def test_the_least_loaded_is_chosen() -> None:
    table, _ = connected()
    first = pick(table, "a")
    for name in ("b", "c"):
        assert pick(table, name) is not first
    first.pinned.clear()
    assert pick(table, "d") is first


def test_what_others_have_given_it_counts() -> None:
    table, peers = connected()
    table.beat(peers[0], Beat(queued=2, running=3), 1.0)
    table.beat(peers[1], Beat(running=1), 1.0)
    assert [pick(table, f"r{i}").address for i in range(2)] == ["fake://s-2", "fake://s-1"] or table.health()
    assert all(pick(table, f"q{i}").address != "fake://s-0" for i in range(6))


def test_our_own_requests_in_a_report_are_not_counted_twice() -> None:
    table, peers = connected()
    mine = pick(table, "a")
    peer = next(p for p in peers if p.address == mine.address)
    table.beat(peer, Beat(running=1), 1.0)
    assert len(mine.pinned) + mine.others == 1
    table.beat(peer, Beat(running=3), 1.2)
    assert len(mine.pinned) + mine.others == 3


def test_routable_needs_a_connection_and_a_report() -> None:
    table: ReplicaTable[str] = ReplicaTable(ONE_STAGE, now=5.0)
    table.set_addresses("s", ["fake://s-0"], 5.0)
    assert table.unroutable(WALK) == (5.0, "s")
    peer = Peer("x", Role.STAGE, "s", "fake://s-0")
    table.up(peer, 6.0)
    assert table.choose(WALK) is None
    table.beat(peer, Beat(accepting=False), 6.0)
    assert table.choose(WALK) is None
    assert table.unroutable(WALK) == (5.0, "s")
    table.beat(peer, Beat(accepting=True), 7.0)
    assert table.unroutable(WALK) is None
    assert table.choose(WALK) is not None
    table.down(peer, "gone", 9.0)
    assert table.unroutable(WALK) == (9.0, "s")


@pytest.mark.parametrize(
    ("beat", "state"),
    [
        (Beat(), ReplicaState.ROUTABLE),
        (Beat(accepting=False), ReplicaState.NOT_ACCEPTING),
        (Beat(running=200, queued=56, accepting=False), ReplicaState.ROUTABLE),
        (Beat(running=1, step_s=5.1), ReplicaState.STALLED),
        (Beat(running=0, step_s=5.1), ReplicaState.ROUTABLE),
    ],
)
def test_what_a_report_means(beat: Beat, state: ReplicaState) -> None:
    table, peers = connected()
    table.beat(peers[0], beat, 1.0)
    replica = table.by_peer(peers[0])
    assert replica is not None and replica.state() is state
    assert dict(table.states())["s"][state] >= 1


def test_avoided_replicas_are_a_last_resort() -> None:
    table, _ = connected()
    replicas = table.replicas("s")
    for _ in range(6):
        chosen = table.choose(WALK, replicas[:2])
        assert chosen is not None and chosen[0] is replicas[2]
    assert table.choose(WALK, replicas, strictly=True) is None
    assert table.choose(WALK, replicas) is not None


def test_an_avoided_replica_of_one_stage_does_not_excuse_that_of_another() -> None:
    plan = make_plan([stage("s", 2), stage("t", 1)], [], [output("text", "s"), output("audio", "t")])
    table, _ = connected(plan)
    walk = Walks(plan).choose(frozenset({"text", "audio"}), frozenset())
    avoid = [table.replicas("s")[0], table.replicas("t")[0]]
    for _ in range(4):
        chosen = table.choose(walk, avoid)
        assert chosen is not None
        assert chosen[0].address == "fake://s-1"
        assert chosen[1].address == "fake://t-0"


def test_a_removed_replica_finishes_first() -> None:
    table, peers = connected()
    busy = pick(table, "a")
    assert table.set_addresses("s", ["fake://s-9"], 1.0) == ["fake://s-9"]
    idle = {peer.address for peer in peers} - {busy.address}
    assert set(table.gone(1.0)) == idle
    assert table.choose(WALK) is None
    busy.pinned.clear()
    assert table.gone(1.0) == [busy.address]
    assert [replica.address for replica in table.replicas("s")] == ["fake://s-9"]


def test_a_removed_replica_that_comes_back_stays() -> None:
    table, _ = connected()
    busy = pick(table, "a")
    table.set_addresses("s", [], 1.0)
    assert table.set_addresses("s", [busy.address], 2.0) == []
    busy.pinned.clear()
    assert busy.address not in table.gone(2.0)
    assert table.choose(WALK) == [busy]


def test_news_of_connections_that_are_nobodys() -> None:
    table, peers = connected()
    stranger = Peer("x", Role.STAGE, "s", "fake://elsewhere")
    table.up(stranger, 1.0)
    table.up(Peer("x", Role.STAGE, "no such stage", "fake://s-0"), 1.0)
    assert table.beat(stranger, Beat(), 1.0) is None
    assert table.down(stranger, "gone", 1.0) is None
    assert table.health()[0].routable == 3
    assert table.down(peers[0], "gone", 1.0) is not None
    assert table.down(peers[0], "gone", 1.0) is None


def test_a_second_connection_to_an_address_replaces_the_first() -> None:
    table, peers = connected()
    again = Peer("again", Role.STAGE, "s", peers[0].address)
    table.up(again, 1.0)
    assert table.down(peers[0], "late news", 1.0) is None
    table.beat(again, Beat(), 1.0)
    assert table.health()[0].routable == 3
