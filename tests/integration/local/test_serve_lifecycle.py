"""`omnipipe serve` from its start to its end, and what is left of it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.integration.local.served import DEADLINE_S, ECHO, Served, all_gone, eventually, run_folders


def test_serves_until_ctrl_c_and_leaves_nothing(served: Served) -> None:
    assert served.ask("hello out there") == "hello out there"
    assert len(served.family) == 7  # five stages, their nursery, the gateway
    assert len(run_folders()) == 1
    assert served.stop(signal.SIGINT) == 0
    assert all_gone(served.family)
    assert run_folders() == []
    assert served.err == ""
    assert served.out.splitlines()[-1] == "stopped"


def test_says_what_starts_and_where_it_is_ready(served: Served) -> None:
    url = served.url
    served.wait_for("  curl -N ")
    for name in ("ingest-0", "words-0", "pitch-0", "compose-0", "synth-0", "gateway"):
        assert f"  {name} ready in " in served.out
    assert f"ready: {url} (model: echo)\n" in served.out
    assert f"  curl -N {url}/chat/completions" in served.out
    assert "\x1b[" not in served.out


def test_the_curl_line_works_as_it_stands(served: Served) -> None:
    served.wait_for("  curl -N ")
    line = next(line for line in served.out.splitlines() if line.startswith("  curl "))
    answer = subprocess.run(
        ["sh", "-c", f"{line} --silent"], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert answer.stdout.startswith("data: ")
    assert answer.stdout.rstrip().endswith("data: [DONE]")


def test_the_terminals_ctrl_c_reaches_the_supervisor_alone(served: Served) -> None:
    _ = served.url
    assert all(os.getpgid(child.pid) != os.getpgid(served.process.pid) for child in served.family)


def test_sockets_are_in_a_folder_for_the_user_alone(served: Served) -> None:
    _ = served.url
    (folder,) = run_folders()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {"synth-0.sock", "synth-0.admin.sock", "plan-0.json", "lock"} <= {path.name for path in folder.iterdir()}


def test_a_folder_of_ones_own(tmp_path: Path, manifest: Path) -> None:
    folder = Path(os.environ["TMPDIR"]) / "mine"
    with Served(tmp_path, manifest, "--port", "0", "--run-dir", folder) as served:
        assert served.ask("x") == "x"
        assert (folder / "lock").exists()
        assert served.stop() == 0
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_lets_a_running_stream_finish(served: Served, number: signal.Signals) -> None:
    words = ["one", "two", "three", "four", "five", "six"]
    with served.client() as client:
        stream = client.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": " ".join(words)}],
            stream=True,
            extra_body={"stage_params": {"compose": {"delay_ms": 200}}},
        )
        said = ""
        asked = False
        for chunk in stream:
            said += (chunk.choices and chunk.choices[0].delta.content) or ""
            if said and not asked:
                served.process.send_signal(number)
                asked = True
    assert said.split() == words
    assert served.wait() == 0
    assert all_gone(served.family)


def test_a_second_ctrl_c_stops_at_once(served: Served) -> None:
    with served.client() as client:
        stream = client.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": "never heard to the end " * 1000}],
            stream=True,
            extra_body={"stage_params": {"compose": {"delay_ms": 500}}},
        )
        next(stream)
        served.process.send_signal(signal.SIGINT)
        served.wait_for("Ctrl-C again stops at once")
        assert served.stop(signal.SIGINT) == 4
        stream.close()
    assert all_gone(served.family)
    assert run_folders() == []


def test_ctrl_c_while_it_starts(served: Served) -> None:
    served.wait_for("starting echo")
    family = eventually(served.children, "a first child")
    assert served.stop() == 0
    assert all_gone(family)
    assert run_folders() == []


def test_nothing_survives_a_kill_of_the_supervisor(served: Served) -> None:
    assert served.ask("x") == "x"
    served.process.kill()
    served.process.wait()
    eventually(lambda: all_gone(served.family), "all children gone")
    eventually(lambda: not run_folders(), "the run folder gone")


def test_a_stage_stuck_in_a_request_does_not_survive_a_kill_of_the_supervisor(served: Served) -> None:
    def ask_and_lose() -> None:
        stuck = {"compose": {"block_ms": 300_000}}
        body = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "stage_params": stuck}
        with contextlib.suppress(httpx.TransportError):  # or a 503, if the gateway still had time for one
            httpx.post(f"{served.url}/chat/completions", json=body, timeout=None)

    def is_stuck() -> bool:
        pipeline = httpx.get(served.url.removesuffix("/v1") + "/health", timeout=DEADLINE_S).json()["pipelines"][0]
        return any(stage["name"] == "compose" and stage["routable"] == 0 for stage in pipeline["stages"])

    assert served.ask("x") == "x"
    asking = threading.Thread(target=ask_and_lose)
    asking.start()
    eventually(is_stuck, "compose shows no sign of life")
    served.process.kill()
    served.process.wait()
    eventually(lambda: all_gone(served.family), "all children gone")
    eventually(lambda: not run_folders(), "the run folder gone")
    asking.join()


def test_nothing_survives_a_kill_in_the_middle_of_the_start(served: Served) -> None:
    family = eventually(lambda: len(c := served.children()) == 7 and c, "all children")
    assert family
    served.process.kill()
    served.process.wait()
    eventually(lambda: all_gone(family), "all children gone")


def test_what_a_killed_machine_left_is_swept(tmp_path: Path, manifest: Path) -> None:
    stale = Path(os.environ["TMPDIR"]) / "omnipipe-00000000"
    stale.mkdir()
    (stale / "lock").touch()
    (stale / "synth-0.sock").touch()
    with Served(tmp_path, manifest, "--port", "0") as served:
        _ = served.url
        assert not stale.exists()
        assert served.stop() == 0


def test_two_pipelines_behind_one_port(tmp_path: Path, manifest: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(ECHO.replace("name: echo}", "name: parrot}"))
    with Served(tmp_path, manifest, other, "--port", "0") as served:
        with served.client() as client:
            assert {model.id for model in client.models.list()} == {"echo", "parrot"}
        assert served.ask("a", model="echo") == "a"
        assert served.ask("b", model="parrot") == "b"
        assert "  parrot/compose-0 ready in " in served.out
        assert served.stop() == 0


def test_replicas_are_processes(tmp_path: Path, manifest: Path) -> None:
    manifest.write_text(ECHO + "  stages: [{name: synth, replicas: 2}]\n")
    with Served(tmp_path, manifest, "--port", "0") as served:
        _ = served.url
        assert "  synth-0 ready in " in served.out
        assert "  synth-1 ready in " in served.out
        assert served.stop() == 0


def test_a_log_for_machines(tmp_path: Path, manifest: Path) -> None:
    with Served(tmp_path, manifest, "--port", "0", "--log-format", "json") as served:
        served.wait_for('"event": "ready"')
        served.family = served.children()
        assert served.stop() == 0
        lines = [json.loads(line) for line in served.out.splitlines()]
    assert all(line["process"] and line["message"] and line["time"] for line in lines)
    assert {"starting", "child_ready", "ready", "draining", "stopped"} <= {line.get("event") for line in lines}


def test_a_log_that_nobody_reads_holds_up_no_request(manifest: Path) -> None:
    command = [sys.executable, "-m", "omnipipe", "serve", str(manifest), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = next(line.split()[1] for line in process.stdout if line.startswith("ready: "))
            _flood(url, requests=1500)
        finally:
            process.send_signal(signal.SIGINT)
            end = time.monotonic() + DEADLINE_S
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
            assert process.returncode == 0


def _flood(url: str, requests: int) -> None:
    """Enough access log lines to fill a pipe (64 KiB) twice."""
    with httpx.Client(base_url=url, timeout=DEADLINE_S) as client:
        for _ in range(requests):
            assert client.get("/models").status_code == 200
