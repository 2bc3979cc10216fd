"""A stage process from start to exit: loading, probes, draining, and ends of all kinds."""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.stage.rig import DEADLINE_S, Gateway, Replica, eventually, exchange, make_plan
from tests.ports import free_port

from omnipipe.errors import ErrorKind
from omnipipe.spec.plan import Placement, Plan
from omnipipe.stage.errors import ExitCode
from omnipipe.wire.messages import Failed, Output

Start = Callable[..., Replica]
Connect = Callable[..., Gateway]


def test_sigterm_finishes_what_runs_and_refuses_the_rest(start: Start, connect: Connect) -> None:
    speak = start("speak")
    gateway = connect()
    gateway.unread.add("old")  # so that it runs for as long as this test wants
    gateway.submit("old", speak={"count": 200})
    gateway.wait_for(Output, "old")
    assert speak.get("/readyz") == (200, "ok\n")
    speak.terminate()
    gateway.until(lambda: not gateway.loads["speak"].accepting, "not accepting any more")
    assert speak.get("/readyz") == (503, "draining\n")
    assert speak.get("/livez")[0] == 200
    gateway.submit("new")
    failed = gateway.wait_for(Failed, "new")
    assert (failed.kind, failed.retryable) == (ErrorKind.UNAVAILABLE, True)
    gateway.read_on("old")
    assert len(gateway.text("old")) == 200
    assert speak.exit_code() == ExitCode.OK
    assert not speak.socket.exists()
    assert not Path(speak.admin.removeprefix("unix:")).exists()


def test_the_grace_period_ends_and_others_may_run_what_is_left(start: Start, connect: Connect) -> None:
    speak = start("speak", grace_s=0.2)
    gateway = connect()
    gateway.submit("long", speak={"delay_s": 300.0})
    gateway.until(lambda: gateway.loads["speak"].running == 1, "running")
    speak.terminate()
    failed = gateway.wait_for(Failed, "long")
    assert (failed.kind, failed.retryable) == (ErrorKind.UNAVAILABLE, True)
    assert speak.exit_code() == ExitCode.CUT_SHORT


def test_a_second_sigterm_stops_at_once(start: Start, connect: Connect) -> None:
    speak = start("speak")
    gateway = connect()
    gateway.submit("long", speak={"delay_s": 300.0})
    gateway.until(lambda: gateway.loads["speak"].running == 1, "running")
    speak.terminate()
    gateway.until(lambda: not gateway.loads["speak"].accepting, "draining")
    speak.terminate()
    assert gateway.wait_for(Failed, "long").retryable
    assert speak.exit_code() == ExitCode.CUT_SHORT


def test_it_says_once_that_it_is_ready(start: Start, connect: Connect) -> None:
    read_fd, write_fd = os.pipe()
    with os.fdopen(read_fd, "rb") as said:
        start("speak", pass_fds=(write_fd,), ready_fd=write_fd)
        os.close(write_fd)
        assert said.read() == b"ready\n"


@pytest.mark.parametrize("placement", list(Placement))
def test_a_program_that_cannot_be_loaded_ends_the_process_with_one_line(
    tmp_path: Path, start: Start, placement: Placement
) -> None:
    speak = start("speak", of=make_plan(tmp_path, placement, params={"broken": True}))
    assert speak.exit_code() == ExitCode.START_FAILED
    (line,) = speak.log.read_text().splitlines()
    assert line.startswith("ERROR stage speak: cannot load its program")
    assert line.endswith("RuntimeError: no weights here")
    assert not speak.socket.exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"listen": "ipc:///proc/nowhere/x.sock"}, "cannot listen on ipc:///proc/nowhere/x.sock"),
        ({"admin": "somewhere"}, "admin address somewhere"),
        ({"admin": "unix:/proc/nowhere/x.admin"}, "admin address unix:/proc/nowhere/x.admin"),
        ({"curve_dir": "/proc/nowhere"}, "key"),
    ],
)
def test_what_cannot_be_listened_on_ends_the_process_with_one_line(
    start: Start, settings: dict[str, str], words: str
) -> None:
    speak = start("speak", **settings)
    assert speak.exit_code() == ExitCode.START_FAILED
    (line,) = speak.log.read_text().splitlines()
    assert line.startswith("ERROR stage speak:")
    assert words in line


