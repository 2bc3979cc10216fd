"""Whoever starts us may have closed the standard streams, given us a full disk to write to, or told us by `nohup` that
the terminal's end is not ours."""

import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.integration.local.served import Served, eventually
from tests.ports import free_port

OMNIPIPE = shlex.join([sys.executable, "-m", "omnipipe"])
NO_ROOM = Path("/dev/full")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("streams", [">&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["families", "validate {}", "graph {}"])
def test_closed_streams_are_written_to_nobody(manifest: Path, streams: str, command: str) -> None:
    ended = shell(f"{OMNIPIPE} {command.format(manifest)} {streams}")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.skipif(not NO_ROOM.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["families", "validate {}", "plan {}"])
def test_what_cannot_be_printed_is_one_line(manifest: Path, command: str) -> None:
    ended = shell(f"{OMNIPIPE} {command.format(manifest)} >/dev/full")
    assert ended.returncode == 1
    assert ended.stderr == "omnipipe: cannot write what this command prints: no space left on device\n"


@pytest.mark.parametrize("streams", [">&-", "<&- >&- 2>&-"])
def test_a_run_without_streams_serves(tmp_path: Path, manifest: Path, streams: str) -> None:
    port = free_port()
    command = f"{OMNIPIPE} serve {manifest} --port {port} --run-dir {tmp_path / 'r'} {streams}"
    with subprocess.Popen(["sh", "-c", f"exec {command}"], start_new_session=True) as process:
        try:
            assert eventually(lambda: _answer(f"http://127.0.0.1:{port}/readyz"), "an answer") == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_nohup_keeps_a_run_when_its_terminal_is_closed(tmp_path: Path, manifest: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        serving = Served(tmp_path, manifest, "--port", "0")
    finally:
        signal.signal(signal.SIGHUP, before)
    with serving as served:
        served.process.send_signal(signal.SIGHUP)  # ignored while it starts
        assert served.ask("hello") == "hello"
        served.process.send_signal(signal.SIGHUP)
        assert served.ask("again") == "again"
        assert "stopping" not in served.out
        assert served.stop(signal.SIGTERM) == 0


def test_without_nohup_the_terminals_end_is_the_runs(served: Served) -> None:
    assert served.ask("hello") == "hello"
    assert served.stop(signal.SIGHUP) == 0


def _answer(url: str) -> int | None:
    """Its status; None: nobody answers yet."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            status: int = answer.status
            return status
    except OSError:
        return None
