"""A walk on chosen replicas is worked out once, and again when a connection is another."""

from tests.unit.coordinator.scripted import edge, make_plan, output, stage

from omnipipe.coordinator import route
from omnipipe.coordinator.replicas import Replica, ReplicaTable
from omnipipe.coordinator.route import Routes
from omnipipe.coordinator.walk import Walks
from omnipipe.wire.messages import Beat
from omnipipe.wire.port import Peer, Role

PLAN = make_plan([stage("a"), stage("b", 2)], [edge("a", "b")], [output("text", "b")])
WALK = Walks(PLAN).choose(frozenset({"text"}), frozenset())


def connected() -> ReplicaTable[str]:
    table: ReplicaTable[str] = ReplicaTable(PLAN, now=0.0)
    for part in PLAN.stages:
        table.set_addresses(part.name, part.addresses, 0.0)
        for address in part.addresses:
            connect(table, part.name, address, "first")
    return table


def connect(table: ReplicaTable[str], name: str, address: str, life: str) -> None:
    peer = Peer(f"{address} {life}", Role.STAGE, name, address)
    table.up(peer, 0.0)
    table.beat(peer, Beat(), 0.0)


def chosen(table: ReplicaTable[str], replica_of_b: int) -> list[Replica[str]]:
    return [table.replicas("a")[0], table.replicas("b")[replica_of_b]]


def test_each_stage_is_told_of_the_replicas_beside_it() -> None:
    found = Routes[str]().find(WALK, chosen(connected(), 1))
    first, second = found.parts
    assert (first.entry, first.sources, first.targets, first.outputs) == (True, {}, {"b": "fake://b-1"}, [])
    assert (second.entry, second.sources, second.targets) == (False, {"a": "fake://a-0 first"}, {})
    assert second.outputs == ["text"]
    assert [(wanted.name, peer.address) for wanted, peer in found.outputs] == [("text", "fake://b-1")]


def test_requests_on_the_same_replicas_share_one() -> None:
    routes, table = Routes[str](), connected()
    found = routes.find(WALK, chosen(table, 0))
    assert routes.find(WALK, chosen(table, 0)) is found
    assert routes.find(WALK, chosen(table, 1)) is not found


def test_a_replica_that_reconnects_is_another() -> None:
    routes, table = Routes[str](), connected()
    routes.find(WALK, chosen(table, 0))
    connect(table, "a", "fake://a-0", "second")
    found = routes.find(WALK, chosen(table, 0))
    assert found.parts[1].sources == {"a": "fake://a-0 second"}
    assert found.senders["a"] is found.parts[0].peer is table.replicas("a")[0].peer


def test_their_number_is_bounded() -> None:
    routes, table = Routes[str](), connected()
    for life in range(route.MAX_KEPT + 10):
        connect(table, "a", "fake://a-0", str(life))
        routes.find(WALK, chosen(table, 0))
    assert len(routes._kept) <= route.MAX_KEPT
