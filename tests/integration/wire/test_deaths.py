"""Peers that die, stop, stall or come back, as real processes over ipc and TCP."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.wire.processes import started
from tests.integration.wire.worlds import World, gateway_identity, stage_identity

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.errors import PeerLost
from omnipipe.wire.messages import Output, Submit
from omnipipe.wire.socket_wire import SocketWire

PATIENT: dict[str, Any] = {"dead_after_s": 60.0}


@pytest.fixture(params=["ipc", "tcp"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.close()


def address(world: World, name: str = "a") -> str:
    return f"ipc://{world.folder}/{name}.sock" if world.kind == "ipc" else "tcp://127.0.0.1:0"


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_a_listener_that_dies_or_stops_is_noticed_and_dialled_again(world: World, way: str) -> None:
    gateway = world.wire(gateway_identity())
    with started(stage="a", listen=address(world)) as stage:
        gateway.dial(stage.listening, "a")
        world.until(lambda: bool(world.ups(gateway)))
        if way == "killed":
            stage.kill()
        else:
            stage.stop()
        world.until(lambda: bool(world.downs(gateway)))
        down = world.downs(gateway)[0]
        assert down.peer is world.ups(gateway)[0]
        assert down.reason == ("connection lost" if way == "killed" else "no sign of life for 0.9 s")
        if way == "stopped":
            stage.go_on()
            world.until(lambda: len(world.ups(gateway)) == 2)
    if way == "killed":
        with started(stage="a", listen=stage.listening):
            world.until(lambda: len(world.ups(gateway)) == 2)


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_a_dialler_that_dies_or_stops_is_noticed(world: World, way: str) -> None:
    stage = world.wire(stage_identity(), listens=True)
    with started(peer="gw", dial={stage.listening: "a"}) as gateway:
        world.until(lambda: bool(world.ups(stage)))
        if way == "killed":
            gateway.kill()
        else:
            gateway.stop()
        world.until(lambda: bool(world.downs(stage)))
        reason = world.downs(stage)[0].reason
        assert reason == ("connection lost" if way == "killed" else "no sign of life for 0.9 s")
        if way == "stopped":
            gateway.go_on()
            world.until(lambda: len(world.ups(stage)) == 2)
            assert stage.counters.rejected == 0, "what it said before it knew is late, not wrong"


def test_who_did_not_look_for_a_while_does_not_blame_its_peers(world: World) -> None:
    gateway = world.wire(gateway_identity())
    with started(stage="a", listen=address(world), transport=PATIENT) as stage:
        gateway.dial(stage.listening, "a")
        world.until(lambda: bool(world.ups(gateway)))
        time.sleep(2 * TransportPlan().dead_after_s)  # this is what a long step does to a process
        for _ in range(100):
            world.poll_all()
        assert world.downs(gateway) == []


def test_a_peer_that_stops_reading_costs_bounded_memory_and_nobody_else_anything(world: World) -> None:
    world.transport = TransportPlan(**PATIENT)
    stage = world.wire(stage_identity(), listens=True)
    with (
        started(peer="slow", dial={stage.listening: "a"}, transport=PATIENT) as slow,
        started(peer="quick", dial={stage.listening: "a"}, transport=PATIENT),
    ):
        world.until(lambda: len(world.ups(stage)) == 2)
        peers = {peer.name: peer for peer in world.ups(stage)}
        slow.stop()
        before = psutil.Process().memory_info().rss
        megabyte = bytes(1 << 20)
        sent = 0
        with pytest.raises(PeerLost, match="stalled"):
            while sent < 1000:
                stage.send(peers["slow"], Output("r", "audio", sent, megabyte))
                stage.send(peers["quick"], Output("r", "text", sent, "x"))
                sent += 1
                stage.poll(0)
        grown = psutil.Process().memory_info().rss - before
        assert 64 < sent < 200
        assert grown < 400 << 20
        world.until(lambda: bool(world.downs(stage)))
        assert [(down.peer.name, down.reason) for down in world.downs(stage)] == [("slow", "stalled")]
        assert isinstance(stage, SocketWire)
        stage.send(peers["quick"], Output("r", "text", sent, "x"))
        slow.go_on()
        world.until(lambda: [peer.name for peer in world.ups(stage)].count("slow") == 2)
        assert [down.peer.name for down in world.downs(stage)] == ["slow"]


def test_more_than_the_window_flows_when_the_peer_reads(world: World) -> None:
    gateway = world.wire(gateway_identity())
    with started(stage="a", listen=address(world)) as stage:
        gateway.dial(stage.listening, "a")
        world.until(lambda: bool(world.ups(gateway)))
        (peer,) = world.ups(gateway)
        big = bytes(4 << 20)
        answered = 0
        for n in range(40):
            gateway.send(peer, Submit(f"r{n}", "q", 9.0, {}, {}, ["text"], None, big))
            world.until(lambda n=n: len(world.messages(gateway)) >= n - 8)  # type: ignore[misc]
        world.until(lambda: len(world.messages(gateway)) == 40)
        answered = sum(isinstance(m, Output) and m.value == big for m in world.messages(gateway))
        assert answered == 40
