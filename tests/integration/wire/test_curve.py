"""CURVE on TCP: who has the pipeline's keys gets in, nobody else does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from tests.integration.wire.processes import started
from tests.integration.wire.worlds import World, gateway_identity, stage_identity

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.errors import WireError
from omnipipe.wire.keys import CurveKeys, load_keys, write_keys
from omnipipe.wire.messages import Output, Submit
from omnipipe.wire.socket_wire import SocketWire


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World("tcp with keys", tmp_path)
    yield world
    world.close()


def test_another_process_with_the_keys_gets_in(world: World) -> None:
    gateway = world.wire(gateway_identity())
    (world.folder / "keys" / "server.key").chmod(0o600)
    with started(stage="a", listen="tcp://127.0.0.1:0", keys=str(world.folder / "keys")) as stage:
        gateway.dial(stage.listening, "a")
        world.until(lambda: bool(world.ups(gateway)))
        gateway.send(world.ups(gateway)[0], Submit("r", "q", 1.0, {}, {}, ["text"], None, "secret"))
        world.until(lambda: world.messages(gateway) == [Output("r", "text", 0, "secret", True)])


def test_without_the_right_keys_the_connection_never_comes_up(world: World) -> None:
    keys = world.keys
    assert keys is not None
    stranger = CurveKeys(*(key.decode() for pair in (zmq.curve_keypair(), zmq.curve_keypair()) for key in pair))
    stage = world.wire(stage_identity(), listens=True)
    attempts = {
        "no key": None,
        "a client key of its own": replace(
            keys, client_public=stranger.client_public, client_secret=stranger.client_secret
        ),
        "another server's key": replace(keys, server_public=stranger.server_public),
    }
    for name, wrong in attempts.items():
        failed = stage.counters.handshakes_failed
        intruder = SocketWire(gateway_identity(name), None, world.transport, wrong)
        world.wires.append(intruder)
        world.seen[id(intruder)] = []
        intruder.dial(stage.listening, "a")
        world.until(lambda: bool(world.downs(intruder)) and stage.counters.handshakes_failed > failed)  # noqa: B023
        assert world.ups(intruder) == []
        world.drop(intruder)
    assert world.ups(stage) == []
    friend = world.wire(gateway_identity("friend"))
    friend.dial(stage.listening, "a")
    world.until(lambda: bool(world.ups(friend)))


def test_a_plan_that_asks_for_keys_does_not_go_without(tmp_path: Path) -> None:
    plan = TransportPlan(curve=True)
    with pytest.raises(WireError, match="was given no keys"):
        SocketWire(stage_identity(), "tcp://127.0.0.1:0", plan)
    wire = SocketWire(gateway_identity(), None, plan)
    with pytest.raises(WireError, match="was given no keys"):
        wire.dial("tcp://127.0.0.1:1", "a")
    wire.close()


def test_a_gateway_needs_no_server_secret_and_a_stage_does(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys")
    assert load_keys(tmp_path / "keys") == keys
    assert keys.server_secret is not None
    assert keys.server_secret not in repr(keys)
    assert keys.client_secret not in repr(keys)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    with pytest.raises(FileExistsError):
        write_keys(tmp_path / "keys")
    (tmp_path / "keys" / "server.key").unlink()
    less = load_keys(tmp_path / "keys")
    assert less == replace(keys, server_secret=None)
    with pytest.raises(WireError, match="server's secret key"):
        SocketWire(stage_identity(), "tcp://127.0.0.1:0", TransportPlan(), less)
    (tmp_path / "keys" / "client.key").write_text("not a key")
    with pytest.raises(WireError, match="does not hold a CURVE key"):
        load_keys(tmp_path / "keys")
    (tmp_path / "keys" / "client.key").unlink()
    with pytest.raises(WireError, match="cannot read the key"):
        load_keys(tmp_path / "keys")
