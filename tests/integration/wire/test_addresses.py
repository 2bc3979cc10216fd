"""Where sockets may be, and what is left of them."""

import socket
import stat
from pathlib import Path

import pytest
from tests.integration.wire.worlds import World, gateway_identity, stage_identity

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.errors import WireError
from omnipipe.wire.zmq_wire import ZmqWire

PLAN = TransportPlan()


def test_the_folder_of_a_socket_is_private_and_the_socket_goes_with_its_wire(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.sock"
    wire = ZmqWire(stage_identity(), f"ipc://{path}", PLAN)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert wire.listening == f"ipc://{path}"
    wire.close()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(WireError, match="open to other users"):
        ZmqWire(stage_identity(), f"ipc://{tmp_path}/open/a.sock", PLAN)


def test_a_socket_file_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.sock").touch()
    ZmqWire(stage_identity(), f"ipc://{tmp_path}/a.sock", PLAN).close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("", "is no address"),
        ("tcp://", "is no address"),
        ("inproc://x", "is no address"),
        ("dns+tcp://stage:1", "is no address"),
        ("ipc://relative.sock", "must be absolute"),
        ("ipc:///" + "x" * 120, "107 bytes at most"),
        ("tcp://localhost", "has no port"),
    ],
)
def test_addresses_that_cannot_work_are_refused_at_once(address: str, words: str) -> None:
    with pytest.raises(WireError, match=words):
        ZmqWire(stage_identity(), address, PLAN)
    wire = ZmqWire(gateway_identity(), None, PLAN)
    with pytest.raises(WireError, match=words):
        wire.dial(address, "a")
    wire.close()


def test_a_port_in_use_is_said() -> None:
    first = ZmqWire(stage_identity(), "tcp://127.0.0.1:0", PLAN)
    with pytest.raises(WireError, match=r"cannot listen on tcp://127.0.0.1:.*: Address already in use"):
        ZmqWire(stage_identity(), first.listening, PLAN)
    first.close()


def loopbacks() -> list[str]:
    """Both kinds where the machine has both."""
    found = ["127.0.0.1"]
    if socket.has_ipv6:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
                found.append("[::1]")
            except OSError:
                pass
    return found


@pytest.mark.parametrize("host", loopbacks())
def test_both_kinds_of_internet_addresses_work(host: str, tmp_path: Path) -> None:
    world = World("tcp", tmp_path)
    stage = world.wire(stage_identity(), listens=True, address=f"tcp://{host}:0")
    gateway = world.wire(gateway_identity())
    gateway.dial(stage.listening, "a")
    world.until(lambda: bool(world.ups(gateway)))
    world.close()


def test_any_interface_and_port_can_be_asked_for() -> None:
    wire = ZmqWire(stage_identity(), "tcp://0.0.0.0:0", PLAN)
    assert wire.listening.startswith("tcp://0.0.0.0:")
    assert not wire.listening.endswith(":0")
    wire.close()
    wire.close()
