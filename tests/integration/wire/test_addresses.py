"""Where sockets may be, and what is left of them."""

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.wire.worlds import World, gateway_identity, stage_identity

from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.errors import WireError
from omnipipe.wire.socket_wire import SocketWire

PLAN = TransportPlan()


def test_the_folder_of_a_socket_is_private_and_the_socket_goes_with_its_wire(tmp_path: Path) -> None:
    path = tmp_path / "run" / "a.sock"
    wire = SocketWire(stage_identity(), f"ipc://{path}", PLAN)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert wire.listening == f"ipc://{path}"
    wire.close()
    assert list(path.parent.iterdir()) == []


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(WireError, match="open to other users"):
        SocketWire(stage_identity(), f"ipc://{tmp_path}/open/a.sock", PLAN)


def test_a_socket_file_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.sock").touch()
    SocketWire(stage_identity(), f"ipc://{tmp_path}/a.sock", PLAN).close()


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
        SocketWire(stage_identity(), address, PLAN)
    wire = SocketWire(gateway_identity(), None, PLAN)
    with pytest.raises(WireError, match=words):
        wire.dial(address, "a")
    wire.close()


def test_a_port_in_use_is_said() -> None:
    first = SocketWire(stage_identity(), "tcp://127.0.0.1:0", PLAN)
    with pytest.raises(WireError, match=r"cannot listen on tcp://127.0.0.1:.*: Address already in use"):
        SocketWire(stage_identity(), first.listening, PLAN)
    first.close()


@pytest.mark.parametrize(("kind", "loaded"), [("ipc", "False"), ("tcp", "True")])
def test_libzmq_is_loaded_for_tcp_alone(kind: str, loaded: str, tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/a.sock" if kind == "ipc" else "tcp://127.0.0.1:0"
    code = f"""
import sys
import omnipipe.coordinator.connection, omnipipe.stage.process
from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.port import Identity, Role
from omnipipe.wire.socket_wire import SocketWire
wire = SocketWire(Identity("p", "r", Role.STAGE, "a-0", "a"), {address!r}, TransportPlan())
wire.dial(wire.listening, "a")
for _ in range(5):
    wire.poll(0.01)
wire.close()
print("zmq" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == loaded


def test_a_successor_takes_the_place_over_and_keeps_it(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/a.sock"
    first = SocketWire(stage_identity(), address, PLAN)
    second = SocketWire(stage_identity(peer="a-1"), address, PLAN)
    first.close()
    assert (tmp_path / "a.sock").is_socket(), "the first one left its successor's alone"
    second.close()
    assert not (tmp_path / "a.sock").exists()


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
    wire = SocketWire(stage_identity(), "tcp://0.0.0.0:0", PLAN)
    assert wire.listening.startswith("tcp://0.0.0.0:")
    assert not wire.listening.endswith(":0")
    wire.close()
    wire.close()


def test_without_descriptors_nobody_is_let_in_until_there_are_some(tmp_path: Path) -> None:
    code = f"""
import logging, os, resource
from omnipipe.spec.plan import TransportPlan
from omnipipe.wire.port import Identity, Role
from omnipipe.wire.socket_wire import SocketWire

class Kept(logging.Handler):
    said = []
    def emit(self, record):
        self.said.append(record.getMessage())

def allow(more):
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one + more, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

def until(condition):
    while not condition():
        stage.poll(0.01)
        gateway.poll(0.01)

logging.getLogger().addHandler(Kept())
plan = TransportPlan(dead_after_s=60)
stage = SocketWire(Identity("p", "r", Role.STAGE, "a-0", "a"), "ipc://{tmp_path}/a.sock", plan)
gateway = SocketWire(Identity("p", "r", Role.GATEWAY, "gw"), None, plan)
next_one = os.dup(0)
os.close(next_one)
allow(0)
gateway.dial(stage.listening, "a")
print(gateway.poll(0.01)[0].reason)
allow(1)  # for the dialler; the listener has none
until(lambda: Kept.said)
print(Kept.said[0])
allow(9)
until(lambda: stage.counters.peers_up)
print("up")
gateway.close()
stage.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    address = f"ipc://{tmp_path}/a.sock"
    assert done.stdout.splitlines() == [
        f"cannot dial {address}: Too many open files",
        f"{address}: cannot let anybody in: Too many open files",
        "up",
    ]
