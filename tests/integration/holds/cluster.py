"""Real `omnipipe stage` and `omnipipe gateway` processes on one Plan, which a test may kill, freeze and start again.

Nothing supervises them: what dies stays dead until the test (or `heal`) starts it again. That is what tells these tests
from those of `omnipipe serve`.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families
from tests.integration.stage.rig import exchange

from omnipipe.families.registry import family_names, find_family
from omnipipe.spec.plan import Plan
from omnipipe.spec.reader import read_pipelines

__all__ = [
    "STAGES",
    "Cluster",
    "Gateway",
    "Process",
    "compiled",
    "echo_manifest",
    "eventually",
    "frozen",
    "read_events",
]

STAGES = ("ingest", "words", "pitch", "compose", "synth")

DEADLINE_S = 60.0
"""For anything that takes a fraction of a second on an idle machine."""

DEAD_AFTER_S = 3.0
"""Longer than is usual: a busy machine may keep a process quiet for a second, and its requests are not to be lost for
that."""

_LISTENING = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")


def eventually(look: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> float:
    """Waits until `look` is true; returns the seconds that took."""
    began = time.monotonic()
    while not look():
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - began


def echo_manifest(replicas: int = 2, *, threads: Collection[str] = ()) -> str:
    """The echo pipeline with so many replicas of every stage; the engines of `threads` run beside their I/O loop."""
    lines = [
        f"    - {{name: {name}, replicas: {replicas}, "
        f"engine: {{placement: {'thread' if name in threads else 'inline'}}}}}"
        for name in STAGES
    ]
    return "\n".join(
        [
            "apiVersion: omnipipe.dev/v1alpha1",
            "kind: OmniPipeline",
            "metadata: {name: echo}",
            "spec:",
            "  model: {family: echo}",
            "  stages:",
            *lines,
        ]
    )


def compiled(manifest: str, address: Callable[[str, int], str], *, curve: bool = False) -> Plan:
    (pipeline,) = read_pipelines(manifest, "echo.yaml", find_family, family_names())
    plan = pipeline.compile(address, curve=curve)
    transport = plan.transport.model_copy(update={"dead_after_s": DEAD_AFTER_S})
    return plan.model_copy(update={"transport": transport})


class Process:
    """One `omnipipe` command, its log in a file."""

    def __init__(self, log: Path, *words: str | Path) -> None:
        self.log = log
        self._read_from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "omnipipe", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.pid = self._process.pid

    @property
    def text(self) -> str:
        """Its own log, without that of those before it."""
        return self.log.read_bytes()[self._read_from :].decode(errors="replace")

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def exit_code(self) -> int:
        return self._process.wait(DEADLINE_S)

    def terminate(self) -> None:
        """For the end of a test: whatever state it is in."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()

    def end(self) -> None:
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Gateway(Process):
    _port = 0

    @property
    def port(self) -> int:
        """Once it listens."""
        if not self._port:
            eventually(lambda: _LISTENING.search(self.text) or not self.lives, f"{self.log.name} listens")
            found = _LISTENING.search(self.text)
            assert found, f"the gateway ended:\n{self.text}"
            self._port = int(found[1])
        return self._port

    def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as connection:
            return exchange(connection, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())

    def health(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.get("/health")[1])["pipelines"][0]
        return report

    def routable(self) -> dict[str, int]:
        return {stage["name"]: stage["routable"] for stage in self.health()["stages"]}

    def has(self, routable: dict[str, int]) -> bool:
        return self.routable() == routable

    def metric(self, name: str, **labels: str) -> float:
        return _sum(self.get("/metrics")[1], name, labels)


