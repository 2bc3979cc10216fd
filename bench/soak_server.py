"""The soak's subject: a real `omnipipe serve` with two replicas of every echo stage, looked at from outside."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

import psutil

__all__ = ["MODEL", "Holding", "Subject", "serve", "wait_until"]

MODEL = "soak"
MANIFEST = f"""\
apiVersion: omnipipe.dev/v1alpha1
kind: OmniPipeline
metadata: {{name: {MODEL}}}
spec:
  model: {{family: echo}}
  stages:
    - {{name: ingest, replicas: 2}}
    - {{name: words, replicas: 2}}
    - {{name: pitch, replicas: 2}}
    - {{name: compose, replicas: 2}}
    - {{name: synth, replicas: 2}}
  gateway: {{requestTimeoutSeconds: 60}}
"""
_START_S = 120.0
_STOP_S = 60.0
T = TypeVar("T")

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")


@dataclass(frozen=True)
class Holding:
    """What one process holds."""

    rss: int
    descriptors: int
    threads: int
    segments: int
    """Mapped /dev/shm files and memfds."""


class Subject:
    def __init__(self, process: subprocess.Popen[bytes] | subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def stages(self) -> dict[str, psutil.Process]:
        """`compose-1` -> its process, of those that run now."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            try:
                words = child.cmdline()
                if child.status() != psutil.STATUS_ZOMBIE and "--stage" in words and "--replica" in words:
                    name = f"{words[words.index('--stage') + 1]}-{words[words.index('--replica') + 1]}"
                    found[name] = child
            except psutil.Error:
                continue  # it has just ended
        return found

    def gateway(self) -> psutil.Process:
        for child in psutil.Process(self.process.pid).children():
            try:
                if "gateway" in child.cmdline():
                    return child
            except psutil.Error:
                continue  # a stage that has just ended
        raise LookupError("there is no gateway")

    def holding(self) -> dict[str, Holding]:
        processes = {"gateway": self.gateway(), "supervisor": psutil.Process(self.process.pid), **self.stages()}
        return {name: _holding(process) for name, process in processes.items()}

    def metrics(self) -> dict[str, list[tuple[str, float]]]:
        """Name -> (labels, value) of each series."""
        found: dict[str, list[tuple[str, float]]] = {}
        with urlopen(self.url.removesuffix("/v1") + "/metrics", timeout=60) as response:
            for line in response.read().decode().splitlines():
                match = _SAMPLE.match(line)
                if match:
                    found.setdefault(match[1], []).append((match[2] or "", float(match[3])))
        return found

    def total(self, name: str, *labels: str) -> float:
        """The sum over all series of a name that have these labels."""
        return sum(value for have, value in self.metrics().get(name, []) if all(label in have for label in labels))

    def whole(self) -> bool:
        """Every replica is up and the gateway sends it requests."""
        replicas = self.metrics().get("omnipipe_coordinator_replicas", [])
        states = dict(replicas)
        routable = sum(value for labels, value in states.items() if 'state="routable"' in labels)
        return routable == sum(states.values()) == 10

    def idle(self) -> bool:
        """Nothing is on its way anywhere."""
        names = ("coordinator_in_flight", "coordinator_queued", "stage_running", "stage_queued", "stage_orphans")
        seen = self.metrics()
        return not any(value for name in names for _, value in seen.get(f"omnipipe_{name}", []))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(_STOP_S)


@contextmanager
def serve(folder: Path) -> Iterator[Subject]:
    manifest, log = folder / "soak.yaml", folder / "soak.log"
    manifest.write_text(MANIFEST)
    command = [sys.executable, "-m", "omnipipe", "serve", str(manifest), "--port", "0", "--no-access-log"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:

        def ready() -> re.Match[str] | None:
            if process.poll() is not None:
                raise RuntimeError(f"omnipipe serve ended with {process.returncode}:\n{log.read_text()}")
            return re.search(r"^ready: (http\S+)", log.read_text(), re.MULTILINE)

        found = wait_until(ready, _START_S, "omnipipe serve is ready")
        assert found is not None
        subject = Subject(process, found[1])
        wait_until(subject.whole, _START_S, "all replicas are routable")
        yield subject
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until(look: Callable[[], T], seconds: float, what: str) -> T:
    """The first true answer of `look`."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)
    return seen


def _holding(process: psutil.Process) -> Holding:
    maps = Path(f"/proc/{process.pid}/maps").read_bytes().splitlines()
    segments = {line.split(maxsplit=5)[4] for line in maps if b"/dev/shm/" in line or b"/memfd:" in line}
    return Holding(process.memory_info().rss, process.num_fds(), process.num_threads(), len(segments))
