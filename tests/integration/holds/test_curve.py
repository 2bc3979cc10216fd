"""TCP with CURVE between real processes: who has the keys talks, who has not is turned away and says why."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.holds.client import ask, body
from tests.integration.holds.cluster import STAGES, Cluster, Process, compiled, echo_manifest, eventually
from tests.leak_check import LongLived
from tests.ports import free_port

from omnipipe.wire.keys import write_keys

GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" * 32
"""ZMTP 3.1, without security."""


@pytest.fixture(scope="module")
def cluster(long_lived: LongLived) -> Iterator[Cluster]:
    with long_lived("the cluster on TCP"), tempfile.TemporaryDirectory(prefix="curve-") as name:
        folder = Path(name)
        ports = {stage: free_port() for stage in STAGES}
        plan = compiled(echo_manifest(1), lambda stage, _: f"tcp://127.0.0.1:{ports[stage]}", curve=True)
        write_keys(folder / "keys")
        with Cluster(plan, folder, curve_dir=folder / "keys") as cluster:
            yield cluster


async def test_a_gateway_with_the_keys(cluster: Cluster, tmp_path: Path) -> None:
    """It needs no key of the listeners' own."""
    keys = tmp_path / "keys"
    shutil.copytree(cluster.folder / "keys", keys)
    (keys / "server.key").unlink()
    gateway = cluster.start_gateway("--curve-dir", keys)
    cluster.heal()
    for number in range(10):
        answer = await ask(gateway.port, body(f"number {number}", audio=number % 2 == 1))
        assert answer.text == f"number {number}" and answer.done and bool(answer.sound) == (number % 2 == 1)
    gateway.kill()


async def test_a_gateway_with_other_keys(cluster: Cluster, tmp_path: Path) -> None:
    write_keys(tmp_path / "others")
    stranger = cluster.start_gateway("--curve-dir", tmp_path / "others")
    eventually(lambda: stranger.text.count("cannot be reached") >= len(STAGES), "it says that it reaches nobody")
    assert set(stranger.routable().values()) == {0}
    assert stranger.get("/readyz")[0] == 503
    assert "key" in stranger.text, stranger.text
    stranger.kill()


async def test_a_gateway_with_the_servers_key_but_not_the_clients(cluster: Cluster, tmp_path: Path) -> None:
    """It can encrypt to the stages, and is not let in."""
    others = tmp_path / "others"
    write_keys(others)
    shutil.copy(cluster.folder / "keys" / "server.pub", others)
    refused = cluster.stages["words", 0].text.count("unknown key was turned away")
    stranger = cluster.start_gateway("--curve-dir", others)
    eventually(
        lambda: cluster.stages["words", 0].text.count("unknown key was turned away") > refused, "the stage says so"
    )
    eventually(lambda: stranger.text.count("cannot be reached") >= len(STAGES), "it says that it reaches nobody")
    assert set(stranger.routable().values()) == {0}
    assert cluster.metric("words", 0, "omnipipe_wire_handshakes_failed_total") >= 1
    stranger.kill()


@pytest.mark.parametrize("command", ["gateway", "stage"])
def test_a_process_without_keys_does_not_start(cluster: Cluster, tmp_path: Path, command: str) -> None:
    options = ["--port", "0"] if command == "gateway" else ["--stage", "words", "--admin", f"unix:{tmp_path}/a"]
    process = Process(tmp_path / "log", command, "--plan", cluster.folder / "plan.json", *options)
    assert process.exit_code() == 3
    assert "CURVE" in process.text and "keys" in process.text, process.text
    assert "Traceback" not in process.text, process.text


def test_without_security_nobody_gets_past_the_greeting(cluster: Cluster) -> None:
    address = cluster.plan.stage("words").addresses[0]
    failed = cluster.metric("words", 0, "omnipipe_wire_handshakes_failed_total")
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 60.0) as raw:
        raw.sendall(GREETING + b"\x04\x19\x05READY")
        seen = b""
        try:
            while data := raw.recv(4096):
                seen += data
        except ConnectionResetError:
            pass  # hung up on, with what we said unread
    assert len(seen) <= len(GREETING) and b"READY" not in seen, seen
    eventually(
        lambda: cluster.metric("words", 0, "omnipipe_wire_handshakes_failed_total") > failed, "it counts the attempt"
    )
