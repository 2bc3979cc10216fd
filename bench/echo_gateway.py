"""An echo pipeline as processes - five stages and a gateway - for benchmarks that look at one of them from outside."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.compiler import compile_plan
from omnipipe.spec.reader import read_object

__all__ = ["Running", "cpu_ns", "echo_gateway", "free_port", "process", "wait_ready"]

_MANIFEST = {
    "apiVersion": "omnipipe.dev/v1alpha1",
    "kind": "OmniPipeline",
    "metadata": {"name": "echo"},
    "spec": {"model": {"family": "echo"}},
}
_START_S = 30.0
_STOP_S = 10.0


@dataclass(frozen=True)
class Running:
    pid: int
    port: int


@contextmanager
def echo_gateway(max_batch: int, max_running: int) -> Iterator[Running]:
    """`max_batch` jobs in one engine step, so that a step of all streams travels as one message."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        manifest = read_object(_MANIFEST, find_family, family_names())
        compiled = compile_plan(
            manifest.pipeline, manifest.family, lambda stage, replica: f"ipc://{folder}/{stage}-{replica}"
        )
        stages = tuple(
            stage.model_copy(
                update={"max_running": max_running, "engine": stage.engine.model_copy(update={"max_batch": max_batch})}
            )
            for stage in compiled.stages
        )
        admission = compiled.gateway.model_copy(update={"max_in_flight": max_running})
        plan = Path(folder) / "plan.json"
        plan.write_text(compiled.model_copy(update={"stages": stages, "gateway": admission}).to_json())
        for stage in stages:
            admin = f"unix:{folder}/{stage.name}.admin"
            stack.enter_context(process("omnipipe", "stage", "--plan", plan, "--stage", stage.name, "--admin", admin))
        port = free_port()
        gateway = stack.enter_context(
            process("omnipipe", "gateway", "--plan", plan, "--port", str(port), stdout=subprocess.DEVNULL)
        )
        wait_ready(port)
        yield Running(gateway.pid, port)


@contextmanager
def process(module: str, *args: str | Path, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", module, *map(str, args)]
    with subprocess.Popen(command, stdout=stdout, stderr=_errors()) as child:
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()


def wait_ready(port: int) -> None:
    """Until /readyz says 200: every stage is routable."""
    end = time.monotonic() + _START_S
    while not _ready(port):
        if time.monotonic() > end:
            raise RuntimeError(f"nothing was ready on port {port} within {_START_S:g} s")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_ns(pid: int) -> int:
    """CPU time of all threads so far, from the scheduler: exact to the nanosecond where getrusage counts ticks."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def _ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _errors() -> int | None:
    return None if os.environ.get("OMNIPIPE_BENCH_LOGS") else subprocess.DEVNULL
