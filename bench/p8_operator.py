"""P8: many pipelines of four stages applied at once against a bare control plane: until all their children stand.

Beside it, on a control plane of its own, the same writes from a bare client: `bench.p8_bare`. Both create the pipelines
first. The ratio is of the times until everything is written, statuses and events too, which the operator writes last.
Then the operator is started anew, so that it lists and looks at everything: what it writes then, what a look that
changes nothing costs, and how large it is.

The controllers that run are those that the operator depends on. Those that make pods are left out: none could run here,
and they would keep the API server busy for a quarter of an hour with nothing that is measured.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psutil
import uvloop
from bench.p8_bare import BareClient
from bench.p8_recorded import Write, record
from bench.row import Row
from tests.cluster.audit import Audit
from tests.cluster.controlplane import ControlPlane
from tests.cluster.programs import Programs, find_programs
from tests.ports import free_port

from omnipipe_operator.cluster.kinds import Kind
from omnipipe_operator.observed import Object

__all__ = ["rows"]

_ROOT = Path(__file__).parents[1]
_WORKERS = 8
"""Of the operator, by default, and of the bare client."""
_GOAL_S, _GOAL_RATIO, _GOAL_MB, _GOAL_CPU_MS = 258.0, 1.5, 300.0, 5.0
_REFERENCE_COUNT = 1000
_RESYNC_S = 20
_DEADLINE_S = 400.0
"""Of each phase."""
_POLL_S = 0.5
_SELDOM_S = 2.0
"""Between two looks at the metrics of an operator whose work is being measured: each costs it some milliseconds."""
_QUIET_S = 5.0
_CONTROLLERS = ("garbage-collector-controller", "namespace-controller", "serviceaccount-controller")
_LOOKS = "omnipipe_operator_reconcile_total"
_WORK = "{} pipelines x 4 stages applied at once"
_EDGES = (("ingest", "words"), ("ingest", "pitch"), ("words", "compose"), ("pitch", "compose"))
_SPEC: Object = {
    "model": {"family": "echo"},
    "stages": [{"name": name, "type": name} for name in ("ingest", "words", "pitch", "compose")],
    "edges": [{"from": source, "to": target} for source, target in _EDGES],
    "outputs": [{"name": "text", "stage": "compose"}],
}


@dataclass(frozen=True)
class _Storm:
    """Seconds since the first pipeline was sent."""

    stand_s: float
    written_s: float
    peak_mb: float


@dataclass(frozen=True)
class _Settled:
    """The operator, started anew among pipelines that stand."""

    peak_mb: float
    writes: int
    cpu_ms: float


@dataclass(frozen=True)
class _Process:
    """The operator."""

    pid: int
    port: int

    def peak_mb(self) -> float:
        """The most memory that it ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6

    def cpu_s(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def metric(self, name: str) -> float:
        """Summed over its labels."""
        lines = self._get("/metrics").splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    async def is_ready(self) -> bool:
        try:
            self._get("/readyz")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            text: str = response.read().decode()
        return text


def rows(pipelines: int = _REFERENCE_COUNT) -> list[Row]:
    programs = find_programs()
    work = _WORK.format(pipelines)
    if isinstance(programs, str):
        return [Row("P8", work, f"not run: {programs}", "", None, f"<= {_GOAL_S:.0f} s", False)]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        writes = runner.run(record(_SPEC))
        with _plane(programs) as (plane, _):
            bare_s = runner.run(_bare(plane, pipelines, writes))
            _say(f"bare client: {bare_s:.1f} s")
        with _plane(programs) as (plane, audit):
            ours = runner.run(_ours(plane, audit, pipelines, writes))
            settled = runner.run(_settled(plane, audit, pipelines))
    ratio, peak_mb = ours.written_s / bare_s, max(ours.peak_mb, settled.peak_mb)
    goal_s = _GOAL_S * pipelines / _REFERENCE_COUNT
    count = len(writes) * pipelines
    return [
        Row(
            "P8", work, f"{ours.stand_s:.1f} s until all stand, {ours.written_s:.1f} s until all is written",
            f"{bare_s:.1f} s: bare client, the same {count} writes", ratio,
            f"<= {goal_s:.0f} s, <= {_GOAL_RATIO}x", ours.stand_s <= goal_s and ratio <= _GOAL_RATIO,
        ),
        Row("P8", "operator's memory with them, at its peak", f"{peak_mb:.0f} MB", "", None, f"<= {_GOAL_MB:.0f} MB",
            peak_mb <= _GOAL_MB),
        Row("P8", "writes in a full resync", str(settled.writes), "", None, "0", settled.writes == 0),
        Row("-", "one no-op reconcile", f"{settled.cpu_ms:.1f} ms CPU", "", None, f"<= {_GOAL_CPU_MS:.0f} ms",
            settled.cpu_ms <= _GOAL_CPU_MS),
    ]  # fmt: skip


@contextmanager
def _plane(programs: Programs) -> Iterator[tuple[ControlPlane, Audit]]:
    with tempfile.TemporaryDirectory(prefix="p8-") as folder:
        audit = Audit(Path(folder))
        with ControlPlane(programs, Path(folder), _ROOT / "crds", audit.flags, _CONTROLLERS) as plane:
            yield plane, audit


async def _bare(plane: ControlPlane, pipelines: int, writes: Sequence[Write]) -> float:
    """Seconds."""
    async with BareClient(plane, _WORKERS) as client:
        took_s = await client.write_all(_SPEC, pipelines, writes)
    _say_who_worked()
    return took_s


async def _ours(plane: ControlPlane, audit: Audit, pipelines: int, writes: Sequence[Write]) -> _Storm:
    names = {(write.kind, write.value["metadata"]["name"]) for write in writes if write.verb == "apply"}
    kinds = [kind for kind, _ in names]
    async with BareClient(plane, _WORKERS) as client:
        wanted = {kind: await client.count(kind) + kinds.count(kind) * pipelines for kind in set(kinds)}
        with _operator(plane) as process:
            await _until(process.is_ready)
            start = time.monotonic()
            await client.create(_SPEC, pipelines)
            await _until(partial(_stand, client, wanted))
            stand_s = time.monotonic() - start
            written_s = await _last_write(audit) - start
            _say(f"operator: {stand_s:.1f} s until all stand, {written_s:.1f} s until all is written")
            _say_who_worked()
            return _Storm(stand_s, written_s, process.peak_mb())


async def _settled(plane: ControlPlane, audit: Audit, pipelines: int) -> _Settled:
    """The first round is of a process that knows nothing; the second one's cost is counted."""
    mark = audit.mark()
    with _operator(plane) as process:

        async def looked(times: float) -> bool:
            return process.metric(_LOOKS) >= times

        await _until(process.is_ready)
        await _until(partial(looked, pipelines), _SELDOM_S)
        looks, cpu_s = process.metric(_LOOKS), process.cpu_s()
        await _until(partial(looked, looks + pipelines), _SELDOM_S)
        count, cpu_s = process.metric(_LOOKS) - looks, process.cpu_s() - cpu_s
        writes = [write for write in audit.writes(mark) if write.agent == "omnipipe-operator"]
        return _Settled(process.peak_mb(), len(writes), 1000 * cpu_s / count)


async def _last_write(audit: Audit) -> float:
    """When it was: nobody has written anything since then for a while."""
    mark, at = audit.mark(), time.monotonic()
    end = at + _DEADLINE_S
    while time.monotonic() - at < _QUIET_S:
        if time.monotonic() > end:
            raise RuntimeError(f"somebody still writes after {_DEADLINE_S:.0f} s")
        await asyncio.sleep(_POLL_S)
        if mark != audit.mark():
            mark, at = audit.mark(), time.monotonic()
    return at


async def _stand(client: BareClient, wanted: Mapping[Kind, int]) -> bool:
    """As the server counts: the operator is not asked, for it has other things to do."""
    for kind, count in wanted.items():
        if await client.count(kind) < count:
            return False
    return True


async def _until(look: Callable[[], Awaitable[bool]], every_s: float = _POLL_S) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not await look():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {_DEADLINE_S:.0f} s")
        await asyncio.sleep(every_s)


@contextmanager
def _operator(plane: ControlPlane) -> Iterator[_Process]:
    port = free_port()
    command = [
        sys.executable, "-m", "omnipipe_operator", f"--kubeconfig={plane.kubeconfig}", f"--listen=127.0.0.1:{port}",
        f"--resync-s={_RESYNC_S}", "--no-leader-election", "--log-format=text", "--log-level=error",
        "--gateway-image=example.org/gateway:1", "--stage-image=example.org/stage:1",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT / 'operator'}{os.pathsep}{_ROOT / 'runtime'}"}
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield _Process(process.pid, port)
        finally:
            process.kill()


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _say_who_worked() -> None:
    """Seconds of CPU since the processes began: who else a client shares the machine with."""
    ours, *others = [psutil.Process(), *psutil.Process().children(recursive=True)]
    times = [("this process", ours), *((process.name(), process) for process in others)]
    _say("  CPU: " + ", ".join(f"{name} {sum(process.cpu_times()[:2]):.1f} s" for name, process in times))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=_REFERENCE_COUNT)
    for row in rows(parser.parse_args().pipelines):
        print(row)
