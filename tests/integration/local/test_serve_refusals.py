"""`omnipipe serve` with something that cannot work: one clear line, the right exit code, nothing left."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.local.served import run_folders


def serve(*args: str | int | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omnipipe", "serve", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken(manifest: Path, taken_port: int) -> None:
    ended = serve(manifest, "--port", taken_port)
    assert ended.returncode == 3
    assert ended.stderr == (
        f"omnipipe: cannot listen on 127.0.0.1 port {taken_port}: address already in use; "
        "choose another with --port; --port 0 takes any free one\n"
    )
    assert run_folders() == []


def test_a_host_that_is_not_ours(manifest: Path) -> None:
    ended = serve(manifest, "--host", "192.0.2.1")
    assert ended.returncode == 3
    assert ended.stderr.startswith("omnipipe: cannot listen on 192.0.2.1 port 8000: ")
    assert ended.stderr.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    ended = serve(tmp_path / "missing.yaml")
    assert ended.returncode == 1
    assert ended.stderr == f"omnipipe: cannot read {tmp_path / 'missing.yaml'}: no such file or directory\n"


def test_a_manifest_with_faults(manifest: Path) -> None:
    manifest.write_text(manifest.read_text().replace("family: echo", "family: ehco") + "  gateway: {maxQeued: 1}\n")
    ended = serve(manifest)
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{manifest}:5: spec.model.family: ")
    assert lines[1].startswith(f"{manifest}:7: spec.gateway.maxQeued: ")


def test_two_files_that_claim_one_model_name(tmp_path: Path, manifest: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(manifest.read_text())
    ended = serve(manifest, other)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f'{other}:1: metadata.name: "echo" is also the pipeline in {manifest}:1')


def test_a_keys_file_that_is_not_there(tmp_path: Path, manifest: Path) -> None:
    ended = serve(manifest, "--port", "0", "--api-keys-file", tmp_path / "keys")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"omnipipe: cannot read the API keys file {tmp_path / 'keys'}: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""
    assert run_folders() == []


def test_a_run_folder_whose_sockets_would_have_too_long_names(tmp_path: Path, manifest: Path) -> None:
    ended = serve(manifest, "--port", "0", "--run-dir", tmp_path / ("x" * 100))
    assert ended.returncode == 3
    assert "choose a shorter folder with --run-dir" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / ("x" * 100)).exists()