class Cluster:
    def __init__(
        self, plan: Plan, folder: Path, *, curve_dir: Path | None = None, events_dir: Path | None = None
    ) -> None:
        self.plan = plan
        self.folder = folder
        self._plan_path = folder / "plan.json"
        self._plan_path.write_text(plan.to_json())
        self._options: list[str | Path] = []
        if curve_dir is not None:
            self._options += ["--curve-dir", curve_dir]
        if events_dir is not None:
            self._options += ["--events-dir", events_dir]
        self.stages: dict[tuple[str, int], Process] = {}
        self.gateways: list[Gateway] = []

    def __enter__(self) -> Self:
        for stage, replica in self.all_replicas():
            self.start(stage, replica)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        processes = [*self.gateways, *self.stages.values()]
        for process in processes:
            process.terminate()
        for process in processes:
            process.end()

    def all_replicas(self) -> Iterator[tuple[str, int]]:
        for stage in self.plan.stages:
            for replica in range(len(stage.addresses)):
                yield stage.name, replica

    def start(self, stage: str, replica: int, *, plan: Path | None = None) -> Process:
        process = Process(
            self.folder / f"{stage}-{replica}.log",
            "stage", "--plan", plan or self._plan_path, "--stage", stage, "--replica", str(replica),
            "--admin", f"unix:{self._admin(stage, replica)}", *self._options,
        )  # fmt: skip
        self.stages[stage, replica] = process
        return process

    def start_gateway(self, *options: str | Path, plan: Path | None = None) -> Gateway:
        gateway = Gateway(
            self.folder / f"gateway-{len(self.gateways)}.log",
            "gateway", "--plan", plan or self._plan_path, "--port", "0", "--no-access-log",
            *self._options, *options,
        )  # fmt: skip
        self.gateways.append(gateway)
        return gateway

    def heal(self) -> None:
        """Starts again what is dead, and waits until every living gateway can route to everything."""
        for (stage, replica), process in list(self.stages.items()):
            if not process.lives:
                self.start(stage, replica)
        wanted = {stage.name: len(stage.addresses) for stage in self.plan.stages}
        for gateway in self.gateways:
            if gateway.lives:
                eventually(partial(gateway.has, wanted), f"{gateway.log.name} has all of {wanted}")

    def load(self, stage: str, replica: int) -> float:
        """Requests that it has, by its own gauges."""
        text = self.metrics(stage, replica)
        return _sum(text, "omnipipe_stage_running", {}) + _sum(text, "omnipipe_stage_queued", {})

    def lent_bytes(self) -> float:
        """Shared memory of living stages that somebody has not given back."""
        living = [who for who, process in self.stages.items() if process.lives]
        return sum(self.metric(*who, "omnipipe_wire_shm_bytes_in_use") for who in living)

    def loads(self) -> dict[tuple[str, int], float]:
        return {who: load for who, process in self.stages.items() if process.lives and (load := self.load(*who))}

    def metric(self, stage: str, replica: int, name: str, **labels: str) -> float:
        return _sum(self.metrics(stage, replica), name, labels)

    def metrics(self, stage: str, replica: int) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE_S)
            connection.connect(str(self._admin(stage, replica)))
            return exchange(connection, b"GET /metrics HTTP/1.1\r\nhost: stage\r\n\r\n")[1]

    def _admin(self, stage: str, replica: int) -> Path:
        return self.folder / f"{stage}-{replica}.admin"


def read_events(folder: Path, request_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """What every process noted of these requests."""
    found: dict[str, list[dict[str, Any]]] = {request_id: [] for request_id in request_ids}
    for path in folder.glob("events_*.jsonl"):
        text = path.read_bytes()
        lines = text[: text.rfind(b"\n") + 1].splitlines()  # a line may be half written
        if not lines:
            continue
        head = json.loads(lines[0])
        for line in lines[1:]:
            event = json.loads(line)
            if event.get("request_id") in found:
                found[event["request_id"]].append({**event, "process": head["process"]})
    return found


@contextmanager
def frozen(processes: Sequence[Process]) -> Iterator[None]:
    for process in processes:
        process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.signal(signal.SIGCONT)


def _sum(text: str, name: str, labels: Mapping[str, str]) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