def test_a_long_step_in_a_thread_leaves_the_loop_awake_and_shows_on_livez(
    tmp_path: Path, start: Start, connect: Connect
) -> None:
    plan = make_plan(tmp_path, Placement.THREAD)
    speak = start("speak", of=plan)
    eventually(lambda: speak.get("/readyz")[0] == 200, "loaded")
    gateway = connect(of=plan)
    release = tmp_path / "release"
    gateway.submit("r1", speak={"block_until": str(release)})
    gateway.until(lambda: gateway.loads["speak"].step_s > 0.5, "the long step in the load report")
    status, reason = speak.get("/livez")
    assert (status, reason[:31]) == (503, "an engine step has been running")
    gateway.cancel("r1")
    eventually(lambda: speak.metric("omnipipe_stage_requests_total", outcome="cancelled") == 1, "cancelled meanwhile")
    release.touch()
    eventually(lambda: speak.get("/livez")[0] == 200, "well again")
    assert gateway.got(Output) == []


def test_a_thread_that_is_busy_does_not_keep_the_process(tmp_path: Path, start: Start, connect: Connect) -> None:
    plan = make_plan(tmp_path, Placement.THREAD)
    speak = start("speak", of=plan, grace_s=0.1)
    eventually(lambda: speak.get("/readyz")[0] == 200, "loaded")
    gateway = connect(of=plan)
    gateway.submit("r1", speak={"block_s": 300.0})
    gateway.until(lambda: gateway.loads["speak"].step_s > 0, "the step")
    speak.terminate()
    assert gateway.wait_for(Failed, "r1").retryable
    assert speak.exit_code() == ExitCode.CUT_SHORT


def test_admin_endpoints_on_tcp(start: Start, plan: Plan) -> None:
    port = free_port()
    start("speak", admin=f"127.0.0.1:{port}")

    def ask(request: bytes) -> tuple[int, str]:
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
            return exchange(connection, request)

    def listens() -> bool:
        try:
            return ask(b"GET /readyz HTTP/1.1\r\n\r\n")[0] == 200
        except ConnectionError:
            return False

    eventually(listens, "the admin port")
    assert ask(b"GET /livez?verbose HTTP/1.0\r\n\r\n") == (200, "ok\n")
    assert ask(b"HEAD /livez HTTP/1.1\r\n\r\n") == (200, "")
    assert ask(b"GET / HTTP/1.1\r\n\r\n")[0] == 404
    assert ask(b"POST /livez HTTP/1.1\r\n\r\n")[0] == 405
    status, body = ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert status == 200
    assert 'omnipipe_stage_running{namespace="default",pipeline="p",revision="r",stage="speak"}' in body


def test_connections_that_say_nothing_cost_the_probes_nothing(start: Start, owned: ExitStack) -> None:
    speak = start("speak")
    eventually(lambda: speak.get("/livez")[0] == 200, "started")
    silent = [owned.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(40)]
    for connection in silent:
        connection.connect(speak.admin.removeprefix("unix:"))
        with contextlib.suppress(ConnectionError):  # of those that it has no room for it hears nothing
            connection.send(b"GET /li")
    eventually(lambda: speak.get("/livez")[0] == 200, "room again")
    for connection in silent:
        connection.settimeout(DEADLINE_S)
        try:
            assert connection.recv(100) == b""
        except ConnectionResetError:
            pass


def test_a_stage_that_stands_idle_uses_no_processor(start: Start, connect: Connect) -> None:
    speak = start("speak")
    connect()

    def ticks() -> int:
        fields = Path(f"/proc/{speak.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    began, before = time.monotonic(), ticks()
    time.sleep(1.0)
    share = (ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)
    assert share < 0.2  # an idle loop that spins would take all there is
