"""`omnipipe stage` and `omnipipe gateway` on their own, as a container runs them."""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.local.served import DEADLINE_S, ECHO, eventually
from tests.ports import free_port

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.reader import read_pipelines


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for sockets."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def plan(folder: Path) -> Path:
    (one,) = read_pipelines(ECHO, "echo.yaml", find_family, family_names())
    path = folder / "plan.json"
    path.write_text(one.compile(lambda stage, n: f"ipc://{folder}/{stage}-{n}.sock").to_json())
    return path


def omnipipe(*words: str | Path | int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "omnipipe", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_stage_serves_its_probes_and_drains_on_sigterm(folder: Path, plan: Path) -> None:
    admin = folder / "admin.sock"
    with omnipipe("stage", "--plan", plan, "--stage", "words", "--admin", f"unix:{admin}") as process:
        try:
            eventually(lambda: " 200 OK" in ask(admin, "/readyz"), "the stage ready")
            assert " 200 OK" in ask(admin, "/livez")
            assert "\nomnipipe_" in ask(admin, "/metrics")
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
    assert sorted(path.name for path in folder.iterdir()) == ["plan.json"]


def ask(admin: Path, path: str) -> str:
    """The whole answer; nothing while nobody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(admin))
        except OSError:
            return ""
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        with connection.makefile() as answer:
            return answer.read()


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


def test_a_gateway_without_stages_is_alive_and_not_ready(plan: Path) -> None:
    port = free_port()
    with omnipipe("gateway", "--plan", plan, "--port", port) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
                eventually(lambda: _answers(client, "/livez"), "the gateway alive")
                assert client.get("/readyz").status_code == 503
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def ends(*words: str | Path | int) -> tuple[int, str]:
    with omnipipe(*words) as process:
        _, err = process.communicate(timeout=DEADLINE_S)
        return process.returncode, err


def test_a_stage_that_the_plan_does_not_have(plan: Path) -> None:
    code, err = ends("stage", "--plan", plan, "--stage", "wrods")
    assert code == 1
    assert err == f"omnipipe: {plan} has no stage 'wrods'; it has ingest, words, pitch, compose, synth\n"


@pytest.mark.parametrize("command", [("stage", "--stage", "words"), ("gateway",)])
def test_a_plan_that_is_not_there_or_not_a_plan(folder: Path, command: tuple[str, ...]) -> None:
    missing, broken = folder / "missing.json", folder / "broken.json"
    broken.write_text('{"version": 99}')
    assert ends(*command, "--plan", missing) == (1, f"omnipipe: cannot read {missing}: no such file or directory\n")
    code, err = ends(*command, "--plan", broken)
    assert code == 1
    assert err.startswith(f"omnipipe: {broken}: the plan has version 99")
    assert err.count("\n") == 1


def test_a_gateway_whose_port_is_taken(plan: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, err = ends("gateway", "--plan", plan, "--port", port)
    assert code == 3
    assert err.splitlines()[-1].startswith(f"omnipipe: cannot listen on 127.0.0.1 port {port}: ")
    assert "Traceback" not in err


def test_a_run_that_has_ended_cannot_be_joined(folder: Path, plan: Path) -> None:
    code, err = ends("stage", "--plan", plan, "--stage", "words", "--run-dir", folder / "gone")
    assert code == 3
    assert err == (
        f"omnipipe: the run folder {folder / 'gone'} cannot be joined (No such file or directory): its run has ended\n"
    )
